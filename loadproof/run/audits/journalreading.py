"""Finds what an audit has to ask about in a run's journal: payments with an unknown result, payment ids, and events."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from loadproof.outcome import Said, said_by, said_of_event
from loadproof.rundir import files
from loadproof.rundir.journal import read_journal
from loadproof.rundir.rows import JournalRow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOST_ASKED: Final = 200_000
"""The most questions of each kind; the rest is not asked about."""

_FIRST: Final = 50
"""Orders to choose from when some are sent again."""


@dataclass
class Sent:
    """What the load left to ask about."""

    open_orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Orders whose result is unknown, by key: the journal's note plus the `client`."""
    settled_orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The first acknowledged orders, in the same form."""
    payments: dict[str, None] = field(default_factory=dict)
    """Ids of acknowledged payments, without duplicates."""
    keys: dict[str, None] = field(default_factory=dict)
    events: dict[str, bool] = field(default_factory=dict)
    """Ids of events, and whether any delivery was accepted."""
    accounts: dict[str, None] = field(default_factory=dict)


def read_sent(run: Path) -> Sent:
    """What the load of this run directory sent; empty if it has no journal."""
    sent, acknowledged = Sent(), set()
    for row in _rows(run / files.JOURNAL):
        noted = _note(row["noted"])
        status, outcome, is_repeated = int(row["status"]), row["outcome"], row["repeated"] == "1"
        if "event" in noted:
            is_taken = said_of_event(status, outcome, is_repeated=is_repeated) is Said.ACKNOWLEDGED
            sent.events[noted["event"]] = sent.events.get(noted["event"], False) or is_taken
        if "key" not in noted or not noted.keys() >= {"debit", "credit", "amount"}:
            continue
        key = noted["key"]
        answer = said_by(status, outcome, is_repeated=is_repeated)
        sent.keys[key] = sent.accounts[noted["debit"]] = sent.accounts[noted["credit"]] = None
        if answer is Said.ACKNOWLEDGED:
            acknowledged.add(hash(key))
            sent.open_orders.pop(key, None)
            if len(sent.settled_orders) < _FIRST:
                sent.settled_orders.setdefault(key, noted | {"client": row["client"]})
            if "payment" in noted:
                sent.payments[str(noted["payment"])] = None
        elif answer is Said.UNKNOWN and hash(key) not in acknowledged:
            sent.open_orders[key] = noted | {"client": row["client"]}
    return sent


def _rows(path: Path) -> Iterator[dict[str, str]]:
    if not path.exists():
        return
    for block in read_journal(path):
        lines = block.decode("utf-8", errors="replace").splitlines()
        for row in csv.DictReader(lines, fieldnames=JournalRow._fields):
            # Skips the header and damaged lines.
            if row["noted"] and row["status"].isdecimal():
                yield row


def _note(text: str) -> dict[str, Any]:
    try:
        note = orjson.loads(text)
    except ValueError:
        return {}
    return note if isinstance(note, dict) else {}
