"""Locust's CSVs that contradict each other, or lack what another one has, passed to `loadproof report`."""

from __future__ import annotations

from bench.adversary.case import INCONCLUSIVE, PASS, REFUSED
from bench.adversary.stats import BAD, ERRORS, GOOD, NEVER_PASS, csv_case, history, row, says, stats
from simulation.locustcsvs import EXCEPTIONS, FAILURES, csv_text

KILLED_MS = [100.0] * 100 + [5000.0] * 9
BOTH: list[dict[str, object]] = [*ERRORS, {"expect": "p(95) < 400 ms"}]
OF_A: list[dict[str, object]] = [{"endpoint": "/a", "expect": "error_ratio < 1 %"}]
FAILED = csv_text(FAILURES, [["GET", "/a", "HTTPError('500')", 900]], end="\n").encode()
RAISED = csv_text(EXCEPTIONS, [[99_999, "KeyError('id')", "", "local"]], end="\n").encode()
CASES = (
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
