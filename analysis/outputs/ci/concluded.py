"""The conclusion of a comparison, a search or a history, for programs: JUnit XML, and annotations for a CI system."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from loadproof.analysis.outputs.ci.annotations import workflow_command
from loadproof.analysis.outputs.ci.junit import Case, junit_suite
from loadproof.analysis.word import Word

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Concluded:
    """A verdict on more than one run, with its test cases."""

    kind: str
    """compare, capacity or history: the first part of its suite's name."""
    scenario: str
    word: Word
    reason: str
    next_step: str
    cases: tuple[Case, ...]
    annotated: tuple[Case, ...]
    """Cases that get an annotation besides the reason's, unless they are PASS."""
    notes: str = ""

    @property
    def junit(self) -> str:
        return junit_suite(f"{self.kind}.{self.scenario}", self.cases, took_s=0.0, notes=self.notes)

    def annotations(self, *, lenient: bool) -> Iterator[str]:
        """GitHub's workflow commands, for everything that isn't PASS."""
        messages = [(self.word, self.reason)]
        messages += [(case.word, f"{case.name}: {case.message}") for case in self.annotated]
        for word, message in messages:
            if word is not Word.PASS:
                kind = "warning" if lenient and word is Word.INCONCLUSIVE else "error"
                yield workflow_command(kind, f"{self.scenario}: {word}", message)
