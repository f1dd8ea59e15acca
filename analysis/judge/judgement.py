"""What a threshold came to: its word, its estimate, and the reason; and the rule that makes a word of an interval."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from loadproof.units import Dimension, format_quantity

if TYPE_CHECKING:
    from loadproof.analysis.estimates.estimate import Estimate
    from loadproof.scenario.expectation import Expectation

ONE_RUN_A_SIDE: Final = "one run on each side can't tell a change from noise"
"""Requests of one run share its luck: the replicate is the run."""
_MOST_TIMES: Final = 100
"""So many times the samples nobody waits for."""
TOO_CLOSE: Final = "too close for a longer run to decide"


class Word(StrEnum):
    PASS = "PASS"  # noqa: S105 - a verdict, no password
    INCONCLUSIVE = "INCONCLUSIVE"
    FAIL = "FAIL"
    INVALID = "INVALID"


class Answer(StrEnum):
    """To one of two questions: did this run keep the threshold, and will the next one?"""

    KEPT = "kept"
    UNSURE = "unsure"
    MISSED = "just missed"
    """In this run, and not far enough for a FAIL."""
    BROKEN = "broken"


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
    in_this_run: Answer | None = None
    """By what was seen, with the noise of sampling only; None where a method doesn't tell the two apart."""
    next_time: Answer | None = None
    """By inference, for which seconds that resemble their neighbours count; None of what is seen, not estimated."""

    @property
    def decided_by(self) -> str | None:
        """'in this run' or 'next time'; None where both had to hold, or something else decided."""
        if self.word is Word.FAIL:
            return "in this run" if self.in_this_run is Answer.BROKEN else "next time" if self.next_time else None
        if self.word is Word.INCONCLUSIVE and self.in_this_run is not None:
            return "next time" if self.in_this_run is Answer.KEPT else "in this run"
        return None


def word_of(in_this_run: Answer, next_time: Answer | None) -> Word:
    """FAIL answers the first question, PASS needs both; INCONCLUSIVE is the rest."""
    if Answer.BROKEN in {in_this_run, next_time}:
        return Word.FAIL
    return Word.PASS if {in_this_run, next_time} <= {Answer.KEPT, None} else Word.INCONCLUSIVE


def side_of(estimate: Estimate, expectation: Expectation, *, beyond: Answer) -> Answer:
    """Where the whole interval lies."""
    ends = [expectation.holds(estimate.low), expectation.holds(estimate.high)]
    return Answer.KEPT if all(ends) else Answer.UNSURE if any(ends) else beyond


def judge_estimate(threshold: Expected, estimate: Estimate, *, needed: int) -> Judgement:
    """FAIL when the whole interval is beyond the limit; PASS when it is within, and there are enough samples."""
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
    """INCONCLUSIVE, with the difference."""
    expectation = threshold.expectation
    dimension = expectation.metric.dimension
    value = format_quantity(candidate.value, dimension)
    if before is None:
        missing = "the baseline has no samples for it" if is_given else "no baseline was given; add --baseline RUN"
        return Judgement(threshold, Word.INCONCLUSIVE, candidate, f"{value}, and {missing}")
    times = f"{candidate.value / before.value:.2f} x " if before.value > 0 else ""
    was = f"{format_quantity(before.value, dimension)} ({interval_text(before, dimension)})"
    return Judgement(threshold, Word.INCONCLUSIVE, candidate, f"{value}, {times}the baseline's {was}: {ONE_RUN_A_SIDE}")


def lacking_text(n: int, needed: int, things: str = "samples") -> str:
    """What goes on from a value that too few samples stand behind."""
    return f": {n:,} {things}, needs {needed:,}"


def deciding_text(needed: float, n: int, things: str) -> str:
    """What goes on from 'straddles the limit': how many of these things would decide, where `n` did not."""
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
    """'171 ms to 204 ms'; 'from 171 ms', or 'below 200 ms' of a limit, where the sample gives no upper bound."""
    if estimate.below is not None:
        return f"below {format_quantity(estimate.below, dimension)}"
    low = format_quantity(estimate.low, dimension)
    if math.isinf(estimate.high):
        return f"from {low}"
    return f"{low} to {format_quantity(estimate.high, dimension)}"
