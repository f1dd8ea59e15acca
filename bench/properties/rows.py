"""The promises, one a row, and which words of which scenario's verdict decide whether a target keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_QUOTA: Final = ("limits: *: quota", "limits: *: no refusal below it")
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
    promise: str
    decided_by: Mapping[str, tuple[str, ...]]
    """By scenario: patterns of the names that `cells.judgements` gives."""


SCENARIOS: Final = {
    played.scenario: played
    for played in (
        Played("limits", ("phases.steady.duration=8 s",)),
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
    Row(1, "a quota is exact", {"limits": _QUOTA, "burst-limits": _QUOTA}),
    Row(2, "no window admits more than its algorithm can", {"limits": _QUOTA[:1], "burst-limits": _QUOTA[:1]}),
    Row(3, "clients are apart", {"limits": ("limits: *: isolation", *_QUOTA[:1])}),
    Row(4, "nothing gets round a limit", {"bots": ("limits: *: no bypass",)}),
    Row(5, "headers of strangers count for nothing", {"bots": ("limits: *: spoofed headers*",)}),
    Row(6, "processes share a quota", {"distributed-limits": _QUOTA}),
    Row(
        7,
        "Retry-After is honest, and penalties grow, are capped and forgotten",
        {"limits": ("limits: *: Retry-After",), "penalties": ("limits: *: Retry-After", "limits: *: penalties *")},
    ),
    Row(8, "deny list, allow list, bots, limits, in this order", {"bots": ("limits: *list", "limits: *bots*")}),
    Row(9, "a flood is survived", {"flood-1000": ("*",)}),
    Row(10, "limits hold and answers come while Redis is dead, hung and back", {"redis-down": ("*",)}),
    Row(
        11,
        "no money is made or lost, and what was written is read",
        {"ledger": ("ledger: balances *", "ledger: the sum *", "ledger: no balance *", "ledger: *from then on")},
    ),
    Row(12, "no payment is lost or doubled, also by a crash", {"ledger": (_IN_THE_BOOKS,), "crash": (_IN_THE_BOOKS,)}),
    Row(13, "a key is one payment", {"ledger": ("ledger: the same key *",)}),
    Row(14, "an event has one effect", {"webhooks": ("webhooks: *",)}),
    Row(15, "a backup under load restores", {"backup": ("backup: *",)}),
)
