"""Histories in which counters fall, rows contradict themselves or time runs backwards: never a silent PASS."""

from __future__ import annotations

import pytest

from loadproof.analysis.foreign.locust.csvfiles import load_locust_run
from loadproof.analysis.foreign.locust.thresholds import verdict_on_csvs
from loadproof.analysis.foreign.thresholdfile import FileThreshold
from simulation.locustcsvs import (
    FAILURES,
    HISTORY,
    STATS,
    Row,
    Totals,
    history_row,
    quantiles_ms,
    stats_row,
    total_row,
    write,
)
from simulation.locustcsvs import write_stats as written

ERRORS, TIMES = "error_ratio < 5 %", "p(95) < 200 ms"
RAMP_S, RUN_S = 19, 20


def told(second: int, requests: int, failures: int = 0, *, p95_ms: int = 40) -> Row:
    """A row for all endpoints: percentiles of ten seconds, below the longest time so far."""
    return history_row(second, Totals(requests, failures, 20.0, 80.0), quantiles_ms(p95_ms))


def with_reset(failed: int) -> list[Row]:
    """In each 100 requests before the counters restart, `failed` failed; 2,000 good ones follow."""
    before = [told(second, 100 * second, failed * second) for second in range(1, RAMP_S + 1)]
    return [*before, *(told(RAMP_S + second, 100 * second) for second in range(1, RUN_S + 1))]


def judged(tmp_path, history: list[Row], expect: str = ERRORS, endpoint: str | None = None):
    """2,000 good requests in 20 s by the totals; the word, its reason and the notes."""
    prefix = written(tmp_path / "run", [stats_row("/a", requests=2000), total_row(2000)])
    run = load_locust_run(write(prefix, "stats_history", HISTORY, history))
    verdict = verdict_on_csvs((FileThreshold(expect=expect, endpoint=endpoint),), run)
    return str(verdict.word), verdict.reason, run.damage


@pytest.mark.parametrize("endpoint", [None, "/a"])
def test_failures_before_a_reset_prevent_a_pass(tmp_path, endpoint):
    """1,140 of 1,900 failed, and the totals show none."""
    word, reason, _ = judged(tmp_path, with_reset(60), endpoint=endpoint)
    assert word == "INCONCLUSIVE"
    assert "totals fall after 18 s, from 1,900 requests with 1,140 failures to 100 requests with 0 failures" in reason
    assert ("it doesn't show for which endpoints" in reason) == (endpoint is not None)
    assert judged(tmp_path, with_reset(60), TIMES, endpoint)[0] == "INCONCLUSIVE"


@pytest.mark.parametrize("endpoint", [None, "/a"])
@pytest.mark.parametrize("expect", [ERRORS, TIMES, "max < 1 s", "mean < 1 s", "count >= 2000", "throughput >= 10 rps"])
def test_an_ordinary_reset_passes_and_says_what_was_left_out(tmp_path, expect, endpoint):
    """Locust's --reset-stats after the ramp, without any failure before it."""
    word, reason, notes = judged(tmp_path, with_reset(0), expect, endpoint)
    assert word == "PASS", reason
    assert any("from 1,900 requests with 0 failures to 100" in note and "--reset-stats" in note for note in notes)


def test_too_few_failures_before_a_reset_dont_prevent_a_pass(tmp_path):
    """19 of 1,900, and 5 % may fail."""
    word, reason, notes = judged(tmp_path, with_reset(1))
    assert word == "PASS", reason
    assert any("with 19 failures" in note for note in notes)
    assert judged(tmp_path, with_reset(1), "error_ratio < 0.5 %")[0] == "INCONCLUSIVE"


def test_failures_before_several_resets_add_up(tmp_path):
    """A single reset of the five would not change the verdict: 48 of 2,300 failed."""
    rows = [told(4 * n + second, 100 * second, 16 * second) for n in range(5) for second in range(1, 4)]
    word, reason, _ = judged(tmp_path, [*rows, *(told(20 + n, 100 * n) for n in range(1, 21))], "error_ratio < 4 %")
    assert (word, "(and 4 times more)" in reason) == ("INCONCLUSIVE", True)
    assert (
        judged(tmp_path, [*rows[:3], *(told(20 + n, 100 * n) for n in range(1, 21))], "error_ratio < 4 %")[0] == "PASS"
    )


def test_failures_that_vanish_between_two_rows_prevent_a_pass(tmp_path):
    """Requests keep growing, so it was no reset."""
    rising = [told(second, 100 * second, 30 * second) for second in range(1, 20)]
    word, reason, notes = judged(tmp_path, [*rising, told(20, 2000)])
    assert (word, "1,900 requests with 570 failures to 2,000 requests with 0" in reason) == ("INCONCLUSIVE", True)
    assert judged(tmp_path, [*rising, told(20, 2000)], "error_ratio < 20 %")[0] == "INCONCLUSIVE"
    assert any("unlike a reset's" in note for note in notes)


def test_with_full_history_the_endpoint_that_failed_is_known(tmp_path):
    """The other one keeps its PASS."""

    def of(name: str, row: Row, failed: bool) -> Row:
        counts = [row[17], row[18] if failed else 0]
        return [*row[:2], "GET", name, row[4], row[5], *row[6:17], *counts, *row[19:]]

    totals = with_reset(60)
    rows = [row for total in totals for row in (of("/a", total, True), of("/b", total, False), total)]
    prefix = written(tmp_path / "run", [stats_row(name, requests=2000) for name in ("/a", "/b")] + [total_row(4000)])
    run = load_locust_run(write(prefix, "stats_history", HISTORY, rows))
    verdict = verdict_on_csvs(tuple(FileThreshold(expect=ERRORS, endpoint=name) for name in ("/a", "/b")), run)
    assert [str(judgement.word) for judgement in verdict.judgements] == ["INCONCLUSIVE", "PASS"]


@pytest.mark.parametrize("endpoint", [None, "/a"])
@pytest.mark.parametrize(
    ("place", "value", "why"),
    [(5, 50.0, "Failures/s is 50 without a failure"), (16, 5000, "100% (5,000 ms) is above Max (80 ms)")],
)
def test_a_history_that_contradicts_itself_prevents_a_pass(tmp_path, endpoint, place, value, why):
    """Its rates show 50 failures a second, its counters none; its percentiles exceed the longest time."""
    rows = [told(second, 100 * second) for second in range(1, 21)]
    assert judged(tmp_path, rows, endpoint=endpoint)[0] == "PASS"
    for row in rows:
        row[place] = value
    word, reason, notes = judged(tmp_path, rows, endpoint=endpoint)
    assert word == "INCONCLUSIVE"
    assert f"the history file contradicts itself in 20 rows: {why}" in reason
    assert any(why in note for note in notes)


@pytest.mark.parametrize("cumulative", [False, True])
@pytest.mark.parametrize(("slow_from_s", "word"), [(1, "INCONCLUSIVE"), (61, "PASS")])
def test_percentiles_without_room_in_the_history_prevent_a_pass(tmp_path, cumulative, slow_from_s, word):
    """The p90 is 4 s in each row, the totals' p95 is 40 ms; slow seconds at the end are no contradiction."""
    longest = [*([4000] * (11 - cumulative)), *([6000] * cumulative)]
    quick = [*([20] * (11 - cumulative)), *([6000] * cumulative)]
    rows = []
    for second in range(1, 66):
        totals = Totals(100 * second, 0, 20.0, 6000.0)
        rows.append(history_row(second, totals, longest if second >= slow_from_s else quick))
    slowest = stats_row("/a", requests=6500)
    slowest[STATS.index("Max Response Time")] = slowest[STATS.index("100%")] = 6000
    prefix = written(tmp_path / "run", [slowest, ["", "Aggregated", *slowest[2:]]])
    run = load_locust_run(write(prefix, "stats_history", HISTORY, rows))
    assert run.cumulative == cumulative
    verdict = verdict_on_csvs((FileThreshold(expect=TIMES),), run)
    assert str(verdict.word) == word, verdict.reason
    assert ("leaves no room for 95% in the stats file" in verdict.reason) == (word != "PASS")


def test_time_running_backwards_prevents_a_pass_but_one_clock_change_doesnt(tmp_path):
    """Row after row, or once by an hour, as clocks are set back."""
    backwards = [told(40 - second, 100 * second) for second in range(1, 21)]
    word, reason, _ = judged(tmp_path, backwards)
    assert (word, "timestamps run backwards 19 times" in reason) == ("INCONCLUSIVE", True)
    once = [told(second if second < 10 else second - 3600, 100 * second) for second in range(1, 21)]
    word, reason, notes = judged(tmp_path, once)
    assert word == "PASS", reason
    assert "the history's timestamps run backwards once" in notes


def test_failures_of_an_earlier_run_in_the_same_file_dont_count(tmp_path):
    """After a pause, with fewer users."""
    first = [told(second, 100 * second, 60 * second) for second in range(1, 20)]
    second = [told(1000 + second, 100 * second) for second in range(1, 21)]
    word, reason, notes = judged(tmp_path, [*first, *second])
    assert word == "PASS", reason
    assert any("the history holds 2 runs" in note for note in notes)
    assert not any("totals fall" in note for note in notes)


@pytest.mark.parametrize(
    ("name", "header", "rows"),
    [("failures", FAILURES, [["GET", "/a", "no", 500]]), ("stats_history", HISTORY, [told(19, 1900, 1800)])],
)
def test_if_files_prevent_a_pass_the_next_step_asks_for_complete_ones(tmp_path, name, header, rows):
    """Despite hundreds of failures it used to say that nothing shows that the target is at fault."""
    prefix = written(tmp_path / "run", [stats_row("/a", requests=2000), total_row(2000)])
    verdict = verdict_on_csvs((FileThreshold(expect=ERRORS),), load_locust_run(write(prefix, name, header, rows)))
    assert verdict.word == "INCONCLUSIVE", verdict.reason
    assert verdict.next_step.startswith("Judge the files of one complete run as Locust wrote them; these lack")


@pytest.mark.parametrize(("history", "remedy"), [(with_reset(60), "as Locust wrote them"), ([], "Run longer")])
def test_the_next_step_is_not_to_run_longer_if_that_wont_help(tmp_path, history, remedy):
    """But it is if there are too few requests."""
    prefix = written(tmp_path / "run", [stats_row("/a", requests=2000), total_row(2000)])
    if history:
        write(prefix, "stats_history", HISTORY, history)
    expect = ERRORS if history else "error_ratio < 0.1 %"
    verdict = verdict_on_csvs((FileThreshold(expect=expect),), load_locust_run(prefix))
    assert (str(verdict.word), remedy in verdict.next_step) == ("INCONCLUSIVE", True)
