"""A promise while it is tested: collects samples and offences, and turns them into evidence."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from loadproof.analysis.audit.audit import MOST_ROWS, Evidence, Offence
from loadproof.analysis.word import Word
from loadproof.rundir.observations import were_at_once

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class TimedRequest(Protocol):
    """A request with its times in µs and a row with its status."""

    @property
    def sent_us(self) -> int: ...
    @property
    def ended_us(self) -> int: ...
    @property
    def row(self) -> Mapping[str, Any]: ...


def overlap(requests: Iterable[TimedRequest]) -> bool:
    """Whether two of these requests were in flight at the same time; they come in the order sent."""
    return were_at_once((request.sent_us, request.ended_us, request.row["status"]) for request in requests)


def range_text(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


@dataclass
class Promise:
    """A promise under test; `things` names what `n` counts, in the plural."""

    name: str
    things: str
    needed: int
    n: int = 0
    offences: list[Offence] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)
    """Why it can't be PASS whatever `n` is, one clause each."""

    def broken(self, what: str, rows: Iterable[Mapping[str, Any]] = ()) -> None:
        kept = tuple(dict(row) for _, row in zip(range(MOST_ROWS), rows, strict=False))
        self.offences.append(Offence(self.name, what, kept))

    def lacks(self, why: str) -> None:
        if why and why not in self.lacking:
            self.lacking.append(why)

    @property
    def evidence(self) -> Evidence:
        """FAIL for a single offence, however few the samples; PASS needs `needed` samples, and at least one."""
        needed = max(self.needed, 1)
        sample = f"{self.n:,} {self.things}"
        if self.offences:
            more = f" (and {len(self.offences) - 1:,} more)" if len(self.offences) > 1 else ""
            return Evidence(self.name, Word.FAIL, self.n, needed, f"{self.offences[0].what}{more}; of {sample}")
        if self.n < needed:
            reasons = [f"{sample}, needs {needed:,}", *self.lacking]
            return Evidence(self.name, Word.INCONCLUSIVE, self.n, needed, "; ".join(reasons))
        if self.lacking:
            return Evidence(self.name, Word.INCONCLUSIVE, self.n, needed, "; ".join([sample, *self.lacking]))
        return Evidence(self.name, Word.PASS, self.n, needed, sample)


def explain(promises: Iterable[Promise], unread: Mapping[str, int]) -> None:
    """Add what could not be read, counted by reason, to every undecided promise: it may be why."""
    text = "; ".join(f"{count:,} not read: {why}" for why, count in unread.items())
    for promise in promises:
        if promise.evidence.word is Word.INCONCLUSIVE:
            promise.lacks(text)
