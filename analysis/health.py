"""A run to findings about the measurement itself: what was the generator's fault, what the target's.

Each rule is a function of the run that yields what it found; docs/decisions/0004 gives the reasons for the limits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from analysis.metrics import bursts, tally
from analysis.thresholds import Word
from loadproof.histogram import BUCKETS, value_at_rank
from loadproof.units import Dimension, format_duration

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from analysis.frames import Run
    from loadproof.rundir import PhaseSpan

BUSY_CPU: Final = 0.95
BUSY_SECONDS: Final = 3
LAG_SHARE: Final = 0.25
"""Start lag may be this part of the tightest limit on a time that reads the phase."""
LAG_WITHOUT_LIMIT_S: Final = 0.05
LOOP_DELAY_S: Final = 0.25
LOOP_DELAY_SECONDS: Final = 2
FROZEN_SECONDS: Final = 3
BURST_SPREAD_S: Final = 0.05
STEAL: Final = 0.10

_CUT_SHORT: Final = frozenset({"interrupted", "terminated", "running"})
"""Endings by which there may be few requests, or none."""

_LESS_LOAD: Final = "free the generator's core, add workers, or lower the load, then run again"


@dataclass(frozen=True)
class Finding:
    """Something that the run shows beside its thresholds."""

    word: Word
    """INVALID and FAIL decide, INCONCLUSIVE weakens, PASS is a note."""
    what: str
    remedy: str


def examine(run: Run) -> tuple[Finding, ...]:
    """All findings, in the order of the rules."""
    return tuple(finding for rule in RULES for finding in rule(run))


def _ending(run: Run) -> Iterator[Finding]:
    manifest = run.manifest
    detail = f" ({manifest.ending_detail})" if manifest.ending_detail else ""
    planned_s = manifest.phases[-1].end_s
    came = f"{format_duration(run.measured_s)} of {format_duration(planned_s)}"
    match manifest.ending:
        case "target_died":
            yield Finding(
                Word.FAIL,
                f"the target died after {came}{detail}",
                "look into target.log and its memory, then run again",
            )
        case "generator_died":
            remedy = "look into generator.log, then run again"
            yield Finding(Word.INVALID, f"the generator died after {came}{detail}", remedy)
        case "disk_full":
            yield Finding(Word.INVALID, f"recording stopped after {came}{detail}", "free disk space and run again")
        case "interrupted" | "terminated":
            yield Finding(Word.INCONCLUSIVE, f"{manifest.ending} after {came}", "run it to its end")
        case "running":
            yield Finding(Word.INCONCLUSIVE, f"cut off after {came}: it never ended in order", "run it to its end")


def _nothing_recorded(run: Run) -> Iterator[Finding]:
    if run.intervals.empty and run.manifest.ending not in _CUT_SHORT:
        yield Finding(Word.INVALID, "no request was recorded", "look into generator.log, then run again")
    for damage in run.damage:
        yield Finding(Word.PASS, damage, "nothing to do if the run was cut off")


def _lost_requests(run: Run) -> Iterator[Finding]:
    """Each request sent has one outcome, or was abandoned by our own stop."""
    if run.manifest.ending in _CUT_SHORT | {"generator_died", "disk_full"} or run.generator.empty:
        return
    counts = tally(run.intervals)
    sent = int(run.generator["sent"].sum())
    accounted = counts.sent + counts.abandoned
    if sent != accounted:
        what = f"{sent:,} requests were sent, {accounted:,} are accounted for"
        yield Finding(Word.INVALID, what, "this is a defect of loadproof: keep the run directory and report it")


def _busy_generator(run: Run) -> Iterator[Finding]:
    for worker, seconds in _measured_seconds(run).groupby("worker"):
        busy = seconds[seconds["cpu_ratio"] >= BUSY_CPU]
        if len(busy) >= BUSY_SECONDS:
            lag = format_duration(float(busy["lag_p99_s"].max()))
            what = f"worker {worker} at {busy['cpu_ratio'].median():.0%} CPU for {len(busy)} s, p99 start lag {lag}"
            yield Finding(Word.INVALID, what, _LESS_LOAD)


def _starved_loop(run: Run) -> Iterator[Finding]:
    for worker, seconds in _measured_seconds(run).groupby("worker"):
        starved = seconds[seconds["loop_delay_s"] > LOOP_DELAY_S]
        worst_s = float(starved["loop_delay_s"].max()) if len(starved) else 0.0
        if len(starved) >= LOOP_DELAY_SECONDS or worst_s > 4 * LOOP_DELAY_S:
            times = "once" if len(starved) == 1 else f"{len(starved)} times"
            what = f"worker {worker}: the event loop stood still {times}, for up to {format_duration(worst_s)}"
            yield Finding(Word.INVALID, what, _LESS_LOAD)


def _frozen_generator(run: Run) -> Iterator[Finding]:
    for worker, seconds in run.generator.groupby("worker"):
        gaps = np.diff(np.sort(seconds["second"].to_numpy()))
        if gaps.size and gaps.max() > FROZEN_SECONDS:
            what = f"worker {worker} was frozen for {gaps.max() - 1:.0f} s"
            yield Finding(Word.INVALID, what, "don't suspend the machine or the process, and run again")


def _late_sends(run: Run) -> Iterator[Finding]:
    for span in run.manifest.phases:
        if span.warm_up:
            continue
        lags = _lag_counts(run, span)
        n = int(lags.sum())
        if not n:
            continue
        lag_s = value_at_rank(lags, math.ceil(0.99 * n)) * 1e-6
        limit_s = _lag_limit_s(run, span)
        if lag_s > limit_s:
            what = (
                f"phase {span.name}: p99 start lag {format_duration(lag_s)}, more than "
                f"{format_duration(limit_s)} would blur its thresholds"
            )
            yield Finding(Word.INVALID, what, _LESS_LOAD)


def _lag_counts(run: Run, span: PhaseSpan) -> NDArray[np.int64]:
    rows = run.intervals[(run.intervals["phase"] == span.name) & (run.intervals["series"] == "lag")]
    return np.bincount(rows["bucket"], weights=rows["count"], minlength=BUCKETS).astype(np.int64)


def _lag_limit_s(run: Run, span: PhaseSpan) -> float:
    scenario = run.manifest.scenario
    limits = [
        threshold.expectation.limit
        for threshold in scenario.thresholds
        if span.name in scenario.phases_of(threshold)
        and threshold.expectation.metric.dimension is Dimension.DURATION
        and threshold.expectation.metric.name != "spread"
    ]
    return LAG_SHARE * min(limits) if limits else LAG_WITHOUT_LIMIT_S


def _spread_bursts(run: Run) -> Iterator[Finding]:
    for burst in bursts(run):
        if burst.spread_s <= BURST_SPREAD_S:
            continue
        what = f"burst {burst.number}: {burst.sent} sends spread over {format_duration(burst.spread_s)}"
        if burst.late:
            what += f", {burst.late} users were still waiting for an answer"
            yield Finding(Word.FAIL, what, "the target is too slow for the pace before the burst")
        else:
            yield Finding(Word.INVALID, f"{what}: no simultaneous load", _LESS_LOAD)


def _stolen_time(run: Run) -> Iterator[Finding]:
    seconds = _measured_seconds(run)
    stolen = seconds[seconds["steal_ratio"] >= STEAL]
    if len(stolen):
        what = f"{stolen['steal_ratio'].max():.0%} of the machine's CPU time was stolen in {len(stolen)} s"
        yield Finding(Word.PASS, what, "a quieter machine gives narrower intervals")


def _measured_seconds(run: Run) -> pd.DataFrame:
    """The generator's rows outside of warm-up."""
    inside = np.zeros(len(run.generator), dtype=bool)
    for span in run.manifest.phases:
        if not span.warm_up:
            inside |= run.generator["second"].between(math.ceil(span.start_s), span.end_s - 1).to_numpy()
    return run.generator[inside]


RULES: Final[tuple[Callable[[Run], Iterator[Finding]], ...]] = (
    _ending,
    _nothing_recorded,
    _lost_requests,
    _frozen_generator,
    _busy_generator,
    _starved_loop,
    _late_sends,
    _spread_bursts,
    _stolen_time,
)
