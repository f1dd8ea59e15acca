"""Finds what disturbed the measurement in the generator's own record, and whether it could have changed a verdict.

Each rule is a function of the run that yields disturbances; docs/validity.md gives the reasons for the limits.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.analysis.frames.cellsums import among, histogram
from loadproof.analysis.judge import planned
from loadproof.analysis.judge.calmed import calmed, misses_seconds, without
from loadproof.analysis.judge.disturbance import (
    LESS_LOAD,
    Disturbance,
    in_phase,
    measured_phases,
    reaches,
    seconds_of_rows,
)
from loadproof.analysis.judge.finding import CHECK_LOG, Finding
from loadproof.analysis.judge.thresholds import verdicts_differ
from loadproof.histogram import value_at_rank
from loadproof.rundir.rows import FOLLOWED
from loadproof.scenario.thresholds.metrics import GOOD
from loadproof.units import format_duration

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from loadproof.analysis.frames.run import Run
    from loadproof.plan.phases import PhaseSpan
    from loadproof.scenario.scenario import Threshold

BUSY_CPU: Final = 0.95
WAITING: Final = 0.20
"""Share of a second spent ready to run while another process had the core; more counts as a disturbance."""
SHARING: Final = 0.25
"""Share of the runnable time that was spent waiting while another process had the core; more is reported."""
HABIT_SECONDS: Final = 3
"""This many busy or waiting seconds are not a coincidence."""
LAG_SHARE: Final = 0.25
"""Start lag may be this fraction of the tightest limit on response times in the phase."""
LAG_WITHOUT_LIMIT_S: Final = 0.05
LOOP_DELAY_S: Final = 0.25
STANDSTILL_S: Final = 1.0
FROZEN_SECONDS: Final = 3
DISTURBED_SHARE: Final = 0.05
"""Share of a phase's seconds; if more of them are disturbed, the phase did not run as planned."""
STEAL: Final = 0.10
SKEW_S: Final = 0.1
ASLEEP_S: Final = 0.5

_UNBLOCK: Final = "remove blocking code from the locustfile (long computations, calls that gevent can't patch)"
_AWAKE: Final = "don't suspend the machine or the process, and run again"


def disturbances(run: Run) -> Iterator[Finding]:
    """All disturbances: INVALID if they decide or could have changed a threshold's verdict, otherwise notes."""
    disturbing = _found_in(run)
    could_turn = _could_turn(run, frozenset().union(*(disturbance.seconds for disturbance in disturbing)))
    for disturbance in disturbing:
        what, remedy = disturbance.what, disturbance.remedy
        if disturbance.decides or disturbance.seconds:
            yield Finding.depending(what, remedy, matters=disturbance.decides or could_turn)
        else:
            yield Finding.note(what, remedy)


def disturbed_phases(run: Run) -> frozenset[str]:
    """Names of measured phases that did not run as planned: too many seconds disturbed, or one disturbance decides."""
    disturbing = _found_in(run)
    seconds = frozenset[int]().union(*(disturbance.seconds for disturbance in disturbing))
    return frozenset(
        span.name
        for span in measured_phases(run)
        if _is_disturbed(span, seconds) or any(disturbance.spoils(span) for disturbance in disturbing)
    )


@functools.lru_cache(maxsize=2)
def _found_in(run: Run) -> tuple[Disturbance, ...]:
    return tuple(disturbance for rule in RULES for disturbance in rule(run))


def _is_disturbed(span: PhaseSpan, seconds: frozenset[int]) -> bool:
    inside = len(in_phase(span, seconds))
    return inside >= 2 and inside > DISTURBED_SHARE * (span.end_s - span.start_s)


def _could_turn(run: Run, seconds: frozenset[int]) -> bool:
    """Whether disturbances in these seconds could have changed a verdict.

    They could if too much of a phase that a threshold reads was disturbed, or a burst was, or if any verdict changes
    without the disturbed seconds.
    """
    if not seconds:
        return False
    scenario = run.manifest.scenario
    read = scenario.phases_read
    for span in measured_phases(run):
        if span.name in read and _is_disturbed(span, seconds):
            return True
        if seconds.intersection(math.floor(at_s) for at_s in span.bursts_s):
            return True
    # A request answered in a disturbed second may be due before it, and one delayed by it may be sent after it.
    around = seconds | {second - 1 for second in seconds} | {second + 1 for second in seconds}
    return any(
        verdicts_differ(thresholds, run, change(run, around))
        for change, thresholds in _by_what_they_miss(scenario.thresholds)
    )


def _by_what_they_miss(thresholds: Sequence[Threshold]) -> Iterator[tuple[Callable[..., Run], list[Threshold]]]:
    """The function that removes disturbed seconds, with the thresholds to be judged on its result.

    One kind at a time, because each result is a copy of all cells.
    """
    for change, misses in ((calmed, True), (without, False)):
        alike = [threshold for threshold in thresholds if misses_seconds(threshold.expectation) is misses]
        if alike:
            yield change, alike


def _busy(run: Run) -> Iterator[Disturbance]:
    for worker, rows in _measured_by_worker(run):
        busy = rows[rows["cpu_ratio"] >= BUSY_CPU]
        if len(busy) >= HABIT_SECONDS:
            lag = format_duration(float(busy["lag_p99_s"].max()))
            what = f"worker {worker} at {busy['cpu_ratio'].median():.0%} CPU for {len(busy)} s, p99 start lag {lag}"
            yield Disturbance(what, LESS_LOAD, seconds_of_rows(busy))


def _waiting(run: Run) -> Iterator[Disturbance]:
    for worker, rows in _measured_by_worker(run):
        share = rows["wait_ratio"] / (rows["wait_ratio"] + rows["cpu_ratio"]).clip(lower=0.02)
        shared, waiting = rows[share >= SHARING], rows[rows["wait_ratio"] >= WAITING]
        if len(shared) >= HABIT_SECONDS:
            ready = f"{share.max():.0%} of the time that it was ready to run"
            what = f"worker {worker} waited for its core in {len(shared)} s, for up to {ready}"
            harmful = seconds_of_rows(waiting) if len(waiting) >= HABIT_SECONDS else frozenset[int]()
            yield Disturbance(what, "keep other work off the generator's core, then run again", harmful)


def _starved_loop(run: Run) -> Iterator[Disturbance]:
    remedy = LESS_LOAD if run.manifest.scenario.locustfile is None else f"{_UNBLOCK}, {LESS_LOAD}"
    for worker, rows in _measured_by_worker(run):
        starved = rows[rows["loop_delay_s"] > LOOP_DELAY_S]
        if len(starved):
            worst_s = float(starved["loop_delay_s"].max())
            times = "once" if len(starved) == 1 else f"{len(starved)} times"
            what = f"worker {worker}: the event loop stalled {times}, for up to {format_duration(worst_s)}"
            yield Disturbance(what, remedy, seconds_of_rows(starved), decides=worst_s > STANDSTILL_S)


def _frozen(run: Run) -> Iterator[Disturbance]:
    for worker, rows in run.generator.groupby("worker"):
        gaps = np.diff(np.sort(rows["second"].to_numpy()))
        if gaps.size and gaps.max() > FROZEN_SECONDS:
            yield Disturbance(f"worker {worker} was frozen for {gaps.max() - 1:.0f} s", _AWAKE, decides=True)


def _unrecorded(run: Run) -> Iterator[Disturbance]:
    """If a completed run lacks records at its start or end, the generator stood still there, or they were lost."""
    if run.manifest.ending != "completed" or run.generator.empty:
        return
    missing_s = {"first": float(run.generator["second"].min()), "last": run.phases[-1].end_s - run.measured_s}
    for which, length_s in missing_s.items():
        if length_s >= FROZEN_SECONDS:
            what = f"the generator left no record of the {which} {format_duration(length_s)}"
            yield Disturbance(what, CHECK_LOG, decides=True)


def _asleep(run: Run) -> Iterator[Disturbance]:
    asleep_s = run.generator["asleep_s"].max()
    if asleep_s > ASLEEP_S:
        yield Disturbance(f"the machine slept for {format_duration(float(asleep_s))}", _AWAKE, decides=True)


def _late_sends(run: Run) -> Iterator[Disturbance]:
    for span in measured_phases(run):
        lags, followed = _lag_counts(run, span)
        timed = int(lags.sum()) - followed
        if timed <= 0:
            continue
        lag_s = value_at_rank(lags, followed + math.ceil(0.99 * timed)) * 1e-6
        limit_s = _lag_limit_s(run, span)
        if lag_s > limit_s:
            what = f"phase {span.name}: p99 start lag {format_duration(lag_s)}, more than {format_duration(limit_s)}"
            rows = run.generator[run.generator["second"].between(span.start_s, span.end_s, "left")]
            late = seconds_of_rows(rows[rows["lag_p99_s"] > limit_s])
            yield Disturbance(what, LESS_LOAD, late, decides=not late, phases=frozenset({span.name}))


def _lag_counts(run: Run, span: PhaseSpan) -> tuple[NDArray[np.int64], int]:
    """The histogram of start lags, and how many are zero by definition: later requests of a journey start when due."""
    rows = run.intervals[among(run.intervals["phase"], (span.name,))]
    return histogram(rows, "lag"), int(rows.loc[among(rows["series"], (FOLLOWED,)), "count"].sum())


def _lag_limit_s(run: Run, span: PhaseSpan) -> float:
    """A share of the tightest limit on times in this phase.

    What is late because of us is no goodput either, so the deadlines of goodput count, too; but for them a lag is
    accepted that needs no excuse where nothing limits times.
    """
    scenario = run.manifest.scenario
    read = [threshold for threshold in scenario.thresholds if span.name in scenario.phases_of(threshold)]
    limits = [
        threshold.expectation.limit
        for threshold in read
        if threshold.series == "response"
        and threshold.expectation.metric.kind.reads_times
        and not threshold.expectation.of_baseline
    ]
    groups = [scenario.group_of(threshold) for threshold in read if threshold.expectation.metric.kind.counted == GOOD]
    deadlines_s = [group.deadline if group else scenario.deadline for group in groups]
    limit_s = LAG_SHARE * min(limits) if limits else LAG_WITHOUT_LIMIT_S
    return min([limit_s, *(max(LAG_SHARE * deadline_s, LAG_WITHOUT_LIMIT_S) for deadline_s in deadlines_s)])


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
            yield Disturbance(
                f"worker {worker}'s wall clock was moved by {total}", "nothing is timed by it during a run"
            )


def _stolen(run: Run) -> Iterator[Disturbance]:
    rows = _measured_seconds(run)
    stolen = rows[rows["steal_ratio"] >= STEAL]
    if len(stolen):
        what = f"{stolen['steal_ratio'].max():.0%} of the machine's CPU time was stolen in {len(stolen)} s"
        yield Disturbance(what, "a quieter machine gives narrower intervals")


def _measured_seconds(run: Run) -> pd.DataFrame:
    """The generator's rows that are not entirely in warm-up, or after the plan."""
    inside = np.zeros(len(run.generator), dtype=bool)
    for span in measured_phases(run):
        inside |= reaches(run.generator, span)
    return run.generator[inside]


@functools.lru_cache(maxsize=2)
def _measured_by_worker(run: Run) -> tuple[tuple[str, pd.DataFrame], ...]:
    """The rows of `_measured_seconds` by worker."""
    return tuple((str(worker), rows) for worker, rows in _measured_seconds(run).groupby("worker"))


RULES: Final[tuple[Callable[[Run], Iterator[Disturbance]], ...]] = (
    _frozen,
    _unrecorded,
    _asleep,
    _busy,
    _waiting,
    _starved_loop,
    _late_sends,
    *planned.RULES,
    _clocks,
    _stolen,
)
