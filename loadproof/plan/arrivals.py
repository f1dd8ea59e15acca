"""The open model's plan: turns scenario, phases and seed into intended start times, block by block; pure.

A block is a slice of a phase with about `_BLOCK_ARRIVALS` expected arrivals. It has its own random numbers: any block
can be generated without the others, every worker generates the same ones, and a plan for a day needs no more memory
than one for a minute.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.plan.clients import clients_of
from loadproof.plan.phases import expected_arrivals
from loadproof.plan.shares import apportion_in_turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from loadproof.plan.phases import PhaseSpan
    from loadproof.scenario.scenario import Scenario

_BLOCK_ARRIVALS: Final = 1000
"""Few enough to generate between two arrivals, within 0.2 ms; enough to cost only 0.2 µs each."""


@dataclass(frozen=True)
class Arrivals:
    """Intended starts in order: times in s from the run's start, endpoint and client numbers, each of shape (n,)."""

    time_s: NDArray[np.float64]
    endpoint: NDArray[np.int64]
    client: NDArray[np.int64]

    def of_worker(self, rank: int, workers: int) -> Arrivals:
        """The arrivals of this worker's clients: number `rank` and every `workers`-th from there."""
        mine = self.client % workers == rank
        return Arrivals(self.time_s[mine], self.endpoint[mine], self.client[mine])


class ArrivalPlan:
    """All arrivals of a run: the exact planned count for each phase and endpoint, so that two runs are comparable.

    Given its count, a Poisson process is that many independent uniform points in the area under the rate, and the
    counts of equal slices of that area are multinomial. Source: Ross, Introduction to Probability Models, conditional
    distribution of the arrival times. Each endpoint's arrivals go to the clients in turn: of all ways to deal them,
    this leaves the most time until a client's next arrival.
    """

    def __init__(self, scenario: Scenario, spans: Sequence[PhaseSpan], seed: int) -> None:
        self.endpoints = tuple(scenario.mix)
        self._counts = arrivals_of(scenario, spans)
        clients = [clients_of(name, scenario) for name in self.endpoints]
        self._first_clients = np.array([part.start for part in clients])
        self._clients = np.array([max(len(part), 1) for part in clients])
        self._is_poisson = scenario.arrivals == "poisson"
        self._spans = spans
        self._seed = seed
        # Endpoints start with different clients; otherwise client 0 would get the first arrival of each.
        self._first_turns = np.arange(len(self.endpoints)) * self._clients // len(self.endpoints)

    def __iter__(self) -> Iterator[Arrivals]:
        """The blocks, in chronological order; none is empty."""
        dealt = np.zeros(len(self.endpoints), dtype=np.int64)
        level_rps = 0.0
        for number, span in enumerate(self._spans):
            for fractions in self._blocks(number):
                yield self._block(fractions, dealt, span, level_rps)
                dealt += [part.size for part in fractions]
            level_rps = span.rate_rps or 0.0

    def _block(
        self, fractions: list[NDArray[np.float64]], dealt: NDArray[np.int64], span: PhaseSpan, level_rps: float
    ) -> Arrivals:
        sizes = [part.size for part in fractions]
        endpoint = np.repeat(np.arange(len(sizes)), sizes)
        turn = np.concatenate([np.arange(size) for size in sizes]) + (dealt + self._first_turns)[endpoint]
        fraction = np.concatenate(fractions)
        order = np.argsort(fraction, kind="stable")
        return Arrivals(
            _times_at(span, level_rps, fraction[order]),
            endpoint[order],
            (self._first_clients[endpoint] + turn % self._clients[endpoint])[order],
        )

    def _blocks(self, phase: int) -> Iterator[list[NDArray[np.float64]]]:
        """Per block and endpoint, sorted: after which fraction (0-1) of the phase's arrivals each one comes."""
        random = np.random.default_rng((self._seed, phase))
        counts = self._counts[phase].values()
        blocks = max(1, round(sum(counts) / _BLOCK_ARRIVALS))
        offsets = random.random(len(counts))
        per_block = [random.multinomial(count, np.full(blocks, 1 / blocks)) for count in counts]
        for block in range(blocks):
            if self._is_poisson:
                own = np.random.default_rng((self._seed, phase, block))
                fractions = [np.sort((block + own.random(part[block])) / blocks) for part in per_block]
            else:
                fractions = [_even(count, offset, block, blocks) for count, offset in zip(counts, offsets, strict=True)]
            if any(part.size for part in fractions):
                yield fractions


def arrivals_of(scenario: Scenario, spans: Sequence[PhaseSpan]) -> list[dict[str, int]]:
    """Arrivals per phase and endpoint; what rounding withholds from an endpoint in one phase comes in a later one."""
    totals, level_rps = [], 0.0
    for span in spans:
        totals.append(round(expected_arrivals(span, level_rps)))
        level_rps = span.rate_rps or 0.0
    return apportion_in_turn(totals, {name: mix.share for name, mix in scenario.mix.items()})


def _even(count: int, offset: float, block: int, blocks: int) -> NDArray[np.float64]:
    """Those of `count` even steps, shifted by `offset` (0-1) steps, that are in this block."""
    first, beyond = (int(np.ceil(count * edge / blocks - offset)) for edge in (block, block + 1))
    return (np.arange(first, beyond) + offset) / max(count, 1)


def _times_at(span: PhaseSpan, level_rps: float, fractions: NDArray[np.float64]) -> NDArray[np.float64]:
    """The times by which these fractions (0-1) of the phase's arrivals have come."""
    rate_rps = span.rate_rps or 0.0
    area = fractions * expected_arrivals(span, level_rps)
    on_ramp = (level_rps + rate_rps) * span.ramp_s / 2
    slope = (rate_rps - level_rps) / span.ramp_s if span.ramp_s else 0.0
    if slope == 0.0:
        return span.start_s + area / rate_rps
    flat = span.start_s + span.ramp_s + (area - on_ramp) / rate_rps
    speed = np.sqrt(np.maximum(level_rps**2 + 2 * slope * area, 0.0))
    return np.where(area < on_ramp, span.start_s + (speed - level_rps) / slope, flat)
