"""Writes a run's payments as a history for elle-cli, so that experts can check our audit.

The file is one JSON array of operations as recorded by Jepsen: `type` (invoke; ok, fail, or info if unknown), `f`,
`value`, `process`, `time` in ns from the first operation, and `index`. A process that got `info` is never used again; a
new one takes its place.

Two models fit a ledger. `bank`: transfers between accounts, and reads of all balances, which must add up to the same
total; accounts are numbered, as in Jepsen's own. `set-full`: each payment's number is added, and a final read returns
those that are there, so lost and late ones are found.
Source: https://github.com/ligurio/elle-cli, README.md and histories/jepsen/bank.json and set_full.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from loadproof.analysis.audit.ledger.books import Books
from loadproof.analysis.audit.ledger.keys import stories_of
from loadproof.outcome import Said

if TYPE_CHECKING:
    from loadproof.analysis.audit.ledger.keys import KeyStory
    from loadproof.analysis.audit.ledger.record import LedgerRecord

Model = Literal["bank", "set-full"]
_ENDS, _BEGINS = range(2)
_TYPES: Final = {Said.ACKNOWLEDGED: "ok", Said.REFUSED: "fail", Said.UNKNOWN: "info"}


@dataclass
class _Operation:
    """One payment or read, from when it was first sent to its answer."""

    f: str
    sent_us: float
    ended_us: float
    ending: str
    invoked: Any
    """None for a read, whose value is only known when it ends."""
    completed: Any


def write_history(record: LedgerRecord, model: Model) -> str:
    """The history as JSON, one operation per line; without keys or snapshots it has fewer operations."""
    operations = _bank(record) if model == "bank" else _set(record)
    lines = (json.dumps(event, separators=(",", ":")) for event in _events(operations))
    return "[" + ",\n".join(lines) + "]\n"


def _bank(record: LedgerRecord) -> Iterator[_Operation]:
    """Operations of the bank model. Each key is one transfer, however often it was sent: Jepsen never repeats one."""
    accounts = sorted({account for snapshot in record.snapshots for account in snapshot.balances})
    numbers = {account: number for number, account in enumerate(accounts)}
    for story in stories_of(record.attempts).values():
        order = story.order
        if not {order.debit, order.credit} <= numbers.keys():
            continue
        value = {"from": numbers[order.debit], "to": numbers[order.credit], "amount": order.amount}
        yield _Operation("transfer", *_times_us(story), _TYPES[story.said], value, value)
    for snapshot in record.snapshots:
        balances = {str(numbers[account]): balance for account, balance in snapshot.balances.items()}
        yield _Operation("read", snapshot.sent_us, snapshot.ended_us, "ok", None, balances)


def _set(record: LedgerRecord) -> Iterator[_Operation]:
    """Operations of the set-full model; the final read begins after everything else has ended."""
    stories = stories_of(record.attempts)
    keys = Books(record, stories).found
    numbers = {key: number for number, key in enumerate(stories)}
    for key, story in stories.items():
        yield _Operation("add", *_times_us(story), _TYPES[story.said], numbers[key], numbers[key])
    end_us = max((attempt.ended_us for attempt in record.attempts), default=0)
    there = sorted(numbers[key] for key in keys)
    yield _Operation("read", end_us + 1, end_us + 2, "ok", None, there)


def _times_us(story: KeyStory) -> tuple[float, float]:
    """When it was first sent, and when it was acknowledged or the last attempt ended."""
    last_us = max(attempt.ended_us for attempt in story.attempts)
    return story.attempts[0].sent_us, min(story.booked_until_us, last_us)


def _events(operations: Iterable[_Operation]) -> Iterator[dict[str, Any]]:
    """Beginnings and ends in the order of their times; at equal times, ends come before beginnings."""
    moments = []
    for number, operation in enumerate(operations):
        moments += [
            (operation.sent_us, _BEGINS, number, operation),
            (max(operation.ended_us, operation.sent_us + 1), _ENDS, number, operation),
        ]
    moments.sort(key=lambda moment: moment[:3])
    free: list[int] = []
    process_of: dict[int, int] = {}
    for index, (time_us, kind, number, operation) in enumerate(moments):
        if kind == _BEGINS:
            process_of[number] = free.pop() if free else len(process_of)
        elif operation.ending != "info":
            free.append(process_of[number])
        value = operation.invoked if kind == _BEGINS else operation.completed
        event: dict[str, Any] = {"type": "invoke" if kind == _BEGINS else operation.ending, "f": operation.f}
        event |= {"process": process_of[number], "time": round(1_000 * (time_us - moments[0][0])), "index": index}
        yield event if value is None else event | {"value": value}
