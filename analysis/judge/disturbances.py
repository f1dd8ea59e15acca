"""The generator's own record to what disturbed the measurement, and whether that could have turned a threshold.

Each rule is a function of the run that yields what it found; docs/validity.md gives the reasons for the limits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from analysis.estimates.metrics import tally
from analysis.frames.bursts import bursts
from analysis.frames.cellsums import histogram, sums_by
from analysis.judge.finding import Finding
from analysis.judge.judgement import Word
from analysis.judge.thresholds import judge
from loadproof.histogram import value_at_rank
from loadproof.outcome import DROPPED
from loadproof.plan.phases import expected_arrivals, seconds_of, users_asked_at
from loadproof.rundir.rows import FOLLOWED, LATE_MS, NEVER_SENT, PRESENT_MS, SENT_NOTHING, WANTS
from loadproof.units import format_duration

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from analysis.frames.run import Run
    from loadproof.plan.phases import PhaseSpan

BUSY_CPU: Final = 0.95
WAITING: Final = 0.20
"""Of a second, ready to run while another process had the core; more is weighed."""
SHARING: Final = 0.25
"""Of the time that it could have run, ready while another process had the core; more is told."""
HABIT_SECONDS: Final = 3
"""So many busy or waiting seconds are no accident."""
LAG_SHARE: Final = 0.25
"""Start lag may be this part of the tightest limit on a time that reads the phase."""
LAG_WITHOUT_LIMIT_S: Final = 0.05
LOOP_DELAY_S: Final = 0.25
STANDSTILL_S: Final = 1.0
FROZEN_SECONDS: Final = 3
DISTURBED_SHARE: Final = 0.05
"""Of a phase's seconds; with more of them disturbed it was not the phase that was planned."""
LOST_SHARE: Final = 0.01
"""Of a phase's user-seconds, for whatever reason that is not the target's."""
BURST_SPREAD_S: Final = 0.05
STEAL: Final = 0.10
SKEW_S: Final = 0.1
ASLEEP_S: Final = 0.5
_JITTER_S: Final = 0.1
"""By so much a row may reach into the next second and tell nothing of it."""
_LONGEST_S: Final = 60.0
"""What claims to be longer is damaged; so long a standstill decides by itself."""

_FEW_UNSENT: Final = 0.001
"""Of a phase's requests; more of them unsent were another load than planned."""
_LACKING: Final = {
    WANTS["ports"]: (
        "no free port",
        "widen net.ipv4.ip_local_port_range, add client addresses, keep connections open, or lower the load",
    ),
    WANTS["files"]: ("no file left to open", "raise the limit of open files (`ulimit -n`, fs.file-max)"),
    WANTS["memory"]: ("no memory", "give it more memory (`ulimit -v`, the container's limit, net.core.wmem_max)"),
}
LESS_LOAD: Final = "free the generator's core, add workers, or lower the load, then run again"
_HARMLESS: Final = "; no threshold turns on it"
_LOST_USERS: Final = "look into generator.log and at what the locustfile does between requests, then run again"
_EMPTY_TURNS: Final = "let each task send a request before it returns, and the scenario say how often; then run again"
_AWAKE: Final = "don't suspend the machine or the process, and run again"


@dataclass(frozen=True)
class Disturbance:
    """Something that was the generator's or its machine's, not the target's."""

    what: str
    remedy: str
    seconds: frozenset[int] = frozenset()
    """In which requests may have been sent or timed late."""
    decides: bool = False
    """Whatever the thresholds say: the load was not the planned one."""
    phases: frozenset[str] = frozenset()
    """Whose load it was; empty where it may be any phase's."""

    def spoils(self, span: PhaseSpan) -> bool:
        """Decides, and not on other phases only."""
        is_in_it = bool(_in_phase(span, self.seconds)) or span.name in self.phases
        return self.decides and (is_in_it or not (self.seconds or self.phases))


def disturbances(run: Run) -> Iterator[Finding]:
    """All of them; INVALID if they decide or could have turned a threshold, else notes."""
    found = [one for rule in RULES for one in rule(run)]
    could_turn = _could_turn(run, frozenset().union(*(one.seconds for one in found)))
    for one in found:
        if one.decides or (could_turn and one.seconds):
            yield Finding(Word.INVALID, one.what, one.remedy)
        else:
            yield Finding(Word.PASS, f"{one.what}{_HARMLESS if one.seconds else ''}", one.remedy)


def disturbed_phases(run: Run) -> frozenset[str]:
    """Measured phases that were not what was planned: too much of them was disturbed, or what decides was there."""
    found = [disturbance for rule in RULES for disturbance in rule(run)]
    seconds = frozenset[int]().union(*(disturbance.seconds for disturbance in found))
    return frozenset(
        span.name
        for span in _measured_phases(run)
        if _is_disturbed(span, seconds) or any(disturbance.spoils(span) for disturbance in found)
    )


def _is_disturbed(span: PhaseSpan, seconds: frozenset[int]) -> bool:
    inside = len(_in_phase(span, seconds))
    return inside >= 2 and inside > DISTURBED_SHARE * (span.end_s - span.start_s)


def _in_phase(span: PhaseSpan, seconds: frozenset[int]) -> list[int]:
    """Those of which a part is the phase's; of two phases that share one, either's."""
    return [second for second in seconds if span.start_s < second + 1 and second < span.end_s]


def _could_turn(run: Run, seconds: frozenset[int]) -> bool:
    """Too much of a phase that a threshold reads was disturbed, or a burst, or a word changes without these seconds."""
    if not seconds:
        return False
    scenario = run.manifest.scenario
    read = {phase for threshold in scenario.thresholds for phase in scenario.phases_of(threshold)}
    for span in _measured_phases(run):
        if span.name in read and _is_disturbed(span, seconds):
            return True
        if seconds.intersection(math.floor(at_s) for at_s in span.bursts_s):
            return True
    # Who was to be answered in a disturbed second was sent before it, and who was late was sent after it.
    around = seconds | {second - 1 for second in seconds} | {second + 1 for second in seconds}
    calm = replace(run, intervals=run.intervals[~run.intervals["second"].isin(around)])
    thresholds = run.manifest.scenario.thresholds
    return any(judge(threshold, run).word is not judge(threshold, calm).word for threshold in thresholds)


def _busy(run: Run) -> Iterator[Disturbance]:
    for worker, rows in _measured_seconds(run).groupby("worker"):
        busy = rows[rows["cpu_ratio"] >= BUSY_CPU]
        if len(busy) >= HABIT_SECONDS:
            lag = format_duration(float(busy["lag_p99_s"].max()))
            what = f"worker {worker} at {busy['cpu_ratio'].median():.0%} CPU for {len(busy)} s, p99 start lag {lag}"
            yield Disturbance(what, LESS_LOAD, _seconds(busy))


def _waiting(run: Run) -> Iterator[Disturbance]:
    for worker, rows in _measured_seconds(run).groupby("worker"):
        share = rows["wait_ratio"] / (rows["wait_ratio"] + rows["cpu_ratio"]).clip(lower=0.02)
        shared, waiting = rows[share >= SHARING], rows[rows["wait_ratio"] >= WAITING]
        if len(shared) >= HABIT_SECONDS:
            ready = f"{share.max():.0%} of the time that it was ready to run"
            what = f"worker {worker} waited for its core in {len(shared)} s, for up to {ready}"
            harmful = _seconds(waiting) if len(waiting) >= HABIT_SECONDS else frozenset[int]()
            yield Disturbance(what, "keep other work off the generator's core, then run again", harmful)


def _starved_loop(run: Run) -> Iterator[Disturbance]:
    for worker, rows in _measured_seconds(run).groupby("worker"):
        starved = rows[rows["loop_delay_s"] > LOOP_DELAY_S]
        if len(starved):
            worst_s = float(starved["loop_delay_s"].max())
            times = "once" if len(starved) == 1 else f"{len(starved)} times"
            what = f"worker {worker}: the event loop stood still {times}, for up to {format_duration(worst_s)}"
            yield Disturbance(what, LESS_LOAD, _seconds(starved), decides=worst_s > STANDSTILL_S)


def _frozen(run: Run) -> Iterator[Disturbance]:
    for worker, rows in run.generator.groupby("worker"):
        gaps = np.diff(np.sort(rows["second"].to_numpy()))
        if gaps.size and gaps.max() > FROZEN_SECONDS:
            yield Disturbance(f"worker {worker} was frozen for {gaps.max() - 1:.0f} s", _AWAKE, decides=True)


def _asleep(run: Run) -> Iterator[Disturbance]:
    asleep_s = run.generator["asleep_s"].max()
    if asleep_s > ASLEEP_S:
        yield Disturbance(f"the machine slept for {format_duration(float(asleep_s))}", _AWAKE, decides=True)


def _late_sends(run: Run) -> Iterator[Disturbance]:
    for span in _measured_phases(run):
        lags = _lag_counts(run, span)
        n = int(lags.sum())
        if not n:
            continue
        lag_s = value_at_rank(lags, math.ceil(0.99 * n)) * 1e-6
        limit_s = _lag_limit_s(run, span)
        if lag_s > limit_s:
            what = f"phase {span.name}: p99 start lag {format_duration(lag_s)}, more than {format_duration(limit_s)}"
            rows = run.generator[run.generator["second"].between(span.start_s, span.end_s, "left")]
            late = _seconds(rows[rows["lag_p99_s"] > limit_s])
            yield Disturbance(what, LESS_LOAD, late, decides=not late, phases=frozenset({span.name}))


def _lag_counts(run: Run, span: PhaseSpan) -> NDArray[np.int64]:
    return histogram(run.intervals[run.intervals["phase"] == span.name], "lag")


def _lag_limit_s(run: Run, span: PhaseSpan) -> float:
    scenario = run.manifest.scenario
    limits = [
        threshold.expectation.limit
        for threshold in scenario.thresholds
        if span.name in scenario.phases_of(threshold)
        and threshold.series == "response"
        and threshold.expectation.metric.name in {"p", "max", "mean"}
        and not threshold.expectation.of_baseline
    ]
    return LAG_SHARE * min(limits) if limits else LAG_WITHOUT_LIMIT_S


def _dropped_while_free(run: Run) -> Iterator[Disturbance]:
    """A worker drops an arrival only when as many are in flight as it may have."""
    allowed = math.ceil(run.manifest.scenario.max_in_flight / max(run.manifest.workers, 1))
    wrong = run.generator[(run.generator["dropped"] > 0) & (run.generator["in_flight"] < allowed)]
    if len(wrong):
        what = f"{int(wrong['dropped'].sum()):,} arrivals were dropped while users were free"
        yield Disturbance(what, LESS_LOAD, decides=True)


def _own_want(run: Run) -> Iterator[Disturbance]:
    """What this machine had no port, file or memory for says nothing of the target."""
    wanting = run.intervals[run.intervals["series"].isin(WANTS.values())]
    for (phase, series), rows in wanting.groupby(["phase", "series"], observed=True):
        counts = tally(run.intervals[run.intervals["phase"] == phase])
        unsent, begun = int(rows["count"].sum()), counts.offered + counts.unsent
        lacking, remedy = _LACKING[str(series)]
        what = f"phase {phase}: {unsent:,} of {begun:,} requests were not sent: the generator's machine had {lacking}"
        decides = unsent > _FEW_UNSENT * begun
        yield Disturbance(what, remedy, _seconds(rows.assign(length_s=1.0)), decides, frozenset({str(phase)}))


def _not_offered(run: Run) -> Iterator[Disturbance]:
    """In the open model every planned arrival of a whole phase is sent or dropped, if only late."""
    if run.manifest.scenario.model != "open" or run.manifest.ending != "completed":
        return
    level_rps = 0.0
    for span in run.manifest.phases:
        # As many as the plan has: a part of an arrival is none.
        planned, level_rps = round(expected_arrivals(span, level_rps)), span.rate_rps or 0.0
        rows = run.intervals[run.intervals["phase"] == span.name]
        met = _turns_in(rows) + _count(rows, SENT_NOTHING)
        if not span.warm_up and met < 0.99 * planned:
            what = f"phase {span.name}: {met:,} of {planned:,} planned arrivals were offered"
            yield Disturbance(what, LESS_LOAD, decides=True, phases=frozenset({span.name}))


def _empty_turns(run: Run) -> Iterator[Disturbance]:
    """A turn, or an arrival, whose task sends nothing is load that was planned and never there."""
    for span in _measured_phases(run):
        in_phase = run.intervals[run.intervals["phase"] == span.name]
        for endpoint, rows in in_phase.groupby("endpoint", observed=True):
            empty, others = _count(rows, SENT_NOTHING), _turns_in(rows)
            if empty > LOST_SHARE * (empty + others):
                turns = "arrivals" if run.manifest.scenario.model == "open" else "turns"
                what = f"phase {span.name}: {empty:,} of {empty + others:,} {turns} of {endpoint} sent nothing"
                yield Disturbance(what, _EMPTY_TURNS, decides=True, phases=frozenset({span.name}))


def _turns_in(rows: pd.DataFrame) -> int:
    """Turns, or arrivals, that began with a request, and dropped arrivals; turns that were missed are none of these."""
    began = _count(rows, "response", "abandoned", *WANTS.values()) - _count(rows, FOLLOWED)
    return max(0, began) + _count(rows[rows["outcome"] == DROPPED], NEVER_SENT)


def _count(rows: pd.DataFrame, *series: str) -> int:
    return int(rows.loc[rows["series"].isin(series), "count"].sum())


def _missing_users(run: Run) -> Iterator[Disturbance]:
    """In the closed model every user is there all the time that was planned, and ready when its turn comes."""
    if run.manifest.scenario.model != "closed" or run.manifest.ending != "completed" or run.user_times.empty:
        # Earlier versions did not record it; of a run without any user, nothing is recorded at all.
        return
    times = sums_by(run.user_times, "second", "phase", "series").to_dict()
    for span in _measured_phases(run):
        planned_s, absent_s, late_s = 0.0, 0.0, 0.0
        for second, length_s in seconds_of(span):
            asked_s = users_asked_at(run.manifest.phases, max(second, span.start_s)) * length_s
            planned_s += asked_s
            # Those who ought to be gone, and still wait for an answer, don't stand in for others.
            beyond_s = times.get((second, span.name, PRESENT_MS), 0) / 1000 - asked_s
            absent_s += max(0.0, -beyond_s)
            # Of those who are to be gone nobody asks whether they are ready.
            late_s += max(0.0, times.get((second, span.name, LATE_MS), 0) / 1000 - max(0.0, beyond_s))
        if absent_s + late_s > LOST_SHARE * planned_s:
            what = f"phase {span.name}: {(absent_s + late_s) / planned_s:.1%} of the planned user-seconds were lost, "
            what += f"{_absent_or_late(absent_s, late_s)}"
            yield Disturbance(what, _LOST_USERS, decides=True, phases=frozenset({span.name}))


def _absent_or_late(absent_s: float, late_s: float) -> str:
    if absent_s > late_s:
        return "most because users were not there: too slow to come, or ended by an exception"
    return "most because users were not ready at their turn: their own code took too long, or the event loop"


def _spread_bursts(run: Run) -> Iterator[Disturbance]:
    """Of a burst whose users were all free; docs/validity.md on the others."""
    for burst in bursts(run):
        if burst.spread_s > BURST_SPREAD_S and not burst.late:
            what = f"burst {burst.number}: {burst.sent} sends spread over {format_duration(burst.spread_s)}"
            yield Disturbance(f"{what}: no simultaneous load", LESS_LOAD, decides=True)


def _clocks(run: Run) -> Iterator[Disturbance]:
    for worker, rows in run.generator.groupby("worker"):
        skew_s = float(rows["clock_skew_s"].iloc[-1])
        if abs(skew_s) > SKEW_S:
            side = "ahead of" if skew_s > 0 else "behind"
            what = f"worker {worker}'s clock is {format_duration(abs(skew_s))} {side} the master's"
            yield Disturbance(what, "synchronise the machines' clocks (NTP), then run again", decides=True)
        steps_s = rows.loc[rows["clock_step_s"].abs() > ASLEEP_S, "clock_step_s"]
        if len(steps_s):
            total = format_duration(float(steps_s.abs().sum()))
            yield Disturbance(f"worker {worker}'s wall clock was set by {total}", "nothing is timed by it during a run")


def _stolen(run: Run) -> Iterator[Disturbance]:
    rows = _measured_seconds(run)
    stolen = rows[rows["steal_ratio"] >= STEAL]
    if len(stolen):
        what = f"{stolen['steal_ratio'].max():.0%} of the machine's CPU time was stolen in {len(stolen)} s"
        yield Disturbance(what, "a quieter machine gives narrower intervals")


def _seconds(rows: pd.DataFrame) -> frozenset[int]:
    """All that these rows reach into."""
    ends = np.ceil(rows["second"] + rows["length_s"].clip(0, _LONGEST_S) - _JITTER_S)
    return frozenset(
        second
        for first, end in zip(rows["second"], ends, strict=True)
        for second in range(int(first), max(int(end), int(first) + 1))
    )


def _measured_phases(run: Run) -> list[PhaseSpan]:
    return [span for span in run.manifest.phases if not span.warm_up]


def _measured_seconds(run: Run) -> pd.DataFrame:
    """The generator's rows outside of warm-up."""
    inside = np.zeros(len(run.generator), dtype=bool)
    for span in _measured_phases(run):
        inside |= run.generator["second"].between(math.ceil(span.start_s), span.end_s - 1).to_numpy()
    return run.generator[inside]


RULES: Final[tuple[Callable[[Run], Iterator[Disturbance]], ...]] = (
    _frozen,
    _asleep,
    _busy,
    _waiting,
    _starved_loop,
    _late_sends,
    _dropped_while_free,
    _own_want,
    _not_offered,
    _empty_turns,
    _missing_users,
    _spread_bursts,
    _clocks,
    _stolen,
)
