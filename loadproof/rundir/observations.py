"""observations.jsonl.gz: what loadproof itself asked the target for an audit, and the answers.

One line of JSON each, appended in gzip members, so that a run can be judged again without its target. Times in the file
are Unix times in µs, because some questions are asked before the run begins.
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
"""A payment under a key that was used before, two at once under one key, one with another body under a used key, and
two of which the account covers one; a payment read, payments listed, a balance read, all balances read; an event
delivered, its effects read; whether a target serves at all; whether a payment made to a restored copy reached the
target itself.
"""
When = Literal["before", "during", "after", "restored", "rested"]
"""Relative to the load; or asked of a copy restored from the load's last backup, or from one taken after the load."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One question and its answer. Times in µs: Unix times when it is made and written; amounts in minor units."""

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
    """Why it was not asked or not answered."""

    @property
    def course(self) -> tuple[int, int, int]:
        """When it was sent and ended, and its status."""
        return self.sent_us, self.ended_us, self.status

    @property
    def row(self) -> dict[str, Any]:
        """Its fields by name, for reports; deep copies of a thousand of them would take as long as their audit."""
        return {name: getattr(self, name) for name in self.__slots__}


def were_at_once(requests: Iterable[tuple[int, int, int]]) -> bool:
    """Whether two answered requests were in flight at the same time; each is (sent_us, ended_us, status).

    They must be in the order of sending. A request that a limit refused reached nobody, so it doesn't count.
    """
    answered = [(sent_us, ended_us) for sent_us, ended_us, status in requests if status not in {0, 429, 503}]
    return any(later < ended_us for (_, ended_us), (later, _) in pairwise(answered))


def append_observations(path: Path, observations: Iterable[Observation], mask: Callable[[str], str] = str) -> None:
    """Append them as one gzip member; `mask` removes secrets. OSError if it can't be written."""
    lines = "".join(f"{mask(orjson.dumps(observation).decode())}\n" for observation in observations)
    if lines:
        append(path, packed(lines))


def read_observations(path: Path, start_unix_s: float) -> Iterator[Observation]:
    """All complete lines, with times from the run's start; none if there is no such file.

    Lines that aren't observations are skipped.
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
