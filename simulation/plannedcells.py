"""Turns a plan into the intervals of its requests, with known response times and outcomes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from loadproof.histogram import buckets_of
from loadproof.outcome import Outcome
from loadproof.plan.phases import PhaseSpan, expected_requests, plan_phases

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from loadproof.scenario.scenario import Scenario

OutcomesOf = Callable[[np.random.Generator, str, int], list[str]]
"""Takes an endpoint and a number of requests; returns one outcome per request."""


def cells_of(
    plan: Scenario,
    random: np.random.Generator,
    *,
    median_ms: dict[str, float],
    outcomes_of: OutcomesOf,
    lag_ms: float,
    lived_s: float,
) -> tuple[Counter[tuple[Any, ...]], Counter[int]]:
    """The intervals of all planned requests before `lived_s`, and the number sent in each second."""
    spans = plan_phases(plan)
    cells: Counter[tuple[Any, ...]] = Counter()
    sent_in: Counter[int] = Counter()
    for (phase, endpoint), expected in expected_requests(plan, spans).items():
        span = next(span for span in spans if span.name == phase)
        intended_s = _intended_s(random, span, round(expected))
        intended_s = intended_s[intended_s < lived_s]
        responses_s = random.lognormal(np.log(median_ms.get(endpoint, 20.0) / 1000), 0.4, len(intended_s))
        ended_as = outcomes_of(random, endpoint, len(intended_s))
        phases = _phases_at(spans, intended_s)
        requests = _Requests(
            [(phase, endpoint, outcome) for phase, outcome in zip(phases, ended_as, strict=True)],
            intended_s,
            responses_s,
            (np.array(ended_as, dtype=str) == Outcome.OK) & (responses_s <= plan.deadline),
        )
        sent_in.update(intended_s.astype(int).tolist())
        cells.update(requests.cells(lag_ms / 1000))
    return cells, sent_in


def _intended_s(random: np.random.Generator, span: PhaseSpan, n: int) -> NDArray[np.float64]:
    """Intended starts of `n` requests in a phase: at random, or all together in its bursts."""
    times_s = np.sort(random.uniform(span.start_s, span.end_s, n))
    return np.repeat(span.bursts_s, -(-n // len(span.bursts_s)))[:n] if span.bursts_s else times_s


@dataclass(frozen=True)
class _Requests:
    """Requests to one endpoint in one phase, in the order of their intended starts."""

    places: list[tuple[str, str, str]]
    """Phase, endpoint and outcome."""
    intended_s: NDArray[np.float64]
    responses_s: NDArray[np.float64]
    is_good: NDArray[np.bool_]

    def cells(self, lag_s: float) -> Iterator[tuple[Any, ...]]:
        """The interval key of each count that these requests add."""
        seconds = self.intended_s.astype(int).tolist()
        for series, times_s in (
            ("response", self.responses_s),
            ("service", self.responses_s - lag_s),
            ("lag", np.full(len(seconds), lag_s)),
        ):
            buckets = buckets_of(times_s).tolist()
            for second, place, bucket in zip(seconds, self.places, buckets, strict=True):
                yield second, *place, series, bucket
        for number in np.flatnonzero(self.is_good):
            yield seconds[number], *self.places[number], "good", 0
        ended = (self.intended_s + self.responses_s).astype(int).tolist()
        for second, place in zip(ended, self.places, strict=True):
            yield second, *place, "completed", 0


def _phases_at(spans: Sequence[PhaseSpan], times_s: NDArray[np.float64]) -> list[str]:
    """The name of the phase at each time, like `phase_at`."""
    places = np.searchsorted([span.end_s for span in spans[:-1]], times_s, side="right")
    return [spans[place].name for place in places.tolist()]
