"""Turns verdicts of runs into cells of the matrix: a word, and the judgement that decides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from loadproof.analysis.word import PRECEDENCE, Word

if TYPE_CHECKING:
    from bench.properties.rows import Row

NOT_JUDGED: Final = "INCONCLUSIVE"


@dataclass(frozen=True)
class Judged:
    """One threshold, or one promise of an audit."""

    name: str
    word: str
    reason: str


@dataclass(frozen=True)
class Cell:
    word: str
    reason: str


def judgements(verdict: Mapping[str, Any]) -> Iterator[Judged]:
    """Promises of audits as `audit: promise`, and thresholds as `expectation (scope)`.

    With their own verdicts, which a run's INVALID on a busy machine doesn't hide.
    """
    for audit in verdict["audits"]:
        for evidence in audit["evidence"]:
            yield Judged(f"{audit['audit']}: {evidence['promise']}", evidence["word"], evidence["reason"])
    for threshold in verdict["thresholds"]:
        yield Judged(f"{threshold['expect']} ({threshold['scope']})", threshold["word"], threshold["reason"])


def cell_of(row: Row, verdicts: Mapping[str, Mapping[str, Any] | None]) -> Cell:
    """The worst judgement of those that decide the row; INCONCLUSIVE for a missing verdict or an unmatched pattern."""
    deciding: list[Judged] = []
    for scenario, patterns in row.decided_by.items():
        judged = list(judgements(verdicts[scenario] or {"audits": [], "thresholds": []}))
        for pattern in patterns:
            matching = [judgement for judgement in judged if fnmatchcase(judgement.name, pattern)]
            deciding += matching or [Judged(pattern, NOT_JUDGED, f"{scenario} judged no such thing")]
    return _worst(deciding)


def _worst(deciding: Sequence[Judged]) -> Cell:
    worst = min(deciding, key=lambda judgement: PRECEDENCE.index(Word(judgement.word)))
    return Cell(worst.word, f"{worst.name}: {worst.reason}")
