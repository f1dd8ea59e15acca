"""Locust CSVs that contradict each other, or lack data that another one has, passed to `loadproof report`."""

from __future__ import annotations

from collections.abc import Callable

from bench.adversary.case import INCONCLUSIVE, PASS, REFUSED
from bench.adversary.stats import BAD, ERRORS, GOOD, NEVER_PASS, csv_case, history, row, says, stats
from simulation.locustcsvs import EXCEPTIONS, FAILURES, HISTORY, STATS, Row, Totals, csv_text, history_row

KILLED_MS = [100.0] * 100 + [5000.0] * 9
BOTH: list[dict[str, object]] = [*ERRORS, {"expect": "p(95) < 400 ms"}]
OF_A: list[dict[str, object]] = [{"endpoint": "/a", "expect": "error_ratio < 1 %"}]
FAILED = csv_text(FAILURES, [["GET", "/a", "HTTPError('500')", 900]], end="\n").encode()
RAISED = csv_text(EXCEPTIONS, [[99_999, "KeyError('id')", "", "local"]], end="\n").encode()
GOOD_MS = [100] * 11
Second = tuple[int, int, int]
"""The second, and the numbers of requests and failures since the start."""


def _with(**cells: object) -> bytes:
    """The stats of a good run, with these cells of its only row replaced."""
    changed = list(GOOD)
    for name, value in cells.items():
        changed[STATS.index(name)] = value
    return csv_text(STATS, [changed, ["", "Aggregated", *changed[2:]]], end="\n").encode()


def _told(seconds: list[Second], change: Callable[[Row], None] = lambda _: None) -> dict[str, bytes]:
    """A history with these counts; `change` may change each row."""
    rows = [
        history_row(second, Totals(requests, failures, 50.0, 100.0), GOOD_MS) for second, requests, failures in seconds
    ]
    for line in rows:
        change(line)
    return {"run_stats_history.csv": csv_text(HISTORY, rows, end="\n").encode()}


def _reset(failed: int) -> list[Second]:
    """After 19 s and 1,900 requests, of which `failed` in a hundred failed, the counters restart."""
    ramp = [(second, 100 * second, failed * second) for second in range(1, 20)]
    return [*ramp, *((20 + second, 100 * second, 0) for second in range(1, 11))]


STEADY: list[Second] = [(second, 100 * second, 0) for second in range(1, 11)]


def _fails(line: Row) -> None:
    line[HISTORY.index("Failures/s")] = 50.0


def _is_slow(line: Row) -> None:
    line[6:17] = [5000] * 11


UPSETS = tuple(
    csv_case(name, tries, stats(GOOD), kind="histories that contradict the totals", right=NEVER_PASS, more=more)
    for name, tries, more in (
        ("failures before a reset", "1,140 of 1,900 failed before the counters restart", _told(_reset(60))),
        ("failures that vanish", "570 of 900, in the next row 0 of 1,000", _told([*_reset(60)[:9], (10, 1000, 0)])),
        ("rates of failures alone", "Failures/s is 50 in each row, and no failure is counted", _told(STEADY, _fails)),
        ("percentiles above the maximum", "5 s in each row, where the longest took 0.1 s", _told(STEADY, _is_slow)),
        (
            "time that runs backwards",
            "each row is a second earlier",
            _told([(60 - n, 100 * n, 0) for n in range(1, 11)]),
        ),
    )
)
ROWS = tuple(
    csv_case(
        f"a row at odds with itself, {what}",
        what,
        _with(**cells),
        kind="rows that contradict themselves",
        thresholds=[*ERRORS, {"expect": "p(90) < 400 ms"}],
        right=NEVER_PASS,
        also=(says(has="contradicts itself"),),
    )
    for what, cells in (
        ("average 5,000 ms, maximum 400 ms", {"Average Response Time": 5000}),
        ("minimum 900 ms, average 100 ms", {"Min Response Time": 900}),
        ("median 4,000 ms, 50 % 138 ms", {"Median Response Time": 4000}),
        ("100 % 400 ms, maximum 99,999 ms", {"Max Response Time": 99_999}),
        ("40 failures per second, none counted", {"Failures/s": 40.0}),
        ("no requests per second, 1,000 counted", {"Requests/s": 0}),
    )
)
CASES = (
    *UPSETS,
    *ROWS,
    csv_case(
        "an ordinary reset",
        "--reset-stats after a ramp without a failure",
        stats(GOOD),
        kind="stats of a good run",
        right=(PASS,),
        more=_told(_reset(0)),
        also=(says(has="1,900 requests with 0 failures"),),
    ),
    csv_case(
        "a run that was killed",
        "the stats say that 0 of 10,000 failed; the history continues to 891 of 10,900",
        stats(row("/a", 10_000, 0)),
        kind="files that contradict each other",
        thresholds=BOTH,
        more={"run_stats_history.csv": history([10] * 109, 100, KILLED_MS)},
    ),
    csv_case(
        "outdated stats",
        "the stats say that 0 of 1,000 failed; the history says 5,940 of 7,000",
        stats(GOOD),
        kind="files that contradict each other",
        more={"run_stats_history.csv": history([10] * 70, 10, [100.0] * 70)},
    ),
    csv_case(
        "outdated stats for an endpoint",
        "the same with a threshold on the one endpoint",
        stats(GOOD),
        kind="files that contradict each other",
        thresholds=OF_A,
        right=NEVER_PASS,
        more={"run_stats_history.csv": history([10] * 70, 10, [100.0] * 70)},
    ),
    csv_case(
        "failures that stats deny",
        "900 in the failures file, 0 of 1,000 in the stats",
        stats(GOOD),
        kind="files that contradict each other",
        right=NEVER_PASS,
        more={"run_failures.csv": FAILED},
        also=(says(has="900 failures"),),
    ),
    csv_case(
        "failures that stats and history deny",
        "the same, and the history has no failures either",
        stats(GOOD),
        kind="files that contradict each other",
        thresholds=OF_A,
        right=NEVER_PASS,
        more={"run_failures.csv": FAILED, "run_stats_history.csv": history([10] * 10, 99, [100.0] * 10)},
    ),
    csv_case(
        "an endpoint twice",
        "0 of 1,000, then 900 of 1,000",
        stats(GOOD, BAD),
        kind="rows that contradict each other",
        thresholds=OF_A,
        right=NEVER_PASS,
    ),
    csv_case(
        "two files in one",
        "a good run followed by a failed one",
        stats(GOOD) + stats(BAD),
        kind="rows that contradict each other",
        right=NEVER_PASS,
    ),
    csv_case(
        "two files in one, for an endpoint",
        "the same with a threshold on the one endpoint",
        stats(GOOD) + stats(BAD),
        kind="rows that contradict each other",
        thresholds=OF_A,
        right=NEVER_PASS,
    ),
    csv_case(
        "no row for all endpoints",
        "the file ends after the row of one endpoint",
        stats(GOOD).rpartition(b",Aggregated")[0],
        thresholds=BOTH,
        right=(INCONCLUSIVE,),
    ),
    csv_case(
        "far too many exceptions",
        "99,999 for 1,000 requests",
        stats(GOOD),
        right=(INCONCLUSIVE,),
        more={"run_exceptions.csv": RAISED},
        also=(says(has="99,999"),),
    ),
    csv_case(
        "a column twice",
        "two failure counts, 900 and 0",
        stats(BAD).replace(b"Failure Count", b"Failure Count,Failure Count").replace(b"1000,900", b"1000,900,0"),
        right=(REFUSED,),
    ),
    csv_case(
        "files of neighbouring seconds",
        "a good run whose history is a second ahead",
        stats(row("/a", 10_000, 0)),
        kind="stats of a good run",
        thresholds=[*ERRORS, {"expect": "p(95) < 400 ms"}, {"expect": "max < 1 s"}],
        right=(PASS,),
        more={"run_stats_history.csv": history([10] * 101, 999, [100.0] * 101)},
    ),
)
