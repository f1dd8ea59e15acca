"""Turns requests with a known truth directly into the frames of a run, without files."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from loadproof.analysis.frames.run import Run
from loadproof.histogram import BUCKETS, buckets_of
from loadproof.outcome import UNSENT, Outcome
from loadproof.plan.phases import plan_phases
from loadproof.rundir.rows import COUNTERS, HISTOGRAMS, GeneratorRow, IntervalRow
from simulation.rundirs import manifest

if TYPE_CHECKING:
    from loadproof.plan.phases import PhaseSpan
    from loadproof.scenario.scenario import Scenario

Times = NDArray[np.float64]


def poisson(random: np.random.Generator, plan: Scenario) -> Times:
    """Sorted arrival times at each phase's rate, exactly as many as planned, as in the generator."""
    parts = [
        random.uniform(span.start_s, span.end_s, round((span.rate_rps or 0) * (span.end_s - span.start_s)))
        for span in plan_phases(plan)
    ]
    return np.sort(np.concatenate(parts))


def queue(at_s: Times, service_s: Times, *, servers: int) -> Times:
    """Response times of one queue, first come first served, with this many servers (M/M/c for exponential times)."""
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
    """The run as if recorded; each request is for `balance`, and `good` if it is ok and within the deadline."""
    spans = plan_phases(plan)
    ends_s = np.array([span.end_s for span in spans])
    cells = _Cells(plan, spans)
    outcome = np.broadcast_to(cells.outcomes(outcomes), at_s.shape)
    phase = np.minimum(np.searchsorted(ends_s, at_s, side="right"), len(spans) - 1)
    bucket = buckets_of(response_s)
    good = (outcome == cells.outcomes(["ok"])) & (response_s <= plan.deadline)
    second, nowhere = at_s.astype(int), np.zeros_like(bucket)
    cells.add(second, phase, outcome, "response", bucket)
    cells.add(second, phase, outcome, "service", bucket)
    cells.add(second[good], phase[good], outcome[good], "good", nowhere[good])
    cells.add((at_s + response_s).astype(int), phase, outcome, "completed", nowhere)
    return _run(plan, cells.frame(), np.bincount(second, minlength=int(ends_s[-1])), target)


def run_of_seconds(
    plan: Scenario, counted: Mapping[tuple[str, str], NDArray[np.int64]], *, took_s: float = 0.02
) -> Run:
    """The run as if recorded, with this many requests per second, by endpoint and outcome; shapes (seconds,)."""
    spans = plan_phases(plan)
    cells = _Cells(plan, spans)
    seconds = np.arange(int(spans[-1].end_s))
    phase = np.minimum(np.searchsorted([span.end_s for span in spans], seconds, side="right"), len(spans) - 1)
    bucket = np.full(seconds.size, buckets_of(np.array([took_s]))[0])
    for (endpoint, outcome), counts in counted.items():
        outcomes = cells.outcomes([outcome])
        for series in ("response", "completed", *(["good"] if outcome == "ok" else [])):
            where = bucket if series in HISTOGRAMS else np.zeros_like(bucket)
            cells.add(seconds, phase, outcomes, series, where, endpoint=endpoint, counts=counts)
    sent = np.sum(list(counted.values()), axis=0)
    return _run(plan, cells.frame(), sent, None)


def counts_of(times_s: Times) -> NDArray[np.int64]:
    """Number of times in each bucket of a histogram, shape (BUCKETS,)."""
    return np.bincount(buckets_of(times_s), minlength=BUCKETS)


def _run(plan: Scenario, intervals: pd.DataFrame, sent: NDArray[np.int64], target: pd.DataFrame | None) -> Run:
    healthy = dict.fromkeys(GeneratorRow._fields, 0.0) | {"worker": "local", "length_s": 1.0}
    empty = pd.DataFrame({"time_s": [], "metric": [], "value": []})
    return Run(
        path=None,  # type: ignore[arg-type]  # nothing is read from it
        manifest=manifest(plan),
        intervals=intervals,
        generator=pd.DataFrame({**healthy, "second": np.arange(sent.size), "sent": sent}),
        target=empty if target is None else target,
        events=pd.DataFrame({"time_s": [], "kind": [], "detail": []}),
    )


class _Cells:
    """Collects the cells of requests, with the types of a run directory's frames."""

    def __init__(self, plan: Scenario, spans: Sequence[PhaseSpan]) -> None:
        self._kinds = {
            "phase": pd.Index([span.name for span in spans]),
            "endpoint": pd.Index(list(plan.mix)),
            "outcome": pd.Index(["", *map(str, Outcome), *sorted(UNSENT)]),
            "series": pd.Index([*HISTOGRAMS, *COUNTERS]),
        }
        self._keys: list[NDArray[np.int64]] = []
        self._counts: list[NDArray[np.int64]] = []

    def outcomes(self, names: Sequence[str] | NDArray[np.str_]) -> NDArray[np.int64]:
        """Codes of these outcomes, same shape; looked up once for all series, because texts are slow."""
        return np.asarray(self._kinds["outcome"].get_indexer(pd.Index(np.asarray(names))), dtype=np.int64)

    def add(
        self,
        second: NDArray[np.int64],
        phase: NDArray[np.int64],
        outcome: NDArray[np.int64],
        series: str,
        bucket: NDArray[np.int64],
        *,
        endpoint: str = "balance",
        counts: NDArray[np.int64] | None = None,
    ) -> None:
        """Add one count per request, or `counts`; `phase` and `outcome` are codes."""
        codes = [
            phase,
            self._kinds["endpoint"].get_indexer(pd.Index([endpoint])),
            outcome,
            self._kinds["series"].get_indexer(pd.Index([series])),
        ]
        keys = second
        for known, code in zip(self._kinds.values(), codes, strict=True):
            keys = keys * len(known) + code
        keys = keys * BUCKETS + bucket
        self._keys.append(keys)
        self._counts.append(np.ones_like(keys) if counts is None else counts)

    def frame(self) -> pd.DataFrame:
        keys, place = np.unique(np.concatenate(self._keys), return_inverse=True)
        counts = np.bincount(place, weights=np.concatenate(self._counts))
        keys, counts = keys[counts > 0], counts[counts > 0]
        columns: dict[str, Any] = {"count": counts.astype(np.int32), "bucket": (keys % BUCKETS).astype(np.int16)}
        keys //= BUCKETS
        for name, known in reversed(self._kinds.items()):
            columns[name] = pd.Categorical.from_codes(keys % len(known), known)
            keys //= len(known)
        return pd.DataFrame({**columns, "second": keys.astype(np.int32)})[list(IntervalRow._fields)]


def autocorrelated(random: np.random.Generator, n: int, *, phi: float) -> Times:
    """`n` values of an AR(1) process with standard deviation 1."""
    from scipy import signal

    noise = random.normal(0, np.sqrt(1 - phi**2), n)
    noise[0] = random.normal()
    values: Times = signal.lfilter([1], [1, -phi], noise)
    return values
