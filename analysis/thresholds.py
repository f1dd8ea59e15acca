"""A threshold and a run to a judgement: does the whole interval lie on one side of the limit?"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from analysis.metrics import Scope, histogram, measure, rows_of
from analysis.recovery import recovery_estimate
from loadproof.decidability import samples_needed
from loadproof.histogram import LOWER_US
from loadproof.units import Dimension, format_quantity

if TYPE_CHECKING:
    from analysis.estimate import Estimate
    from analysis.frames import Run
    from loadproof.expectation import Expectation
    from loadproof.scenario import Threshold

_Z: Final = 1.96


class Word(StrEnum):
    PASS = "PASS"  # noqa: S105 - a verdict, no password
    INCONCLUSIVE = "INCONCLUSIVE"
    FAIL = "FAIL"
    INVALID = "INVALID"


class Expected(Protocol):
    """A threshold, of a scenario or of a file of thresholds."""

    @property
    def expect(self) -> str: ...

    @property
    def scope(self) -> str: ...

    @property
    def expectation(self) -> Expectation: ...


@dataclass(frozen=True)
class Judgement:
    """What one threshold came to. `estimate` is None where there was nothing to estimate."""

    threshold: Expected
    word: Word
    estimate: Estimate | None
    reason: str


def judge(threshold: Threshold, run: Run) -> Judgement:
    """PASS needs enough samples and the whole interval within the limit; no data is never a pass."""
    expectation = threshold.expectation
    scope = scope_of(threshold, run)
    if expectation.metric.name == "recovery":
        estimate = recovery_estimate(run, scope.phases, scope.endpoints)
    else:
        estimate = measure(expectation.metric, run, scope)
    if estimate is None:
        return Judgement(threshold, Word.INCONCLUSIVE, None, "no samples: nothing to judge")
    judgement = judge_estimate(threshold, estimate, needed=samples_needed(expectation))
    if judgement.word is Word.INCONCLUSIVE and estimate.n >= samples_needed(expectation):
        more = _deciding_samples(expectation, estimate, run, scope)
        return replace(judgement, reason=judgement.reason + more)
    return judgement


def judge_estimate(threshold: Expected, estimate: Estimate, *, needed: int) -> Judgement:
    """FAIL when the whole interval is beyond the limit; PASS when it is within, and there are enough samples."""
    expectation = threshold.expectation
    seen = _seen(estimate, expectation)
    ends = [expectation.holds(estimate.low), expectation.holds(estimate.high)]
    if not any(ends):
        return Judgement(threshold, Word.FAIL, estimate, f"{seen}, beyond the limit")
    if estimate.n < needed:
        reason = f"{seen}: {estimate.n:,} samples, needs {needed:,}"
        return Judgement(threshold, Word.INCONCLUSIVE, estimate, reason)
    if all(ends):
        return Judgement(threshold, Word.PASS, estimate, seen)
    return Judgement(threshold, Word.INCONCLUSIVE, estimate, f"{seen}, straddles the limit")


def scope_of(threshold: Threshold, run: Run) -> Scope:
    scenario = run.manifest.scenario
    return Scope(
        phases=scenario.phases_of(threshold),
        endpoints=scenario.endpoints_of(threshold),
        outcome=threshold.outcome,
        series=threshold.series,
    )


def _seen(estimate: Estimate, expectation: Expectation) -> str:
    dimension = expectation.metric.dimension
    if math.isinf(estimate.value):
        return f"not within {format_quantity(estimate.low, dimension)}"
    value = format_quantity(estimate.value, dimension)
    if estimate.low == estimate.high:
        return value
    return f"{value} ({interval_text(estimate, dimension)})"


def interval_text(estimate: Estimate, dimension: Dimension) -> str:
    """'171 ms to 204 ms', or 'from 171 ms' where the sample gives no upper bound."""
    low = format_quantity(estimate.low, dimension)
    if math.isinf(estimate.high):
        return f"from {low}"
    return f"{low} to {format_quantity(estimate.high, dimension)}"


def _deciding_samples(expectation: Expectation, estimate: Estimate, run: Run, scope: Scope) -> str:
    """How many samples would decide, if more of them came out as these: z² p (1 - p) / (p - limit)²."""
    if expectation.metric.quantile is not None:
        # A quantile is beyond its limit when more than 1 - q of the answers are.
        counts = histogram(rows_of(run, scope), scope.series, scope.outcome)
        beyond = int(counts[expectation.limit * 1e6 <= LOWER_US].sum())
        ratio, limit = beyond / estimate.n, 1 - expectation.metric.quantile
    elif expectation.metric.dimension is Dimension.RATIO:
        ratio, limit = estimate.value, expectation.limit
    else:
        return ""
    if math.isclose(ratio, limit):
        return "; it lies on the limit"
    spread = max(ratio * (1 - ratio), limit * (1 - limit))
    return f"; about {max(math.ceil(_Z**2 * spread / (ratio - limit) ** 2), estimate.n + 1):,} samples would decide"
