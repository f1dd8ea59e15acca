"""The judgement of a threshold (verdict, estimate, reason), and the rule that turns an interval into a verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from loadproof.analysis.word import Word
from loadproof.units import Dimension, counted, format_quantity

if TYPE_CHECKING:
    from loadproof.analysis.estimates.estimate import Estimate
    from loadproof.scenario.thresholds.expectation import Expectation

TOO_FEW_RUNS: Final = "can't tell a change from noise"
ONE_RUN_A_SIDE: Final = f"one run on each side {TOO_FEW_RUNS}"
"""Requests of one run share its luck, so the run is the unit of replication."""
NO_SAMPLES: Final = "has no samples for it"
NOTHING_TO_JUDGE: Final = "no samples: nothing to judge"
_MOST_TIMES: Final = 100
"""Nobody will wait for more than this many times the samples."""
TOO_CLOSE: Final = "too close for a longer run to decide"


class Compliance(StrEnum):
    """Whether one run, this or the next, meets a threshold."""

    KEPT = "met"
    UNSURE = "unsure"
    MISSED = "just missed"
    """In this run, but not far enough for a FAIL."""
    BROKEN = "violated"


class Wanting(StrEnum):
    """What a threshold on the baseline still needs before it can be decided."""

    SAMPLES = "samples on both sides"
    RUNS = "several runs of each release"
    ALL_RUNS = "the gate's other runs"


class Expected(Protocol):
    """A threshold, from a scenario or from a file of thresholds."""

    @property
    def expect(self) -> str: ...

    @property
    def scope(self) -> str: ...

    @property
    def expectation(self) -> Expectation: ...


@dataclass(frozen=True)
class Judgement:
    """The judgement of one threshold. `estimate` is None if there was nothing to estimate."""

    threshold: Expected
    word: Word
    estimate: Estimate | None
    reason: str
    in_this_run: Compliance | None = None
    """From what was observed, with sampling noise only; None if a method doesn't distinguish the two."""
    next_time: Compliance | None = None
    """Inferred, allowing for correlated seconds; None for values that are observed rather than estimated."""
    wanting: Wanting | None = None
    window_s: tuple[int, int] | None = None
    """Start and end of the deciding window in s, if windows were judged."""

    @property
    def decided_by(self) -> str | None:
        """'in this run' or 'next time'; None if both had to hold, or something else decided."""
        if self.word is Word.FAIL:
            return "in this run" if self.in_this_run is Compliance.BROKEN else "next time" if self.next_time else None
        if self.word is Word.INCONCLUSIVE and self.in_this_run is not None:
            return "next time" if self.in_this_run is Compliance.KEPT else "in this run"
        return None


def word_of(in_this_run: Compliance, next_time: Compliance | None) -> Word:
    """FAIL if either run violates the threshold, PASS if both meet it; INCONCLUSIVE otherwise."""
    if Compliance.BROKEN in {in_this_run, next_time}:
        return Word.FAIL
    return Word.PASS if {in_this_run, next_time} <= {Compliance.KEPT, None} else Word.INCONCLUSIVE


def side_of(estimate: Estimate, expectation: Expectation, *, beyond: Compliance) -> Compliance:
    """KEPT if the whole interval is within the limit, `beyond` if it is wholly beyond, UNSURE if it straddles it."""
    ends = [expectation.holds(estimate.low), expectation.holds(estimate.high)]
    return Compliance.KEPT if all(ends) else Compliance.UNSURE if any(ends) else beyond


def judge_estimate(threshold: Expected, estimate: Estimate, *, needed: int) -> Judgement:
    """FAIL if the whole interval is beyond the limit; PASS if it is within and there are `needed` samples."""
    judgement = _by_interval(threshold, estimate, needed)
    return replace(judgement, reason="; ".join((judgement.reason, *estimate.warnings)))


def _by_interval(threshold: Expected, estimate: Estimate, needed: int) -> Judgement:
    expectation = threshold.expectation
    value = seen_text(estimate, expectation)
    ends = [expectation.holds(estimate.low), expectation.holds(estimate.high)]
    if not any(ends):
        return Judgement(threshold, Word.FAIL, estimate, f"{value}, beyond the limit")
    if estimate.n < needed:
        return Judgement(threshold, Word.INCONCLUSIVE, estimate, value + lacking_text(estimate.n, needed))
    if all(ends):
        return Judgement(threshold, Word.PASS, estimate, value)
    return Judgement(threshold, Word.INCONCLUSIVE, estimate, f"{value}, straddles the limit")


def judge_beside(threshold: Expected, candidate: Estimate, before: Estimate | None, *, is_given: bool) -> Judgement:
    """Compare one run with one baseline run: always INCONCLUSIVE, with the difference as the reason."""
    expectation = threshold.expectation
    dimension = expectation.metric.dimension
    value = format_quantity(candidate.value, dimension)
    if before is None:
        missing = f"the baseline {NO_SAMPLES}" if is_given else "no baseline was given; add --baseline RUN"
        wanting = Wanting.SAMPLES if is_given else Wanting.RUNS
        return Judgement(threshold, Word.INCONCLUSIVE, candidate, f"{value}, and {missing}", wanting=wanting)
    times = f"{candidate.value / before.value:.2f} x " if before.value > 0 else ""
    was = f"{format_quantity(before.value, dimension)} ({interval_text(before, dimension)})"
    reason = f"{value}, {times}the baseline's {was}: {ONE_RUN_A_SIDE}"
    return Judgement(threshold, Word.INCONCLUSIVE, candidate, reason, wanting=Wanting.RUNS)


def lacking_text(n: int, needed: int, where: str = "") -> str:
    """The clause that follows a value with too few samples."""
    return f": {counted(n, 'sample')}{where}, needs {needed:,}"


def deciding_text(needed: float, n: int, things: str) -> str:
    """The clause that follows 'straddles the limit': how many of these things would decide, given that `n` did not."""
    if not needed <= _MOST_TIMES * n:
        return f", {TOO_CLOSE}"
    return f"; {things.format(f'{max(math.ceil(needed), n + 1):,}')} would decide"


def seen_text(estimate: Estimate, expectation: Expectation) -> str:
    dimension = expectation.metric.dimension
    if math.isinf(estimate.value):
        return f"not within {format_quantity(estimate.low, dimension)}"
    value = format_quantity(estimate.value, dimension)
    if estimate.low == estimate.high:
        return value
    return f"{value} ({interval_text(estimate, dimension)})"


def interval_text(estimate: Estimate, dimension: Dimension) -> str:
    """'171 ms to 204 ms'; 'from 171 ms', or 'below 200 ms' for a limit, if the samples give no upper bound."""
    if estimate.below is not None:
        return f"below {format_quantity(estimate.below, dimension)}"
    low = format_quantity(estimate.low, dimension)
    if math.isinf(estimate.high):
        return f"from {low}"
    return f"{low} to {format_quantity(estimate.high, dimension)}"
