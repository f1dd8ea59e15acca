"""Thresholds on Locust's CSVs: what can be judged, how, and what is refused with the reason."""

from __future__ import annotations

import pytest

from loadproof.analysis.foreign.locust.csvfiles import load_locust_run
from loadproof.analysis.foreign.locust.thresholds import read_csv_thresholds, verdict_on_csvs
from loadproof.errors import InputError
from simulation.locustcsvs import (
    FAILURES,
    HISTORY,
    Totals,
    history_row,
    quantiles_ms,
    stats_row,
    total_row,
    write,
    write_stats,
)

ROWS = [
    stats_row("/balance", requests=10_000, failures=40, p95_ms=190),
    stats_row("/orders", requests=500, failures=5, p95_ms=40),
    stats_row("/orders", method="POST", requests=500, p95_ms=80),
    stats_row("/never", requests=0),
    stats_row("/broken", requests=50, failures=50, p95_ms=3),
    total_row(11_050, failures=95, p95_ms=190),
]


@pytest.fixture
def run(tmp_path):
    return load_locust_run(write_stats(tmp_path / "run", ROWS))


def judged(tmp_path, run, *thresholds: str):
    """Each threshold is a line of YAML."""
    file = tmp_path / "thresholds.yaml"
    file.write_text("thresholds:\n" + "".join(f"  - {{{threshold}}}\n" for threshold in thresholds), encoding="utf-8")
    return verdict_on_csvs(read_csv_thresholds(file, run), run)


def refused(tmp_path, run, *thresholds: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        judged(tmp_path, run, *thresholds)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("threshold", "word"),
    [
        ("endpoint: /balance, expect: p(95) < 200 ms", "PASS"),
        ("endpoint: /balance, expect: p(95) < 180 ms", "FAIL"),
        ("endpoint: /balance, expect: p(95) < 190 ms", "INCONCLUSIVE"),
        ("endpoint: /balance, expect: p(95) < 186 ms", "INCONCLUSIVE"),
        ("endpoint: /balance, expect: p(95) <= 195 ms", "PASS"),
        ("endpoint: /balance, expect: p(99.9) < 1 s", "PASS"),
        ("endpoint: /balance, expect: p(100) < 1 s", "PASS"),
        ("endpoint: /balance, expect: max < 300 ms", "FAIL"),
        ("endpoint: /balance, expect: mean < 100 ms", "PASS"),
        ("endpoint: /balance, expect: error_ratio < 1 %", "PASS"),
        ("endpoint: /balance, expect: error_ratio < 0.2 %", "FAIL"),
        ("endpoint: /balance, expect: error_ratio < 0.4 %", "INCONCLUSIVE"),
        ("endpoint: /balance, expect: throughput >= 100 rps", "PASS"),
        ("endpoint: /balance, expect: throughput >= 101 rps", "FAIL"),
        ("endpoint: [/balance, /orders], expect: count >= 11000", "PASS"),
        ("endpoint: /orders, method: POST, expect: p(95) < 100 ms", "PASS"),
        ("method: POST, expect: error_ratio < 1 %", "PASS"),
        ("expect: p(95) < 200 ms", "PASS"),
        ("endpoint: /never, expect: p(95) < 200 ms", "INCONCLUSIVE"),
        ("endpoint: /never, expect: count >= 1", "INCONCLUSIVE"),
        ("endpoint: /never, expect: error_ratio < 1 %", "INCONCLUSIVE"),
        ("endpoint: /broken, expect: p(95) < 200 ms", "INCONCLUSIVE"),
        ("endpoint: /broken, expect: p(95) < 2 ms", "INCONCLUSIVE"),
    ],
)
def test_each_threshold_has_its_word(tmp_path, run, threshold, word):
    """INCONCLUSIVE if the limit lies within the rounding, without data, and if there are only failures."""
    assert judged(tmp_path, run, threshold).word == word


def test_a_total_with_fewer_failures_than_its_endpoints_prevents_a_pass(tmp_path):
    """It is unclear which is right; an endpoint's own row is not affected."""
    rows = [stats_row("/x", requests=1000, failures=900), total_row()]
    run = load_locust_run(write_stats(tmp_path / "run", rows))
    assert judged(tmp_path, run, "expect: error_ratio < 1 %").word == "INCONCLUSIVE"
    assert judged(tmp_path, run, "endpoint: /x, expect: error_ratio < 1 %").word == "FAIL"


@pytest.mark.parametrize(
    ("thresholds", "word"),
    [
        (["expect: p(95) < 200 ms"], "INCONCLUSIVE"),
        (["expect: p(95) < 200 ms", "expect: error_ratio < 70 %"], "PASS"),
        (["expect: p(95) < 200 ms", "endpoint: /x, expect: error_ratio < 70 %"], "PASS"),
        (["endpoint: [/x, /y], expect: count >= 100", "expect: error_ratio < 70 %"], "PASS"),
        (["endpoint: /x, expect: throughput >= 1 rps", "endpoint: /y, expect: error_ratio < 70 %"], "INCONCLUSIVE"),
        (["endpoint: /y, expect: p(95) < 200 ms"], "PASS"),
    ],
)
def test_requests_that_fail_do_not_pass_unread(tmp_path, thresholds, word):
    """Three of five requests to /x failed, quickly: a threshold that is met all the same needs one that reads that."""
    rows = [stats_row("/x", requests=1000, failures=600), stats_row("/y", requests=1000), total_row(2000, failures=600)]
    verdict = judged(tmp_path, load_locust_run(write_stats(tmp_path / "run", rows)), *thresholds)
    assert verdict.word == word
    is_unread = word == "INCONCLUSIVE"
    assert ("requests failed or were refused, and no threshold reads that" in verdict.reason) is is_unread
    assert verdict.next_step.startswith("Add `expect: error_ratio < 1 %`") is is_unread


@pytest.mark.parametrize(("requests", "p95_ms"), [(1000, 20), (100, 20), (1000, 200)])
@pytest.mark.parametrize("failed", [1, 0.5])
def test_failures_that_no_threshold_reads_are_what_an_undecided_one_needs_first(tmp_path, requests, p95_ms, failed):
    """More requests would fail as well: all times are failures', too few, or the limit is in the rounding."""
    failures = int(requests * failed)
    row = stats_row("/x", requests=requests, failures=failures, p95_ms=p95_ms)
    rows = [row, total_row(requests, failures, p95_ms=p95_ms)]
    verdict = judged(tmp_path, load_locust_run(write_stats(tmp_path / "run", rows)), "expect: p(95) < 200 ms")
    assert verdict.word == "INCONCLUSIVE"
    assert (
        f"{failures:,} of {requests:,} requests failed or were refused, and no threshold reads that" in verdict.reason
    )
    assert verdict.next_step == "Add `expect: error_ratio < 1 %` to the thresholds, then judge again."


@pytest.mark.parametrize(
    ("requests", "step"),
    [(1000, "Choose a limit that Locust's rounding (two digits) can tell"), (100, "Run longer or")],
)
def test_more_requests_do_not_decide_what_locust_rounds(tmp_path, requests, step):
    """They would give the same cell again; but too few are too few."""
    rows = [stats_row("/x", requests=requests, p95_ms=200), total_row(requests, p95_ms=200)]
    verdict = judged(tmp_path, load_locust_run(write_stats(tmp_path / "run", rows)), "expect: p(95) < 200 ms")
    assert verdict.word == "INCONCLUSIVE"
    assert verdict.next_step.startswith(step)


def _lost_end(prefix):
    """A killed run: the history has 500 more requests, and all of them failed quickly."""
    write_stats(prefix, [stats_row("/x"), total_row()])
    last = Totals(requests=1500, failures=500, mean_ms=20, longest_ms=80)
    write(prefix, "stats_history", HISTORY, [history_row(second, last, quantiles_ms(40)) for second in (99, 100)])


def _more_failures_listed(prefix):
    write_stats(prefix, [stats_row("/x"), total_row()])
    write(prefix, "failures", FAILURES, [["GET", "/x", "500", 3000]])


def _second_row(prefix):
    write_stats(prefix, [stats_row("/x"), stats_row("/x", requests=400, failures=400), total_row()])


def _reset(prefix):
    """Before a --reset-stats, all of 500 requests failed."""
    write_stats(prefix, [stats_row("/x"), total_row()])
    before, after = Totals(500, 500, 20, 80), Totals(1000, 0, 20, 80)
    fallen = Totals(10, 0, 20, 80)
    rows = [history_row(second, totals, quantiles_ms(40)) for second, totals in enumerate((before, fallen, after))]
    write(prefix, "stats_history", HISTORY, rows)


@pytest.mark.parametrize("files", [_lost_end, _more_failures_listed, _second_row, _reset])
@pytest.mark.parametrize("expect", ["p(50) < 200 ms", "throughput >= 5 rps", "count >= 100"])
@pytest.mark.parametrize("endpoint", ["", "endpoint: /x, "])
def test_failures_that_only_another_file_or_row_has_do_not_pass_unread(tmp_path, files, expect, endpoint):
    """A threshold that reads them never passes either, because they count for it."""
    files(tmp_path / "run")
    run = load_locust_run(tmp_path / "run")
    verdict = judged(tmp_path, run, f"{endpoint}expect: {expect}")
    assert verdict.word == "INCONCLUSIVE"
    assert "failures" in verdict.reason
    read = judged(tmp_path, run, f"{endpoint}expect: {expect}", f"{endpoint}expect: error_ratio < 1 %")
    assert read.word != "PASS"
    assert judged(tmp_path, run, f"{endpoint}expect: count >= 100", "expect: error_ratio < 90 %").word == "PASS"


def test_the_reason_names_the_file_that_has_the_unread_failures(tmp_path):
    """With the threshold to add."""
    _lost_end(tmp_path / "run")
    verdict = judged(tmp_path, load_locust_run(tmp_path / "run"), "expect: p(95) < 200 ms")
    assert (
        "but the history file has 500 requests and 500 failures more than the stats file; with them, "
        "500 of 1,500 requests failed or were refused, and no threshold reads that"
    ) in verdict.reason
    assert verdict.next_step.startswith("Add `expect: error_ratio < 1 %`")


def test_a_few_requests_without_an_error_decide_nothing(tmp_path):
    """By Wilson's interval, none in 100 may well be 3 %."""
    run = load_locust_run(write_stats(tmp_path / "run", [stats_row("/x", requests=100)]))
    assert judged(tmp_path, run, "expect: error_ratio < 1 %").word == "INCONCLUSIVE"


def test_a_few_requests_show_no_percentile(tmp_path):
    """As in our own runs: with a single request every percentile is its time."""
    run = load_locust_run(write_stats(tmp_path / "run", [stats_row("/x", requests=1)]))
    few = judged(tmp_path, run, "endpoint: /x, expect: p(95) < 60 s")
    assert few.word == "INCONCLUSIVE"
    assert "1 sample, needs 200" in few.reason
    enough = load_locust_run(write_stats(tmp_path / "run", [stats_row("/x", requests=200)]))
    assert judged(tmp_path, enough, "endpoint: /x, expect: p(95) < 60 s").word == "PASS"


def test_times_are_marked_as_without_sampling_error(tmp_path, run):
    """Few samples, or many failures, are mentioned too."""
    verdict = judged(
        tmp_path,
        run,
        "endpoint: /balance, expect: p(95) < 200 ms",
        "endpoint: /orders, method: GET, expect: p(99) < 200 ms",
        "endpoint: /orders, expect: mean < 200 ms",
        "endpoint: /balance, expect: error_ratio < 1 %",
    )
    reasons = [judgement.reason for judgement in verdict.judgements]
    assert reasons[0] == "190 ms (185 ms to 195 ms); no sampling error known"
    assert "fewer than 10 of its 500 samples lie beyond it" in reasons[1]
    assert "sampling" in reasons[2]
    assert "sampling" not in reasons[3]


def test_fail_beats_inconclusive_beats_pass(tmp_path, run):
    """There is one word for all thresholds."""
    good, thin, bad = "expect: p(95) < 1 s", "endpoint: /never, expect: max < 1 s", "expect: error_ratio < 0.1 %"
    assert judged(tmp_path, run, good, thin, bad).word == "FAIL"
    assert judged(tmp_path, run, good, thin).word == "INCONCLUSIVE"
    assert judged(tmp_path, run, good).word == "PASS"


@pytest.mark.parametrize(
    ("threshold", "message"),
    [
        ("expect: goodput_ratio >= 99 %", "don't show which answers were correct and in time"),
        ("expect: goodput >= 10 rps", "don't show which answers were correct and in time"),
        ("expect: throttled_ratio < 1 %", "don't tell a refusal from another failure"),
        ("expect: rejected_ratio < 1 %", "don't tell a refusal from another failure"),
        ("expect: spread < 50 ms", "don't show when a single request was sent"),
        ("expect: recovery < 5 s", "don't show when a disturbance ended"),
        ("expect: drift(p(95)) < 5 %", "meant to be steady"),
        (
            "expect: p(97) < 1 s",
            "these CSVs have no such percentile of the entire run, got 'p(97) < 1 s'; they have p(50)",
        ),
        ("endpoint: /orders, expect: p(95) < 1 s", "a percentile over several rows can't be computed from theirs"),
        ("endpoint: [/orders, /balance], expect: p(95) < 1 s", "a percentile over several rows"),
        ("expect: p(95) < 1.1 * baseline", "an entire run"),
        ("expect: p(95) < 1 s for 10 s", "an entire run"),
        ("expect: throughput < 100 rps", "an upper limit on a value that should be high"),
        ("expect: error_ratio > 5 %", "a lower limit on a value that should be low, got 'error_ratio > 5 %'; use <"),
        ("expect: error_ratio <= 0 %", "can't be met, got 'error_ratio <= 0 %'; no number of samples proves"),
        ("expect: error_ratio < 100 %", "can't be violated"),
        ("expect: max < 0 ms", "can't be met"),
        ("expect: count >= 0", "can't be violated"),
        ("endpoint: [], expect: max < 1 s", "an empty list; name one, or leave it out for all"),
        ("endpoint: /balence, expect: max < 1 s", "no such name in the CSVs, got '/balence'; did you mean '/balance'"),
        ("endpoint: zzz, expect: max < 1 s", "there are '/balance', '/broken', '/never', '/orders'"),
        ("endpoint: Aggregated, expect: max < 1 s", "leave `endpoint` out, for all together"),
        ("endpoint: /balance, method: PUT, expect: max < 1 s", "'/balance' has no such method in the CSVs, got 'PUT'"),
        ("method: PUT, expect: max < 1 s", "no such method in the CSVs, got 'PUT'; they have 'GET', 'POST'"),
        ("expect: p(95) < 200", "expected a duration"),
        ("expect: p(95) < 1 s, phase: steady", "unknown key"),
        ("endpoint: 7, expect: p(95) < 1 s", "endpoint"),
    ],
)
def test_undecidable_thresholds_are_refused_with_the_reason(tmp_path, run, threshold, message):
    """Nothing is guessed."""
    (problem,) = refused(tmp_path, run, threshold)
    assert message in problem
    assert "thresholds.yaml:2:" in problem


def test_all_errors_are_reported_at_once(tmp_path, run):
    """With line and column."""
    problems = refused(tmp_path, run, "endpoint: /balence, expect: goodput_ratio > 1 %", "expect: p(12) < 1 s")
    assert len(problems) == 3
    assert "thresholds.yaml:3:" in problems[2]


@pytest.mark.slow
def test_thousands_of_names_are_not_all_listed(tmp_path):
    """Only some, and how many more."""
    run = load_locust_run(write_stats(tmp_path / "run", [stats_row(f"/item/{i}") for i in range(3000)]))
    (problem,) = refused(tmp_path, run, "endpoint: zzz, expect: max < 1 s")
    assert "and 2,995 more" in problem
    assert len(problem) < 400


def test_a_run_without_any_endpoint_is_inconclusive(tmp_path):
    """It can't be told from a name that had no requests."""
    run = load_locust_run(write_stats(tmp_path / "run", [total_row(0)]))
    assert judged(tmp_path, run, "endpoint: /x, expect: max < 1 s", "expect: p(95) < 1 s").word == "INCONCLUSIVE"
