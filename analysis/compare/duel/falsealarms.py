"""Counts false alarms in duels of a release with itself: changes reported where there are none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from loadproof.analysis.estimates.distributions import binomial_bound
from loadproof.errors import RunDirectoryError
from loadproof.plan.evidence import CONFIDENCE
from loadproof.rundir.duel import DUEL, read_duel

if TYPE_CHECKING:
    from pathlib import Path

    from loadproof.rundir.duel import Duel

_BOUND: Final = (1 + CONFIDENCE) / 2
"""The confidence of each bound, so that both together have CONFIDENCE."""


@dataclass(frozen=True)
class FalseAlarms:
    """How many of these duels of equals found a change, with the exact interval of their share (0–1)."""

    found: int
    duels: int

    @property
    def low(self) -> float:
        return 1 - binomial_bound(self.duels - self.found, self.duels, _BOUND)

    @property
    def high(self) -> float:
        return binomial_bound(self.found, self.duels, _BOUND)

    def __str__(self) -> str:
        plural = "" if self.duels == 1 else "s"
        share = f"95 % interval {100 * self.low:.0f} % to {100 * self.high:.0f} %"
        return f"{self.found} of {self.duels} duel{plural} of equals on this machine found a change ({share})"


def false_alarms(reports: Path, duel: Duel) -> FalseAlarms:
    """The false alarms of all decided duels of equals in `reports` with this duel's scenario, machine and kind."""
    alarms = []
    for file in sorted(reports.glob(f"*/{DUEL}")):
        try:
            other = read_duel(file.parent)
        except RunDirectoryError:
            continue
        if other.kind == "aa" and _alike(other) == _alike(duel):
            alarms += [] if other.changed is None else [other.changed > 0]
    return FalseAlarms(sum(alarms), len(alarms))


def _alike(duel: Duel) -> tuple[str, str, bool]:
    """What duels must have in common to share a rate of false alarms."""
    return duel.scenario, duel.machine, duel.is_duet
