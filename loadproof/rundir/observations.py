"""observations.jsonl.gz: what loadproof itself asked the target for an audit, and what it was told.

A line of JSON each, in gzip members that are appended, so that a run can be judged again without asking anybody.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import orjson

from loadproof.rundir.files import append
from loadproof.rundir.intervals import read_intervals

OBSERVATIONS: Final = "observations.jsonl.gz"

Kind = Literal[
    "replay", "race", "reuse", "overdraft", "payment", "payments", "balance", "snapshot", "deliver", "effects"
]
"""Payments under a key that was used before, under one key twice at once, under a used key with another body, and two
of which the account covers one; a payment read, payments listed, balances read; an event delivered, its effects read.
"""
When = Literal["before", "during", "after"]


@dataclass(frozen=True, slots=True)
class Observation:
    """One question and its answer. Times are µs from the run's start; amounts are minor units."""

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


def append_observations(path: Path, observations: Iterable[Observation]) -> None:
    """As one gzip member; OSError if the disk doesn't take it."""
    lines = b"".join(orjson.dumps(observation) + b"\n" for observation in observations)
    if lines:
        append(path, gzip.compress(lines, compresslevel=1, mtime=0))


def read_observations(path: Path) -> Iterator[Observation]:
    """From all complete lines; none if there is no such file. Lines that are no observation are left out."""
    if not path.exists():
        return
    for block in read_intervals(path):
        for line in block.splitlines():
            try:
                yield Observation(**orjson.loads(line))
            except (TypeError, ValueError):
                continue
