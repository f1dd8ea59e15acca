"""The promises, one per row, and the judgements of scenarios that decide whether a target keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_QUOTA: Final = "limits: *: quota"
_NOT_BELOW: Final = "limits: *: no refusal below it"
_WAITS: Final = "limits: *: Retry-After"
_IN_THE_BOOKS: Final = "ledger: *is there*"


@dataclass(frozen=True)
class Played:
    """A scenario of `scenarios/`, and the `--set` options that make it short enough for the quick form."""

    scenario: str
    quick: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """A target keeps its promise if each of these judgements is PASS."""

    number: int
    """A key of the API's `PROMISES`."""
    decided_by: Mapping[str, tuple[str, ...]]
    """By scenario: patterns of names that `cells.judgements` yields."""


SCENARIOS: Final = {
    played.scenario: played
    for played in (
        Played("limits", ("phases.steady.duration=10 s",)),
        Played("burst-limits", ("phases.bursts.burst.times=30",)),
        Played("penalties"),
        Played("bots"),
        Played("distributed-limits"),
        Played("flood-1000"),
        Played("redis-down"),
        Played(
            "ledger",
            (
                "phases.steady.duration=10 s",
                "thresholds=[{audit: ledger, detects: 1 in 500}, {expect: goodput_ratio >= 10 %}]",
            ),
        ),
        Played(
            "crash",
            (
                "phases.after.duration=8 s",
                "thresholds=[{audit: ledger, detects: 1 in 500}, {expect: goodput_ratio >= 10 %}]",
            ),
        ),
        Played(
            "webhooks",
            (
                "phases.steady.duration=10 s",
                "thresholds=[{audit: webhooks, detects: 1 in 300}, {expect: goodput_ratio >= 10 %}]",
            ),
        ),
        Played("backup"),
    )
}
ROWS: Final = (
    # A quota is exact, and no window admits more than it; clients are apart; nothing gets round a limit.
    Row(1, {"limits": (_QUOTA, _NOT_BELOW), "burst-limits": (_QUOTA, _NOT_BELOW)}),
    Row(2, {"limits": (_QUOTA,), "burst-limits": (_QUOTA,)}),
    Row(3, {"limits": ("limits: *: isolation", _QUOTA)}),
    Row(4, {"bots": ("limits: *: no bypass",)}),
    Row(5, {"bots": ("limits: *: spoofed headers*",)}),
    # Processes share a quota; waits and penalties are honest; lists, bots and limits apply in the right order.
    Row(6, {"distributed-limits": (_QUOTA, _NOT_BELOW)}),
    Row(7, {"limits": (_WAITS,), "penalties": (_WAITS, "limits: *: penalties *")}),
    Row(8, {"bots": ("limits: deny list*", "limits: allow list*", "limits: bot check*")}),
    # A flood, and a lost Redis.
    Row(9, {"flood-1000": ("*",)}),
    Row(10, {"redis-down": ("*",)}),
    # Money, payments across a crash, keys, events, backups.
    Row(11, {"ledger": ("ledger: balances *", "ledger: the sum *", "ledger: no balance *", "ledger: *from then on")}),
    Row(12, {"ledger": (_IN_THE_BOOKS,), "crash": (_IN_THE_BOOKS,)}),
    Row(13, {"ledger": ("ledger: the same key *",)}),
    Row(14, {"webhooks": ("webhooks: *",)}),
    Row(15, {"backup": ("backup: *",)}),
)
