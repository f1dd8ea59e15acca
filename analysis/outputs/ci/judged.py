"""What a command has judged, as CI systems and notifications are told: its word, reason, exit code and annotations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from loadproof.analysis.judge.verdict import EXIT_CODES, exit_code
from loadproof.analysis.outputs.ci.annotations import workflow_command
from loadproof.analysis.outputs.ci.comparisonresults import concluded_comparison
from loadproof.analysis.word import PRECEDENCE, Word
from loadproof.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from typing import Self

    from loadproof.analysis.compare.comparison import Comparison
    from loadproof.analysis.frames.run import Run
    from loadproof.analysis.judge.verdict import Verdict
    from loadproof.analysis.outputs.ci.concluded import Concluded
    from loadproof.errors import LoadproofError

NOT_MEASURED: Final = "NOT MEASURED"
_WORDS: Final = {code: word for word, code in EXIT_CODES.items()}


@dataclass(frozen=True)
class Judged:
    """What a command has judged, one scenario of a gate for example: or why it could not be measured."""

    scenario: str
    run: Run | None = None
    verdict: Verdict | None = None
    trouble: str = ""
    ended_as: ExitCode | None = None
    """How the program ends, if its verdict doesn't say so."""
    comparison: Comparison | None = None
    """A comparison of several runs with the baseline's, in place of a run."""
    result: Concluded | None = None
    """The result of a search or a history, in place of a run."""

    @classmethod
    def of_error(cls, scenario: str, error: LoadproofError) -> Self:
        """What could not be measured, and why."""
        return cls(scenario, trouble="; ".join(map(str, error.problems)), ended_as=error.exit_code)

    @property
    def concluded(self) -> Concluded | None:
        """The conclusion from several runs; None for a single run."""
        return concluded_comparison(self.comparison) if self.comparison else self.result

    @property
    def decided(self) -> Verdict | Concluded | None:
        """The conclusion or verdict; None if nothing was measured."""
        return self.concluded or self.verdict

    @property
    def verdict_word(self) -> Word | None:
        """The verdict's, or without one that of the exit code; None if nothing was measured."""
        if self.decided:
            return self.decided.word
        return None if self.ended_as is None else _WORDS.get(self.ended_as)

    @property
    def word(self) -> str:
        return self.verdict_word or NOT_MEASURED

    @property
    def reason(self) -> str:
        return self.decided.reason if self.decided else self.trouble

    def exit_code(self, *, lenient: bool) -> ExitCode:
        if self.ended_as is not None:
            return self.ended_as
        if self.verdict_word is None:
            return ExitCode.NOTHING_MEASURED
        # Comparisons and other tools' CSVs and logs have no run that could have been interrupted.
        of_run = exit_code(self.verdict, self.run.manifest) if self.run and self.verdict else None
        code = of_run or EXIT_CODES[self.verdict_word]
        return ExitCode.PASS if lenient and code is ExitCode.INCONCLUSIVE else code

    def annotations(self, *, lenient: bool) -> Iterator[str]:
        """A workflow command for each threshold, audit and finding that isn't PASS, or for a failure to measure."""
        if self.concluded is not None:
            yield from self.concluded.annotations(lenient=lenient)
        elif self.verdict is None:
            yield workflow_command("error", f"{self.scenario}: {self.word}", self.trouble)
        else:
            for word, message in _messages(self.verdict):
                if word is not Word.PASS:
                    kind = "warning" if lenient and word is Word.INCONCLUSIVE else "error"
                    yield workflow_command(kind, f"{self.scenario}: {word}", message)


def _messages(verdict: Verdict) -> Iterator[tuple[Word, str]]:
    """The word of each threshold, audit and finding, and why."""
    for judgement in verdict.judgements:
        yield judgement.word, f"{judgement.threshold.scope}: {judgement.threshold.expect}: {judgement.reason}"
    for audited in verdict.audits:
        yield audited.word, f"audit of {audited.audit}: {audited.reason}"
    for finding in verdict.findings:
        yield finding.word, f"{finding.what}: {finding.remedy}"


_WORST_FIRST: Final = (
    ExitCode.INTERRUPTED,
    ExitCode.TERMINATED,
    ExitCode.NOTHING_MEASURED,
    *(EXIT_CODES[word] for word in PRECEDENCE),
)


def worst_exit_code(judged: Sequence[Judged], *, lenient: bool) -> ExitCode:
    """The exit code of all together; `lenient` accepts INCONCLUSIVE."""
    return worst_of([entry.exit_code(lenient=lenient) for entry in judged])


def worst_of(codes: Collection[ExitCode]) -> ExitCode:
    """The worst of these exit codes; NOTHING_MEASURED without any."""
    return next((code for code in _WORST_FIRST if code in codes), ExitCode.NOTHING_MEASURED)
