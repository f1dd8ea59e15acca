"""Finds what else the files say about rows of Locust's statistics: a later state, and doubts that may change a verdict.

Except for --reset-stats, Locust's counters only grow, and its files may be written a second or so apart. Whatever one
file has in excess of another, and whatever failed before a reset, is therefore treated as requests that the rows lack,
and a threshold only passes if it would pass with all of them on the bad side.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from loadproof.analysis.estimates.estimate import reported
from loadproof.analysis.foreign.locust.doubt import Doubt
from loadproof.analysis.foreign.locust.entries import SUM, Entry, rounded, together
from loadproof.analysis.foreign.locust.percentiles import percentile_denied
from loadproof.analysis.foreign.locust.upsets import TOTAL, backward_sentence, odd_rows_sentence

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from loadproof.analysis.foreign.locust.csvfiles import LocustRun
    from loadproof.scenario.thresholds.expectation import Expectation

_MS: Final = 1000
_SLIGHTLY_S: Final = 0.0011
"""Times that Locust writes with decimals in one file and without in another differ by less than this."""


def later_of(rows: tuple[Entry, ...], run: LocustRun) -> Entry | None:
    """These rows as in the history, with percentiles if it has any; None if it doesn't continue after the totals."""
    pairs = [(row, _second(row, run)) for row in rows]
    if not any(second is not None and second.requests > row.requests for row, second in pairs):
        return None
    newest = tuple(second if second and second.requests > row.requests else row for row, second in pairs)
    later = newest[0] if len(newest) == 1 else together(newest, name="")
    throughputs = [row.throughput for row in rows if row.throughput and row.throughput.value > 0]
    took_s = max((row.n / row.value for row in throughputs), default=0.0)
    # The history's own requests/s only cover the last seconds.
    throughput = reported(later.requests / (took_s + _more_s(run)), later.requests) if took_s else None
    return replace(later, throughput=throughput)


def doubts_of(rows: tuple[Entry, ...], expectation: Expectation, run: LocustRun) -> Iterator[Doubt]:
    """Doubts about these rows: from the history, the failures, further rows, all endpoints together, and lost rows."""
    yield from _of_history(rows, expectation, run)
    yield from _of_failures(rows, run)
    for row in run.repeats:
        if any(_is_of(row, judged) for judged in rows):
            why = f"the stats file has another row of it, of {_counts(row.requests, row.failures)}"
            yield Doubt(why, row.requests, row.failures, row.requests)
    yield from _of_total(run) if rows == (run.total,) else _of_endpoints(run)
    yield from _of_itself(rows, run)
    yield from _of_upsets(rows, run)
    if rows == (run.total,) and (denial := percentile_denied(expectation, run)):
        yield Doubt(denial, 0, 0, math.inf)


def _of_history(rows: tuple[Entry, ...], expectation: Expectation, run: LocustRun) -> Iterator[Doubt]:
    pairs = [(row, second) for row in rows if (second := _second(row, run)) is not None]
    is_own = len(pairs) == len(rows)
    if not is_own and run.total is not None and run.second_total is not None:
        pairs = [(run.total, run.second_total)]
    requests = sum(max(0, second.requests - row.requests) for row, second in pairs)
    failures = sum(max(0, second.failures - row.failures) for row, second in pairs)
    if requests or failures:
        kept = requests >= failures and _since_keeps(expectation, run, is_own=rows == (run.total,))
        lacking = max(requests, failures)
        why = f"the history file has {_counts(requests, failures)} more than the stats file"
        yield Doubt(
            why if is_own else f"{why}, and it doesn't show for which endpoints",
            requests=lacking,
            failures=failures,
            slow=0 if kept else lacking,
            longest_s=_longest_s(run.second_total, up=True) if run.second_total else math.inf,
            more_s=_more_s(run),
            is_judged=is_own and 0 < requests >= failures,
        )
    if is_own and any(_longest_s(second) > _longest_s(row, up=True) + _SLIGHTLY_S for row, second in pairs):
        longest_s = max(_longest_s(second) for _, second in pairs)
        if not requests and not expectation.holds(longest_s):
            yield Doubt("the history file has a longer time than the stats file", 0, 0, math.inf)


def _of_failures(rows: tuple[Entry, ...], run: LocustRun) -> Iterator[Doubt]:
    """A doubt if the failures file has more failures: Locust writes it with the totals, and each failure is in both."""
    of_all = rows == (run.total,)
    keys = {(row.method, row.name) for row in rows}
    listed = sum(failure.occurrences for failure in run.failures if of_all or (failure.method, failure.name) in keys)
    counted = max(sum(row.failures for row in rows), later.failures if (later := later_of(rows, run)) else 0)
    if listed > counted:
        lacking = listed - counted
        yield Doubt(f"the failures file has {listed:,} failures, the stats file {counted:,}", lacking, lacking, lacking)


def _of_total(run: LocustRun) -> Iterator[Doubt]:
    total = run.total
    if total is None:
        return
    if total.name == SUM:
        yield from _of_sum(total, run)
        return
    if run.has_lost_rows and run.second_total is not None and total == run.second_total:
        yield Doubt("lines of the history file are missing, and their content is unknown", *(math.inf,) * 3)
    rows = [*run.entries, *(row for row in run.repeats if not _is_of(row, total))]
    failures = max(0, sum(row.failures for row in rows) - total.failures)
    requests = max(0, sum(row.requests for row in rows) - total.requests)
    if failures or requests:
        lacking = max(requests, failures)
        why = f"the rows of each endpoint have {_counts(requests, failures)} more than that of all together"
        yield Doubt(why, lacking, failures, lacking)


def _of_sum(total: Entry, run: LocustRun) -> Iterator[Doubt]:
    """A doubt about totals added up from rows: Locust writes the total row last, so other rows may be missing too."""
    if run.has_lost_rows:
        yield Doubt("rows of the stats file are missing, and their content is unknown", *(math.inf,) * 3)
        return
    names = {(row.method, row.name) for row in run.entries}
    is_whole = bool(run.seconds) and {(row.method, row.name) for row in run.seconds} <= names
    if not is_whole and (run.second_total is None or run.second_total.requests < total.requests):
        why = "there is no row for all endpoints, with which Locust ends the file: other rows may be missing too"
        yield Doubt(why, *(math.inf,) * 3)


def _of_endpoints(run: LocustRun) -> Iterator[Doubt]:
    """Doubts from the total: what it has in excess of the endpoints' sum belongs to a lost row, or to these."""
    total, is_whole = run.total, run.total is not None and run.total.name != SUM
    requests = failures = 0
    if total is not None and is_whole:
        requests = max(0, total.requests - sum(row.requests for row in run.entries))
        failures = max(0, total.failures - sum(row.failures for row in run.entries))
    if failures > requests:
        lacking = failures - requests
        why = f"all endpoints together have {lacking:,} failures more than their rows can have"
        yield Doubt(why, lacking, lacking, lacking)
    if run.has_lost_rows:
        unknown = (requests, failures, requests) if is_whole else (math.inf,) * 3
        yield Doubt("rows of the stats file are lost, and one may be of this name, too", *unknown)


def _since_keeps(expectation: Expectation, run: LocustRun, *, is_own: bool) -> bool:
    """Whether, by the history's percentiles, the requests that the totals lack meet a threshold.

    For single endpoints, that is only known if all requests meet it.
    """
    if run.second_total is not None and expectation.holds(_longest_s(run.second_total, up=True)):
        return True
    quantile = expectation.metric.quantile if is_own else 1.0
    since = _since(run)
    if quantile is None or quantile not in since or since.empty or since[quantile].isna().any():
        return False
    return all(expectation.holds(rounded(value_s * _MS, 1).high) for value_s in since[quantile])


def _since(run: LocustRun) -> pd.DataFrame:
    """The history's rows with more requests than the totals, in its last run."""
    most = run.total.requests if run.total is not None else 0
    return run.history[(run.history["requests"] > most) & (run.history["time_s"] >= run.last_run_s)]


def _more_s(run: LocustRun) -> float:
    """How long the history continues after the totals, in s."""
    since = _since(run)
    if since.empty:
        return 0.0
    before = run.history.loc[run.history["time_s"] < since["time_s"].iloc[0], "time_s"]
    return float(since["time_s"].iloc[-1]) - (float(before.iloc[-1]) if len(before) else 0.0)


def _second(row: Entry, run: LocustRun) -> Entry | None:
    """The same row in the history; None if it isn't there."""
    if row is run.total:
        return run.second_total
    return next((second for second in run.seconds if _is_of(second, row)), None)


def _is_of(row: Entry, other: Entry) -> bool:
    return (row.method, row.name) == (other.method, other.name)


def _longest_s(row: Entry, *, up: bool = False) -> float:
    if row.maximum is None:
        return math.inf if up else 0.0
    return row.maximum.high if up else row.maximum.low


def _of_itself(rows: tuple[Entry, ...], run: LocustRun) -> Iterator[Doubt]:
    """A doubt about rows that contradict themselves: they are not as Locust wrote them, so nothing may pass."""
    is_sum = run.total is not None and rows == (run.total,) and run.total.name == SUM
    for row in run.entries if is_sum else rows:
        for contradiction in row.contradictions[:1]:
            yield Doubt(f"its row contradicts itself: {contradiction}", *(math.inf,) * 3, is_of_all=True)


def _of_upsets(rows: tuple[Entry, ...], run: LocustRun) -> Iterator[Doubt]:
    """Doubts from upsets: failures before a reset count; without full history they may be any endpoint's."""
    own = {(row.method, row.name) for row in rows}
    keys = {TOTAL} if rows == (run.total,) or not run.full_history else own
    unclear = "" if keys == own or rows == (run.total,) else ", and it doesn't show for which endpoints"
    falls = [fall for key in sorted(keys) for fall in run.upsets.falls.get(key, ()) if fall.before.failures > 0]
    if falls:
        more = f" (and {len(falls) - 1:,} times more)" if len(falls) > 1 else ""
        why = f"the history's totals {falls[0].what}{more}: what failed before is left out{unclear}"
        failures = sum(fall.before.failures for fall in falls)
        # If requests don't fall, earlier ones are still included.
        requests = sum(fall.before.requests for fall in falls if fall.after.requests < fall.before.requests)
        yield Doubt(why, requests, failures, failures)
    for key in sorted({TOTAL, *own} & set(run.upsets.odd_rows)):
        yield Doubt(odd_rows_sentence("history", *run.upsets.odd_rows[key]), *(math.inf,) * 3, is_of_all=True)
    if run.upsets.backward_steps > 1:
        yield Doubt(backward_sentence(run.upsets.backward_steps), *(math.inf,) * 3, is_of_all=True)


def _counts(requests: int, failures: int) -> str:
    return f"{requests:,} requests and {failures:,} failures"
