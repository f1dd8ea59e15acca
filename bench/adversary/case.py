"""A case of the adversary, and the result of playing it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.adversary.wire import Request

PASS, FAIL, INCONCLUSIVE, INVALID = "PASS", "FAIL", "INCONCLUSIVE", "INVALID"
REFUSED = "exit 2"
"""Nothing was measured: the input was refused, or the target couldn't be reached."""
NO_VERDICT = "no verdict"
HUNG = "hung"
WORDS = {0: PASS, 1: FAIL, 3: INCONCLUSIVE, 4: INVALID}


@dataclass(frozen=True)
class Played:
    """A command that exited, or hung."""

    code: int | None
    output: str
    reports: Path
    """The directory of run directories or of a report's outputs."""
    seen: list[Request] = field(default_factory=list)
    """Requests that the server read."""

    @property
    def verdict(self) -> dict[str, Any]:
        """The only verdict.json that was written; empty if there isn't exactly one."""
        written = sorted(self.reports.rglob("*verdict.json"))
        return dict(json.loads(written[0].read_text())) if len(written) == 1 else {}

    @property
    def said(self) -> str:
        """The verdict according to the exit code; `no verdict` for a report without thresholds."""
        if self.code is None:
            return HUNG
        if self.code == 0 and self.verdict and self.verdict["verdict"] is None:
            return NO_VERDICT
        return WORDS.get(self.code, f"exit {self.code}")

    @property
    def beneath(self) -> str:
        """The worst verdict of the thresholds and audits themselves, which a run's INVALID hides but doesn't change."""
        judged = [*self.verdict.get("thresholds", []), *self.verdict.get("audits", [])]
        words = [either["word"] for either in judged]
        return next((word for word in (FAIL, INCONCLUSIVE) if word in words), PASS)

    @property
    def load(self) -> list[Request]:
        return [request for request in self.seen if request.at_s >= 0]

    def told(self, text: str) -> bool:
        """Whether the terminal output or verdict.json contains this text, ignoring line breaks."""
        return text in " ".join(self.output.split()) or text in json.dumps(self.verdict, ensure_ascii=False)

    def outcomes(self) -> dict[str, int]:
        """Number of requests of all phases by outcome, from verdict.json."""
        counts: dict[str, int] = {}
        for row in self.verdict.get("summary", []):
            if row["endpoint"] is None:
                for name, count in row["outcomes"].items():
                    counts[name] = counts.get(name, 0) + count
        return counts


Check = Callable[[Played], Iterable[str]]
"""Yields anything else that is wrong, apart from the verdict."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """Something that tries to fool the verdict, or an honest target that must not suffer from the countermeasures."""

    name: str
    kind: str
    """Groups variants of the same attempt."""
    tries: str
    right: tuple[str, ...]
    """Verdicts or exit codes; several only if the truth is open."""
    play: Callable[[Path], Played]
    """Called with an empty directory."""
    also: tuple[Check, ...] = ()
    never: tuple[Check, ...] = ()
    """What must not happen, whatever the verdict, like a secret in a file."""
    needs: Callable[[], bool] | None = None
    """Whether this machine can play it; None: any can."""

    @property
    def is_honest(self) -> bool:
        return self.right == (PASS,)

    @property
    def may_be_disturbed(self) -> bool:
        """Whether a busy machine can hide its verdict; not if it must be refused: then any run is wrong."""
        return INVALID not in self.right and bool({PASS, FAIL, INCONCLUSIVE}.intersection(self.right))

    def wrongs(self, played: Played, said: str) -> Iterator[str]:
        """What is wrong with the verdict and its reasons, in words; `said` is the word that counts as the verdict."""
        if said not in self.right:
            yield f"{said}, right is {' or '.join(self.right)}"
        for check in self.also:
            yield from check(played)

    def faults(self, played: Played) -> Iterator[str]:
        """What would be wrong on any machine, however busy."""
        word = played.verdict.get("verdict")
        if word is not None and played.said in WORDS.values() and word != played.said:
            yield f"exit code of {played.said}, verdict.json says {word}"
        if "Traceback (most recent call last)" in played.output:
            yield "a traceback"
        for check in self.never:
            yield from check(played)
