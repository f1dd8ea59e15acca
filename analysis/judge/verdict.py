"""Turns judgements, findings and audits into one verdict, the worst of them: INVALID, FAIL, INCONCLUSIVE, PASS."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from loadproof.analysis.audit.auditing import audits_of
from loadproof.analysis.estimates.changes import NOTICED, largest_moves
from loadproof.analysis.judge.degradation import Degradation, degradation_of, notes
from loadproof.analysis.judge.finding import Finding
from loadproof.analysis.judge.health import findings_in
from loadproof.analysis.judge.judgement import (
    ONE_RUN_A_SIDE,
    Judgement,
)
from loadproof.analysis.judge.nextstep import next_step
from loadproof.analysis.judge.thresholds import judge_threshold
from loadproof.analysis.word import Word, strongest
from loadproof.errors import ExitCode
from loadproof.units import sentence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadproof.analysis.audit.audit import Audited
    from loadproof.analysis.estimates.changes import Move
    from loadproof.analysis.frames.run import Run
    from loadproof.rundir.manifest import Manifest

EXIT_CODES: Final = {
    Word.PASS: ExitCode.PASS,
    Word.FAIL: ExitCode.FAIL,
    Word.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
    Word.INVALID: ExitCode.INVALID,
}


@dataclass(frozen=True)
class Verdict:
    word: Word
    reason: str
    """One sentence with the deciding numbers."""
    next_step: str
    judgements: tuple[Judgement, ...]
    findings: tuple[Finding, ...]
    degradation: Degradation | None = None
    """None for other tools' files."""
    beside: str | None = None
    """A sentence on what changed from the baseline, if one was given."""
    audits: tuple[Audited, ...] = ()
    """One for each threshold that names an audit."""


def verdict_on_run(run: Run, baseline: Run | None = None, beside_runs: Sequence[Judgement] = ()) -> Verdict:
    """Judge a run on its scenario's thresholds, some of which may need a baseline.

    `beside_runs`, if given, are judgements by several runs, one for each threshold on the baseline, in their order.
    """
    given = iter(beside_runs)
    judgements = tuple(
        next(given) if beside_runs and threshold.expectation.of_baseline else judge_threshold(threshold, run, baseline)
        for threshold in run.manifest.scenario.thresholds
    )
    degradation = degradation_of(run)
    findings = (*findings_in(run), *notes(degradation))
    audits = audits_of(run)
    moves = largest_moves(run, baseline) if baseline else []
    judged: tuple[Judgement | Finding | Audited, ...] = (*judgements, *findings, *audits)
    word = strongest(each.word for each in judged)
    if word is Word.PASS:
        reason, then = _of_pass(len(judgements) + len(audits), findings), _next_after_pass(moves)
    else:
        reason, then = _deciding(word, run, judgements, findings, audits)
    beside = _beside(moves, baseline) if baseline else None
    return Verdict(word, sentence(reason) + ".", then, judgements, findings, degradation, beside, audits)


def _of_pass(n: int, findings: Sequence[Finding]) -> str:
    """The reason for a PASS of this many thresholds."""
    reason = f"{all_hold(n)}, and the generator kept up"
    return reason + "".join(f"; but {finding.what}" for finding in findings if finding.qualifies)


def _deciding(
    word: Word, run: Run, judgements: Sequence[Judgement], findings: Sequence[Finding], audits: Sequence[Audited]
) -> tuple[str, str]:
    """Reason and next step of what has the deciding word: a finding before thresholds, and those before audits."""
    finding = next((finding for finding in findings if finding.word is word), None)
    if finding is not None:
        return finding.what, f"{sentence(finding.remedy)}."
    thresholds = zip(run.manifest.scenario.thresholds, judgements, strict=True)
    deciding = [(threshold, judgement) for threshold, judgement in thresholds if judgement.word is word]
    if deciding:
        return deciding_reason([judgement for _, judgement in deciding]), next_step(deciding, run)
    return _of_audits([audited for audited in audits if audited.word is word])


def _of_audits(deciding: Sequence[Audited]) -> tuple[str, str]:
    """Reason and next step if only audits decide."""
    first = deciding[0]
    reason = f"audit of {first.audit}: {first.reason}"
    if first.word is Word.INCONCLUSIVE:
        return reason, "Give the audit the samples it lacks (listed under Audits in the report), then run again."
    return reason, "Look at the offending requests in audit.json. Then fix the target, or correct what it declares."


def _next_after_pass(moves: Sequence[Move]) -> str:
    if moves and moves[0].worse > 0:
        return (
            f"Check what got worse before you keep this run as a baseline: {moves[0].what}. "
            "Several runs of each release will show whether it is more than noise."
        )
    return "Nothing to do. Keep this run as the baseline of the next release."


def _beside(moves: Sequence[Move], baseline: Run) -> str:
    """The worst change, or the best if nothing got worse, and how many more there are."""
    name = baseline.manifest.run_id
    if not moves:
        return f"Compared with {name}: no time changed by {NOTICED:.0%} or more, nor the goodput ratio."
    first = moves[0] if moves[0].worse > 0 else moves[-1]
    more = f", and {len(moves) - 1} more changed by {NOTICED:.0%} or more" if len(moves) > 1 else ""
    return f"Compared with {name}: {first.what}{more}; {ONE_RUN_A_SIDE}."


def unwritten(verdict: Verdict, reason: str, remedy: str) -> Verdict:
    """The verdict if its files can't be written: INVALID, because nobody could check the evidence for another one."""
    findings = (*verdict.findings, Finding(Word.INVALID, reason, remedy))
    if verdict.word is Word.INVALID:
        return replace(verdict, findings=findings)
    why, next_step = f"{sentence(reason)}.", f"{sentence(remedy)}."
    return replace(verdict, word=Word.INVALID, reason=why, next_step=next_step, findings=findings)


def exit_code(verdict: Verdict, manifest: Manifest) -> ExitCode:
    """The program's exit code: a signal's takes precedence over the verdict's."""
    match manifest.ending:
        case "interrupted":
            return ExitCode.INTERRUPTED
        case "terminated":
            return ExitCode.TERMINATED
        case _:
            return EXIT_CODES[verdict.word]


def all_hold(n: int) -> str:
    """How the reason for a PASS begins, for this many thresholds."""
    if n == 2:
        return "both thresholds were met"
    return f"all {n:,} thresholds were met" if n > 1 else "the threshold was met"


def deciding_reason(deciding: list[Judgement]) -> str:
    """The first of the deciding judgements, and how many more there are."""
    judgement, others = deciding[0], len(deciding) - 1
    threshold = judgement.threshold
    more = "" if others == 0 else f" (and {others} more threshold{'s' if others > 1 else ''})"
    # A judgement's reason begins with the value, if there is one.
    metric = f"{threshold.expectation.metric} is " if judgement.estimate is not None else ""
    seen = f"{metric}{judgement.reason} (expected {threshold.expect})"
    return f"{threshold.scope}: {seen}{more}"
