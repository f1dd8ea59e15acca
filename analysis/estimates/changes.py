"""Finds what changed from one run to another, phase by phase and endpoint by endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from loadproof.analysis.estimates.metrics import QUANTILES
from loadproof.analysis.estimates.summary import SummaryRow, summary
from loadproof.plan.evidence import SAMPLES_BEYOND_QUANTILE
from loadproof.units import Dimension, format_duration, format_quantity

if TYPE_CHECKING:
    from loadproof.analysis.estimates.estimate import Estimate
    from loadproof.analysis.frames.run import Run

NOTICED: Final = 0.05
"""A change of a time by this fraction is worth mentioning; for the goodput ratio, by a tenth of it."""
_OF_RATIO: Final = 10


class Move(NamedTuple):
    """The change of one quantity."""

    what: str
    """With both values: 'p95 of balance in steady 20 ms → 23 ms (+15 %)'."""
    worse: float
    """The fraction by which it got worse; negative if it got better."""
    is_clear: bool
    """Larger than sampling noise: the two intervals don't overlap."""


@dataclass(frozen=True)
class SummaryPair:
    """One phase and endpoint (None: all), compared with the baseline's."""

    candidate: SummaryRow
    baseline: SummaryRow

    def quantiles(self) -> Iterator[tuple[Estimate | None, Estimate | None]]:
        """Estimates of the response time of `ok` answers by quantile: the baseline's, then the candidate's."""
        for quantile in QUANTILES:
            yield self.baseline.response[quantile], self.candidate.response[quantile]

    def moves(self) -> Iterator[Move]:
        """Changes of quantiles with enough samples beyond them in both runs, and of the goodput ratio."""
        place = f"{self.candidate.endpoint or 'all endpoints'} in {self.candidate.phase.name}"
        for quantile, (was, now) in zip(QUANTILES, self.quantiles(), strict=True):
            if was and now and was.value > 0 and (1 - quantile) * min(was.n, now.n) >= SAMPLES_BEYOND_QUANTILE:
                more = now.value / was.value - 1
                values = f"{format_duration(was.value)} → {format_duration(now.value)} ({100 * more:+.3g} %)"
                yield Move(f"p{quantile * 100:g} of {place} {values}", more, _are_apart(was, now))
        was, now = self.baseline.goodput_ratio, self.candidate.goodput_ratio
        if was and now:
            values = " → ".join(format_quantity(ratio.value, Dimension.RATIO) for ratio in (was, now))
            yield Move(f"goodput ratio of {place} {values}", _OF_RATIO * (was.value - now.value), _are_apart(was, now))


def _are_apart(was: Estimate, now: Estimate) -> bool:
    return was.high < now.low or now.high < was.low


def changes(run: Run, baseline: Run) -> list[SummaryPair]:
    """Pairs for each measured phase: all endpoints together, then each endpoint that both runs have.

    A locustfile's may differ from run to run.
    """
    before = {(row.phase.name, row.endpoint): row for row in summary(baseline)}
    return [
        SummaryPair(candidate=row, baseline=before[row.phase.name, row.endpoint])
        for row in summary(run)
        if not row.phase.warm_up and (row.phase.name, row.endpoint) in before
    ]


def largest_moves(run: Run, baseline: Run) -> list[Move]:
    """Changes worth mentioning, worst first: of all endpoints together, and of single endpoints if they are clear.

    With few requests per endpoint, quantiles fluctuate so much that every run would show some.
    """
    moves = [
        move
        for change in changes(run, baseline)
        for move in change.moves()
        if abs(move.worse) >= NOTICED and (move.is_clear or change.candidate.endpoint is None)
    ]
    return sorted(moves, key=lambda move: (-int(move.is_clear and move.worse > 0), -move.worse))
