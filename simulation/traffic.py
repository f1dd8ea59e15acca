"""Requests with a known truth to the frames of a run, in one step and without files."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import signal

from analysis.frames.run import Run
from loadproof.histogram import buckets_of
from loadproof.plan.phases import plan_phases
from loadproof.rundir.rows import GeneratorRow, IntervalRow
from simulation.rundirs import manifest

if TYPE_CHECKING:
    from loadproof.scenario.scenario import Scenario

Times = NDArray[np.float64]


def poisson(random: np.random.Generator, plan: Scenario) -> Times:
    """Arrivals at each phase's rate."""
    parts = [
        random.uniform(span.start_s, span.end_s, random.poisson((span.rate_rps or 0) * (span.end_s - span.start_s)))
        for span in plan_phases(plan)
    ]
    return np.sort(np.concatenate(parts))


def queue(at_s: Times, service_s: Times, *, servers: int) -> Times:
    """Response times of one queue, first come first served, before so many servers (M/M/c for exponential times)."""
    free_s = [0.0] * servers
    ended_s = np.empty(at_s.size)
    for number, (arrived_s, takes_s) in enumerate(zip(at_s.tolist(), service_s.tolist(), strict=True)):
        ended_s[number] = max(arrived_s, heapq.heappop(free_s)) + takes_s
        heapq.heappush(free_s, float(ended_s[number]))
    return ended_s - at_s


def run_of(
    plan: Scenario,
    at_s: Times,
    response_s: Times,
    outcomes: Sequence[str] | NDArray[np.str_] = ("ok",),
    *,
    target: pd.DataFrame | None = None,
) -> Run:
    """As if recorded; each request is of `balance`, `good` where it was ok and within the deadline."""
    spans = plan_phases(plan)
    ends_s = np.array([span.end_s for span in spans])
    names = np.array([span.name for span in spans])
    outcome = np.broadcast_to(np.asarray(outcomes), at_s.shape)
    phase = names[np.minimum(np.searchsorted(ends_s, at_s, side="right"), len(spans) - 1)]
    base = pd.DataFrame({"second": at_s.astype(int), "phase": phase, "endpoint": "balance", "outcome": outcome})
    bucket = buckets_of(response_s)
    good = (outcome == "ok") & (response_s <= plan.deadline)
    parts = [
        base.assign(series="response", bucket=bucket),
        base.assign(series="service", bucket=bucket),
        base[good].assign(series="good", bucket=0),
        base.assign(series="completed", bucket=0, second=(at_s + response_s).astype(int)),
    ]
    keys = list(IntervalRow._fields[:-1])
    counted = pd.concat(parts).groupby(keys, observed=True).size().rename("count").reset_index()
    healthy = dict.fromkeys(GeneratorRow._fields, 0.0) | {"worker": "local"}
    seconds = pd.DataFrame({**healthy, "second": np.arange(int(ends_s[-1]))})
    empty = pd.DataFrame({"time_s": [], "metric": [], "value": []})
    return Run(
        path=None,  # type: ignore[arg-type]  # nothing is read from it
        manifest=manifest(plan),
        intervals=counted,
        generator=seconds,
        target=empty if target is None else target,
        events=pd.DataFrame({"time_s": [], "kind": [], "detail": []}),
    )


def autocorrelated(random: np.random.Generator, n: int, *, phi: float) -> Times:
    """AR(1) with standard deviation 1."""
    noise = random.normal(0, np.sqrt(1 - phi**2), n)
    noise[0] = random.normal()
    values: Times = signal.lfilter([1], [1, -phi], noise)
    return values
