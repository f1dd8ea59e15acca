"""Compares what was sent with what was planned: rules that yield planned load that was never generated.

Load that a slow target prevented isn't included: it counts against the target's goodput.
"""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final, cast

import numpy as np

from loadproof.analysis.estimates.scope import tally
from loadproof.analysis.frames.bursts import bursts
from loadproof.analysis.frames.cellsums import among, sums_by
from loadproof.analysis.judge.disturbance import (
    LESS_LOAD,
    Disturbance,
    measured_names,
    measured_phases,
    reaches,
    seconds_of_rows,
)
from loadproof.outcome import DROPPED
from loadproof.plan.clients import users_allowed
from loadproof.plan.phases import expected_arrivals, seconds_of, users_asked_at
from loadproof.rundir.rows import FOLLOWED, LATE_MS, NEVER_SENT, PRESENT_MS, SENT_NOTHING, SET_OUT, WANTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from loadproof.analysis.frames.run import Run

LOST_SHARE: Final = 0.01
"""Share of a phase's user-seconds that may be lost for reasons other than the target."""
_FEW_UNSENT: Final = 0.001
"""Share of a phase's requests; with more of them unsent, the load was not the planned load."""
_LACKING: Final = {
    WANTS["ports"]: (
        "no free port",
        "widen net.ipv4.ip_local_port_range, add client addresses, keep connections open, or lower the load",
    ),
    WANTS["files"]: ("no file left to open", "raise the limit of open files (`ulimit -n`, fs.file-max)"),
    WANTS["memory"]: ("no memory", "give it more memory (`ulimit -v`, the container's limit, net.core.wmem_max)"),
}
_LOST_USERS: Final = "check generator.log and what the locustfile does between requests, then run again"
_NO_PAUSE: Final = "let no pause within a journey last into a burst;"
_EMPTY_TURNS: Final = (
    "have each task send a request before it returns, and set its pace in the scenario; then run again"
)


def _dropped_while_free(run: Run) -> Iterator[Disturbance]:
    """A worker may only drop an arrival if it has its full share of requests in flight."""
    scenario, workers = run.manifest.scenario, max(run.manifest.workers, 1)
    allowed = {str(rank + 1): users_allowed(scenario, rank, workers) for rank in range(workers)}
    measured = np.any([reaches(run.generator, span) for span in measured_phases(run)], axis=0)
    dropping = run.generator[measured & (run.generator["dropped"] > 0)]
    of_each = dropping["worker"].astype(str).map(allowed).fillna(max(allowed.values()))
    wrong = dropping[dropping["in_flight"] < of_each]
    if len(wrong):
        what = f"{int(wrong['dropped'].sum()):,} arrivals were dropped while users were free"
        yield Disturbance(what, LESS_LOAD, decides=True)


def _own_want(run: Run) -> Iterator[Disturbance]:
    """Requests that this machine had no port, file or memory for say nothing about the target."""
    wanting = run.intervals[among(run.intervals["series"], WANTS.values())]
    if wanting.empty:
        return
    for (phase, series), rows in wanting.groupby(["phase", "series"], observed=True):
        counts = tally(run.intervals[run.intervals["phase"] == phase])
        unsent, begun = int(rows["count"].sum()), counts.offered + counts.unsent
        lacking, remedy = _LACKING[str(series)]
        what = f"phase {phase}: {unsent:,} of {begun:,} requests were not sent: the generator's machine had {lacking}"
        decides = unsent > _FEW_UNSENT * begun and phase in measured_names(run)
        yield Disturbance(what, remedy, seconds_of_rows(rows.assign(length_s=1.0)), decides, frozenset({str(phase)}))


def _not_offered(run: Run) -> Iterator[Disturbance]:
    """In the open model every planned arrival of a complete run is sent or dropped, even if late."""
    if run.manifest.scenario.model != "open" or run.manifest.ending != "completed":
        return
    counted, level_rps = _counted(run), 0.0
    for span in run.phases:
        # The plan only has whole arrivals.
        planned, level_rps = round(expected_arrivals(span, level_rps)), span.rate_rps or 0.0
        counts = sum((counts for (phase, _), counts in counted.items() if phase == span.name), Counter())
        met = _turns_in(counts) + counts[SENT_NOTHING]
        if not span.warm_up and met < 0.99 * planned:
            what = f"phase {span.name}: {met:,} of {planned:,} planned arrivals were offered"
            yield Disturbance(what, LESS_LOAD, decides=True, phases=frozenset({span.name}))


def _empty_turns(run: Run) -> Iterator[Disturbance]:
    """A turn or arrival whose task sends nothing is planned load that was never generated."""
    measured = measured_names(run)
    for (phase, endpoint), counts in _counted(run).items():
        empty, others = counts[SENT_NOTHING], _turns_in(counts) + counts[SET_OUT]
        if phase in measured and empty > LOST_SHARE * (empty + others):
            turns = "arrivals" if run.manifest.scenario.model == "open" else "turns"
            what = f"phase {phase}: {empty:,} of {empty + others:,} {turns} of {endpoint} sent nothing"
            remedy = _EMPTY_TURNS
            if may_lack := _running_out(run):
                remedy = f"{remedy}; or give {may_lack} (which doesn't start over) more rows than each worker has turns"
            yield Disturbance(what, remedy, decides=True, phases=frozenset({phase}))


@functools.lru_cache(maxsize=1)
def _counted(run: Run) -> dict[tuple[str, str], Counter[str]]:
    """Counts of each series, by phase and endpoint; of requests never sent, only dropped arrivals count."""
    counted: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    sums = sums_by(run.intervals, "phase", "endpoint", "series", "outcome")
    for key, count in sums.items():
        phase, endpoint, series, outcome = map(str, cast("tuple[str, ...]", key))
        if series != NEVER_SENT or outcome == DROPPED:
            counted[phase, endpoint][series] += int(count)
    return counted


def _turns_in(counts: Counter[str]) -> int:
    """Turns or arrivals that began with a request, and dropped arrivals; missed turns are not included."""
    began = sum(counts[series] for series in ("response", "abandoned", *WANTS.values())) - counts[FOLLOWED]
    return max(0, began) + counts[NEVER_SENT]


def _missing_users(run: Run) -> Iterator[Disturbance]:
    """In the closed model every user should be present for all of the planned time, and ready when its turn comes."""
    scenario = run.manifest.scenario
    if scenario.model != "closed" or run.manifest.ending != "completed" or run.intervals.empty:
        # Without users, nothing is recorded at all.
        return
    if run.user_times.empty and scenario.locustfile is None:
        # A record without users' times says nothing about them.
        return
    times = sums_by(run.user_times, "second", "phase", "series").to_dict()
    for span in measured_phases(run):
        planned_s, absent_s, late_s = 0.0, 0.0, 0.0
        for second, length_s in seconds_of(span):
            asked_s = users_asked_at(run.phases, max(second, span.start_s)) * length_s
            planned_s += asked_s
            # Users who should be gone but still wait for an answer don't stand in for others.
            beyond_s = times.get((second, span.name, PRESENT_MS), 0) / 1000 - asked_s
            absent_s += max(0.0, -beyond_s)
            # Users that are about to leave need not be ready.
            late_s += max(0.0, times.get((second, span.name, LATE_MS), 0) / 1000 - max(0.0, beyond_s))
        if absent_s + late_s > LOST_SHARE * planned_s:
            what = f"phase {span.name}: {(absent_s + late_s) / planned_s:.1%} of the planned user-seconds were lost, "
            what += f"{_absent_or_late(absent_s, late_s, _running_out(run))}"
            yield Disturbance(what, _LOST_USERS, decides=True, phases=frozenset({span.name}))


def _absent_or_late(absent_s: float, late_s: float, may_lack: str) -> str:
    if absent_s > late_s:
        ended = f", or because {may_lack} had no more rows for them" if may_lack else ""
        return f"mostly because users were missing: too slow to start, or ended by an exception{ended}"
    return "mostly because users were not ready for their turn: their own code or the event loop took too long"


def _running_out(run: Run) -> str:
    """Feeders that stop a user when they run out of rows; workers divide the rows among them, but not the turns."""
    names = [name for name, feeder in run.manifest.scenario.feeders.items() if feeder.runs_out]
    return f"feeder {' or '.join(names)}" if names else ""


def _spread_bursts(run: Run) -> Iterator[Disturbance]:
    """Bursts spread out by users that weren't waiting for the target; docs/validity.md covers the others.

    With more users waiting than may be missing elsewhere it wouldn't have been a burst anyway, because of the target.
    """
    for burst in bursts(run, measured_names(run)):
        if burst.is_spread_by_us and burst.late <= LOST_SHARE * burst.sent:
            what = f"{burst.spread_by_us_text}: not a simultaneous load"
            yield Disturbance(what, f"{_NO_PAUSE} {LESS_LOAD}", decides=True)


RULES: Final[tuple[Callable[[Run], Iterator[Disturbance]], ...]] = (
    _dropped_while_free,
    _own_want,
    _not_offered,
    _empty_turns,
    _missing_users,
    _spread_bursts,
)
