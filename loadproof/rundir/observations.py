"""observations.jsonl.gz: what loadproof itself asked the target for an audit, and what it was told.

A line of JSON each, in gzip members that are appended, so that a run can be judged again without asking anybody. Times
in the file are Unix times in µs, because some of it is asked before the run has begun.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import orjson

from loadproof.rundir.files import append
from loadproof.rundir.members import MemberLines, packed

Kind = Literal[
    "replay",
    "race",
    "reuse",
    "overdraft",
    "payment",
    "payments",
    "balance",
    "snapshot",
    "deliver",
    "effects",
    "health",
    "strayed",
]
"""Payments under a key that was used before, under one key twice at once, under a used key with another body, and two
of which the account covers one; a payment read, payments listed, balances read; an event delivered, its effects read;
whether it serves at all; whether a payment to what was restored is at the target.
"""
When = Literal["before", "during", "after", "restored", "rested"]
"""In relation to the load; of what its last backup was restored to, and what one that was taken after it was."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One question and its answer. Times are µs, in Unix time where it is made; amounts are minor units."""

    kind: Kind
    when: When
    client: str
    """As in the journal: the identity that the target's limits see."""
    sent_us: int
    ended_us: int
    status: int
    """0 if there was no answer."""
    outcome: str
    """An Outcome: `ok` if the answer is as the target file says."""
    asked: dict[str, Any]
    """In the journal's words, such as key, debit, credit, amount, payment, account, event; and `how` of a delivery."""
    said: dict[str, Any] = field(default_factory=dict)
    """In the same words, as far as the answer has them; `payments` is a list of them, `balances` a map by account."""
    trouble: str = ""
    """Why nothing was read."""

    @property
    def course(self) -> tuple[int, int, int]:
        """When it was sent and ended, and its status."""
        return self.sent_us, self.ended_us, self.status

    @property
    def row(self) -> dict[str, Any]:
        """Its fields by their names, for reports; a copy of a thousand of them would take as long as their audit."""
        return {name: getattr(self, name) for name in self.__slots__}


def were_at_once(requests: Iterable[tuple[int, int, int]]) -> bool:
    """Two of them that were answered were on their way at the same time; each is when it was sent, ended, and a status.

    They come in the order of their sending. What a limit refuses has come to nobody.
    """
    answered = [(sent_us, ended_us) for sent_us, ended_us, status in requests if status not in {0, 429, 503}]
    return any(later < ended_us for (_, ended_us), (later, _) in pairwise(answered))


def append_observations(path: Path, observations: Iterable[Observation], mask: Callable[[str], str] = str) -> None:
    """As one gzip member; `mask` removes secrets. OSError if the disk doesn't take it."""
    lines = "".join(f"{mask(orjson.dumps(observation).decode())}\n" for observation in observations)
    if lines:
        append(path, packed(lines))


def read_observations(path: Path, start_unix_s: float) -> Iterator[Observation]:
    """From all complete lines, with times from the run's start; none if there is no such file.

    Lines that are no observation are left out.
    """
    if not path.exists():
        return
    start_us = round(1e6 * start_unix_s)
    for block in MemberLines(path):
        for line in block.splitlines():
            try:
                seen = Observation(**orjson.loads(line))
                yield replace(seen, sent_us=seen.sent_us - start_us, ended_us=seen.ended_us - start_us)
            except (TypeError, ValueError):
                continue
