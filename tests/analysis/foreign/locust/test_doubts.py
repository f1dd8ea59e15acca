"""Locust's CSVs that contradict each other, or lack what another has: never a PASS that this could change."""

from __future__ import annotations

import pytest

from loadproof.analysis.foreign.locust.csvfiles import load_locust_run
from loadproof.analysis.foreign.locust.thresholds import verdict_on_csvs
from loadproof.analysis.foreign.thresholdfile import FileThreshold
from loadproof.errors import InputError
from simulation.locustcsvs import (
    EXCEPTIONS,
    FAILURES,
    HISTORY,
    STATS,
    Totals,
    history_row,
    quantiles_ms,
    stats_row,
    total_row,
    write,
    write_stats,
)

ERRORS, TIMES = "error_ratio < 1 %", "p(95) < 200 ms"


def told(second: int, requests: int, failures: int = 0, *, p95_ms: int = 40) -> list:
    """A row of the history: percentiles of ten seconds, below the longest time so far."""
    totals = Totals(requests, failures, mean_ms=p95_ms / 2, longest_ms=p95_ms * 2.0)
    return history_row(second, totals, quantiles_ms(p95_ms))


def steady(seconds: int) -> list[list]:
    return [told(second, 100 * second) for second in range(1, seconds + 1)]


def words(tmp_path, thresholds, *, rows=(), history=(), failures=(), exceptions=()):
    """The verdict on these files; `thresholds` are pairs of an endpoint (None: all) and an expectation."""
    prefix = tmp_path / "run"
    if rows:
        write_stats(prefix, rows)
    if history:
        write(prefix, "stats_history", HISTORY, history)
    if failures:
        write(prefix, "failures", FAILURES, failures)
    if exceptions:
        write(prefix, "exceptions", EXCEPTIONS, exceptions)
    run = load_locust_run(prefix)
    return verdict_on_csvs(
        tuple(FileThreshold(expect=expect, endpoint=endpoint) for endpoint, expect in thresholds), run
    )


def judged(tmp_path, endpoint, expect, **files) -> tuple[str, str]:
    verdict = words(tmp_path, [(endpoint, expect)], **files)
    return str(verdict.word), verdict.reason


GOOD = [stats_row("/a", requests=10_000), total_row(10_000)]
KILLED = [*steady(100), *(told(100 + n, 10_000 + 100 * n, 100 * n, p95_ms=5_000) for n in range(1, 10))]
OUT_OF_DATE = [*steady(10), *(told(10 + n, 1000 + 100 * n, 100 * n, p95_ms=5_000) for n in range(1, 61))]


@pytest.mark.parametrize(
    ("endpoint", "expect", "word", "why"),
    [
        (None, ERRORS, "FAIL", "the history file continues beyond the stats file, to 10,900 requests"),
        (None, TIMES, "INCONCLUSIVE", "the history file has 900 requests and 900 failures more than the stats file"),
        (None, "max < 1 s", "FAIL", "to 10,900 requests"),
        (None, "mean < 40 ms", "FAIL", "to 10,900 requests"),
        (None, "throughput >= 60 rps", "INCONCLUSIVE", "900 of 10,900 requests failed or were refused"),
        ("/a", ERRORS, "INCONCLUSIVE", "it doesn't show for which endpoints"),
        ("/a", TIMES, "INCONCLUSIVE", "it doesn't show for which endpoints"),
        ("/a", "max < 1 s", "INCONCLUSIVE", "it doesn't show for which endpoints"),
        ("/a", "count >= 10000", "INCONCLUSIVE", "900 of 10,900 requests failed or were refused"),
    ],
)
def test_a_history_that_continues_with_failures_prevents_a_pass(tmp_path, endpoint, expect, word, why):
    """The run was killed before its totals were written."""
    found, reason = judged(tmp_path, endpoint, expect, rows=GOOD, history=KILLED)
    assert (found, why in reason) == (word, True), reason


@pytest.mark.parametrize("endpoint", [None, "/a"])
def test_outdated_totals_prevent_a_pass(tmp_path, endpoint):
    """1,000 requests there, 7,000 in the history; with full history the endpoint's own rows decide."""
    rows = [stats_row("/a"), total_row(1000)]
    assert (
        judged(tmp_path, endpoint, ERRORS, rows=rows, history=OUT_OF_DATE)[0]
        == ("FAIL", "INCONCLUSIVE")[bool(endpoint)]
    )
    full = [[*row[:2], "GET", "/a", *row[4:]] for row in OUT_OF_DATE]
    both = [row for pair in zip(full, OUT_OF_DATE, strict=True) for row in pair]
    assert judged(tmp_path, endpoint, ERRORS, rows=rows, history=both)[0] == "FAIL"


def test_a_history_that_continues_slowly_changes_the_throughput(tmp_path):
    """The totals' requests per second only cover the time until then."""
    history = [*steady(10), *(told(10 + n, 1000 + n) for n in range(1, 91))]
    rows = [stats_row("/a"), total_row(1000)]
    rows[0][9] = rows[1][9] = 100.0
    assert judged(tmp_path, None, "throughput >= 90 rps", rows=rows, history=history)[0] == "FAIL"
    assert judged(tmp_path, "/a", "throughput >= 90 rps", rows=rows, history=history)[0] == "INCONCLUSIVE"


@pytest.mark.parametrize("endpoint", [None, "/a"])
@pytest.mark.parametrize(
    "expect", [ERRORS, TIMES, "max < 1 s", "mean < 100 ms", "throughput >= 50 rps", "count >= 5000"]
)
@pytest.mark.parametrize("seconds", [95, 99, 100, 101, 102])
def test_healthy_files_from_slightly_different_moments_pass(tmp_path, endpoint, expect, seconds):
    """With the history a second or more behind the totals, or ahead of them."""
    assert judged(tmp_path, endpoint, expect, rows=GOOD, history=steady(seconds))[0] == "PASS"


def test_a_history_behind_its_totals_with_more_failures_prevents_a_pass(tmp_path):
    """Counters only grow."""
    word, reason = judged(tmp_path, None, ERRORS, rows=GOOD, history=[told(90, 9_000, 900)])
    assert (word, "900 failures more than the stats file" in reason) == ("INCONCLUSIVE", True)
    word, reason = judged(tmp_path, None, TIMES, rows=GOOD, history=[told(90, 9_000, p95_ms=4_000)])
    assert (word, "a longer time than the stats file" in reason) == ("INCONCLUSIVE", True)


@pytest.mark.parametrize("history", [[], steady(100)])
@pytest.mark.parametrize("endpoint", [None, "/a"])
@pytest.mark.parametrize("expect", [ERRORS, TIMES])
def test_failures_missing_from_the_totals_prevent_a_pass(tmp_path, endpoint, expect, history):
    """900 in the failures file, none in the totals; one more may be written in between."""
    failures = [["GET", "/a", "HTTPError('500')", 900]]
    word, reason = judged(tmp_path, endpoint, expect, rows=GOOD, history=history, failures=failures)
    assert (word, "the failures file has 900 failures, the stats file 0" in reason) == ("INCONCLUSIVE", True), reason
    failures = [["GET", "/a", "HTTPError('500')", 1]]
    assert judged(tmp_path, endpoint, expect, rows=GOOD, history=history, failures=failures)[0] == "PASS"


def test_failures_of_another_endpoint_dont_count_for_this_one(tmp_path):
    """But they do for the totals."""
    failures = [["GET", "/b", "HTTPError('500')", 900]]
    verdict = words(tmp_path, [("/a", ERRORS), (None, ERRORS)], rows=GOOD, failures=failures)
    assert [judgement.word for judgement in verdict.judgements] == ["PASS", "INCONCLUSIVE"]


@pytest.mark.parametrize("expect", [ERRORS, TIMES])
def test_two_different_rows_of_one_endpoint_prevent_a_pass(tmp_path, expect):
    """Whichever comes first; an older state of the same row does no harm."""
    good, bad = stats_row("/a"), stats_row("/a", failures=900)
    rows = [good, bad, total_row(2000, 900)]
    word, reason = judged(tmp_path, "/a", expect, rows=rows)
    assert (word, "another row of it, of 1,000 requests and 900 failures" in reason) == ("INCONCLUSIVE", True)
    assert judged(tmp_path, None, ERRORS, rows=rows)[0] == "FAIL"
    older = stats_row("/a", requests=900)
    assert judged(tmp_path, "/a", expect, rows=[good, total_row(1000), older])[0] == "PASS"
    slower = stats_row("/a", requests=900, p95_ms=5_000)
    assert judged(tmp_path, "/a", TIMES, rows=[good, total_row(1000), slower])[0] == "INCONCLUSIVE"


@pytest.mark.parametrize("expect", [ERRORS, TIMES, "max < 1 s", "mean < 100 ms"])
def test_without_the_total_row_no_threshold_on_all_endpoints_passes(tmp_path, expect):
    """Locust writes it last, so only a history can show what else is missing, and for percentiles not even that."""
    word, reason = judged(tmp_path, None, expect, rows=GOOD[:1])
    assert word == "INCONCLUSIVE"
    assert ("other rows may be missing" in reason) == (expect != TIMES)
    assert judged(tmp_path, "/a", expect, rows=GOOD[:1])[0] == "PASS"
    word, reason = judged(tmp_path, None, expect, rows=GOOD[:1], history=steady(100))
    assert word == ("INCONCLUSIVE" if expect == TIMES else "PASS")
    assert ("added up from the rows of each endpoint" in reason) is False
    verdict = words(tmp_path, [(None, ERRORS)], rows=GOOD[:1], history=steady(100))
    assert "added up from the rows of each endpoint" in verdict.judgements[0].reason


def test_a_lost_row_may_have_the_same_name(tmp_path):
    """With another method."""
    rows = [stats_row("/a"), stats_row("/a", method="POST", failures=1100), total_row(2000, 900)]
    verdict = words(tmp_path, [("/a", ERRORS), ("/a", "count >= 500")], rows=rows)
    assert [judgement.word for judgement in verdict.judgements] == ["INCONCLUSIVE", "PASS"]


def test_failures_that_only_the_total_has_prevent_a_pass(tmp_path):
    """All endpoints together have no more requests than the rows, but 900 more failures."""
    assert judged(tmp_path, "/a", ERRORS, rows=[stats_row("/a"), total_row(1000, 900)])[0] == "INCONCLUSIVE"


def test_falling_percentiles_prevent_a_pass(tmp_path):
    """The row contradicts itself."""
    row = stats_row("/a")
    row[15] = 5_000
    word, reason = judged(tmp_path, "/a", TIMES, rows=[row, total_row(1000)])
    assert (word, "its row contradicts itself" in reason) == ("INCONCLUSIVE", True)


@pytest.mark.parametrize(("raised", "word"), [(99_999, "INCONCLUSIVE"), (11, "INCONCLUSIVE"), (10, "PASS")])
def test_exceptions_in_users_code_weaken_a_pass_as_in_our_own_runs(tmp_path, raised, word):
    """From 1 % of the requests on: they cut short what should have been sent."""
    rows = [stats_row("/a"), total_row(1000)]
    verdict = words(tmp_path, [(None, TIMES)], rows=rows, exceptions=[[raised, "KeyError('x')", "", "local"]])
    assert verdict.word == word
    assert (f"{raised:,} exceptions" in verdict.reason) == (word != "PASS")
    assert words(tmp_path, [(None, "max < 1 ms")], rows=rows).word == "FAIL"


def test_two_columns_with_the_same_name_are_refused(tmp_path):
    """It is unclear which of them counts."""
    write(tmp_path / "run", "stats", [*STATS, "Failure Count"], [[*stats_row("/a", failures=900), 0]])
    with pytest.raises(InputError, match="several columns of the stats file are called 'Failure Count'"):
        load_locust_run(tmp_path / "run")
