"""Turns traffic into an overview: each phase, all endpoints together and individually, in one pass over the cells."""

from __future__ import annotations

import functools
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.analysis.estimates.estimate import Estimate, quantile_estimates, ratio_estimate
from loadproof.analysis.estimates.metrics import QUANTILES
from loadproof.analysis.estimates.scope import Tally, are_answers
from loadproof.analysis.estimates.seconds import whole_seconds
from loadproof.analysis.frames.cellsums import KeyedSums, blocks, sums_by
from loadproof.histogram import BUCKETS
from loadproof.outcome import Outcome
from loadproof.plan.phases import expected_arrivals
from loadproof.rundir.rows import PARTS, REPEATED, RETRIED, SURPLUS, WANTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from loadproof.analysis.frames.run import Run
    from loadproof.analysis.frames.traffic import Traffic
    from loadproof.plan.phases import PhaseSpan

_TIMES: Final = ("response", "service", *PARTS)
_SERIES: Final = (*_TIMES, "good", "dropped", "abandoned", REPEATED, RETRIED, SURPLUS, *WANTS.values())
_OUTCOMES: Final = {str(outcome): number for number, outcome in enumerate(Outcome)}


@dataclass(frozen=True)
class SummaryRow:
    """An overview of one phase and endpoint (None: all of them)."""

    phase: PhaseSpan
    endpoint: str | None
    tally: Tally
    offered_rps: float
    planned_rps: float | None
    """Arrivals planned for all endpoints of the open model; None in a phase that the run did not finish."""
    throughput_rps: float
    """Answers that arrived in the phase's whole seconds, per second.

    If the phase has no whole second, its own requests per second.
    """
    goodput_rps: float
    goodput_ratio: Estimate | None
    response: dict[float, Estimate | None]
    """By quantile, for `ok` answers."""
    service: dict[float, Estimate | None]
    parts: dict[str, dict[float, Estimate | None]]
    """Quantiles of each part of the time of `ok` answers (loadproof.rundir.PARTS)."""


@functools.lru_cache(maxsize=4)
def summary(traffic: Traffic, endpoints: tuple[str, ...] | None = None) -> list[SummaryRow]:
    """For each phase all endpoints together, then each endpoint, or each of `endpoints`."""
    shown = traffic.endpoints if endpoints is None else endpoints
    counted = _Counted(traffic, shown)
    for block in blocks(traffic.intervals):
        counted.add(block)
    table: list[SummaryRow] = []
    for number, span in enumerate(traffic.phases):
        whole, rows = _Part(), []
        for endpoint, part in zip((*shown, None), counted.parts_of(number), strict=True):
            whole.add(part)
            if endpoint is not None:
                rows.append(_row(traffic, span, endpoint, part))
        table += [_row(traffic, span, None, whole), *rows]
    return table


def summary_of_groups(run: Run) -> list[SummaryRow]:
    """A row for each phase and each group of requests in the scenario."""
    return [row for row in summary(run.of_groups) if row.endpoint is not None] if run.manifest.scenario.groups else []


def _row(traffic: Traffic, span: PhaseSpan, endpoint: str | None, part: _Part) -> SummaryRow:
    lived_s = max(min(span.end_s, traffic.measured_s) - span.start_s, 0.0)
    counts = Tally.of(part.counts)
    seconds = len(whole_seconds(traffic, span))

    def rate(count: int) -> float:
        return count / lived_s if lived_s else 0.0

    def quantiles(series: str) -> dict[float, Estimate | None]:
        return quantile_estimates(part.times[_TIMES.index(series)], QUANTILES)

    return SummaryRow(
        phase=span,
        endpoint=endpoint,
        tally=counts,
        offered_rps=rate(counts.offered),
        planned_rps=_planned_rps(traffic, span) if endpoint is None else None,
        throughput_rps=part.answers / seconds if seconds else rate(counts.answered),
        goodput_rps=rate(counts.good),
        goodput_ratio=ratio_estimate(counts.good, counts.offered),
        response=quantiles("response"),
        service=quantiles("service"),
        parts={name: quantiles(name) for name in PARTS},
    )


def _planned_rps(traffic: Traffic, span: PhaseSpan) -> float | None:
    spans = traffic.phases
    if span.rate_rps is None or span.end_s > math.ceil(traffic.measured_s):
        return None
    place = spans.index(span)
    before_rps = (spans[place - 1].rate_rps or 0.0) if place else 0.0
    return expected_arrivals(span, before_rps) / (span.end_s - span.start_s)


def busiest(traffic: Traffic, most: int) -> list[str]:
    """The `most` busiest endpoints by requests sent, busiest first; ties in the scenario's order."""
    sums = sums_by(traffic.intervals, "series", "endpoint").to_dict()
    return sorted(traffic.endpoints, key=lambda name: -sums.get(("response", name), 0))[:most]


@dataclass
class _Part:
    """The counts of one phase and endpoint."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By series and outcome."""
    times: NDArray[np.int64] = field(default_factory=lambda: np.zeros((len(_TIMES), BUCKETS), dtype=np.int64))
    """Histograms of `ok` answers, one for each of _TIMES."""
    answers: int = 0
    """Answers that arrived in the phase's whole seconds, whichever phase sent the requests."""

    def add(self, other: _Part) -> None:
        self.counts.update(other.counts)
        self.times += other.times
        self.answers += other.answers


class _Counted:
    """Sums cells by phase and endpoint, block by block; endpoints that are not shown count as one.

    A key encodes a phase, an endpoint and what is counted. Only keys that occur are kept: with thousands of endpoints,
    most histograms are nearly empty.
    """

    def __init__(self, traffic: Traffic, shown: Sequence[str]) -> None:
        self._phases = _numbered([span.name for span in traffic.phases])
        self._endpoints = dict.fromkeys(traffic.endpoints, len(shown)) | _numbered(shown)
        self._columns = len(shown) + 1
        seconds = [whole_seconds(traffic, span) for span in traffic.phases]
        self._begins = np.array([part.start for part in seconds])
        self._ends = np.array([part.stop for part in seconds])
        self._tallies, self._times, self._answers = KeyedSums(), KeyedSums(), KeyedSums()

    def add(self, block: pd.DataFrame) -> None:
        counts = block["count"].to_numpy(dtype=np.int64)
        phases, endpoints = _numbers(block["phase"], self._phases), _numbers(block["endpoint"], self._endpoints)
        series, outcomes = _numbers(block["series"], _numbered(_SERIES)), _numbers(block["outcome"], _OUTCOMES)
        is_counted = (phases >= 0) & (endpoints >= 0) & (series >= 0)
        keys = ((phases * self._columns + endpoints) * len(_SERIES) + series) * (len(_OUTCOMES) + 1) + outcomes + 1
        self._tallies.add(keys[is_counted], counts[is_counted])
        is_timed = is_counted & (series < len(_TIMES)) & (outcomes == _OUTCOMES[str(Outcome.OK)])
        keys = ((phases * self._columns + endpoints) * len(_TIMES) + series) * BUCKETS + block["bucket"].to_numpy()
        self._times.add(keys[is_timed], counts[is_timed])
        phases = self._phases_at(block["second"].to_numpy(dtype=np.int64))
        is_answer = (phases >= 0) & (endpoints >= 0) & are_answers(block, "completed")
        self._answers.add((phases * self._columns + endpoints)[is_answer], counts[is_answer])

    def _phases_at(self, seconds: NDArray[np.int64]) -> NDArray[np.int64]:
        """The number of the phase that each whole second belongs to; -1 if it belongs to none."""
        numbers = np.searchsorted(self._begins, seconds, side="right") - 1
        return np.where((numbers >= 0) & (seconds < self._ends[numbers]), numbers, -1)

    def parts_of(self, phase: int) -> Iterator[_Part]:
        """One part for each endpoint that is shown, then one for all others."""
        outcomes = ("", *_OUTCOMES)
        for place in range(phase * self._columns, (phase + 1) * self._columns):
            part = _Part()
            for key, count in zip(*self._tallies.within(place, len(_SERIES) * len(outcomes)), strict=True):
                part.counts[_SERIES[key // len(outcomes)], outcomes[key % len(outcomes)]] = int(count)
            keys, counts = self._times.within(place, len(_TIMES) * BUCKETS)
            part.times.reshape(-1)[keys] = counts
            part.answers = int(self._answers.within(place, 1)[1].sum())
            yield part


def _numbered(names: Sequence[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(names)}


def _numbers(column: pd.Series, known: Mapping[str, int]) -> NDArray[np.int64]:
    """The number of each text; -1 if it has none."""
    texts = column.astype("category").cat
    return np.array([*(known.get(str(text), -1) for text in texts.categories), -1], dtype=np.int64)[texts.codes]
