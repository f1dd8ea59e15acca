"""Finds what to do after a verdict on Locust's CSVs: what would decide, or where to look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from loadproof.analysis.judge.finding import Finding
from loadproof.analysis.judge.judgement import Compliance, side_of
from loadproof.analysis.word import Word
from loadproof.plan.evidence import samples_needed
from loadproof.units import Dimension, sentence

if TYPE_CHECKING:
    from loadproof.analysis.judge.judgement import Judgement

_NEXT_STEPS: Final = {
    Word.PASS: "Before you rely on it, read the report on what such files can't show.",
    Word.FAIL: "Check the report for when it began. Then fix the target or the threshold, or check the load generator.",
    Word.INCONCLUSIVE: "Run longer or with more requests; so far nothing shows that the target is at fault.",
}
_READ_FAILURES: Final = "Add `expect: error_ratio < 1 %` to the thresholds, then judge again."
_WITHOUT_DOUBTS: Final = (
    "Judge the files of one complete run as Locust wrote them; these lack something, contradict each other or "
    "themselves, or their counters were reset after failures."
)
_OTHER_LIMIT: Final = (
    "Choose a limit that Locust's rounding (two digits) can tell apart: more requests don't decide it."
)


def csvs_next_step(first: Judgement | Finding, *, is_doubtful: bool, is_unread: bool) -> str:
    """What the first that decides needs, unless the files are doubtful or no threshold reads their failures."""
    if first.word is Word.INCONCLUSIVE and (is_doubtful or is_unread):
        return _WITHOUT_DOUBTS if is_doubtful else _READ_FAILURES
    if isinstance(first, Finding):
        return f"{sentence(first.remedy)}."
    if first.word is not Word.INCONCLUSIVE:
        return _NEXT_STEPS[first.word]
    return _OTHER_LIMIT if _is_within_rounding(first) else _NEXT_STEPS[Word.INCONCLUSIVE]


def _is_within_rounding(judgement: Judgement) -> bool:
    """Whether the limit lies in the range that Locust rounds to the cell's time, however many requests there are."""
    expectation, estimate = judgement.threshold.expectation, judgement.estimate
    if estimate is None or estimate.confidence is not None or expectation.metric.dimension is not Dimension.DURATION:
        return False
    side = side_of(estimate, expectation, beyond=Compliance.BROKEN)
    return side is Compliance.UNSURE and estimate.n >= samples_needed(expectation)
