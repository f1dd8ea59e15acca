"""The input of the backup audit: each backup of a run, and what happened when it was tried."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadproof.analysis.audit.ledger.record import LedgerRecord
    from loadproof.rundir.commands import CommandRun
    from loadproof.rundir.observations import Observation


@dataclass(frozen=True)
class TriedBackup:
    """One backup, and what happened when it was checked, restored and served. Times are µs from the run's start."""

    ledger: LedgerRecord
    """All payments that may be in it, balances before the load, and the restored state as `closing`, `listings` etc."""
    backup: CommandRun
    began_us: int
    """Nothing can have been copied before this time."""
    ended_us: int
    verified: CommandRun | None = None
    restored: CommandRun | None = None
    served: Observation | None = None
    strayed: Observation | None = None
    """A payment sent to the restored service that turned up at the target."""

    @property
    def can_be_read(self) -> bool:
        return self.served is not None and not self.served.trouble


@dataclass(frozen=True)
class BackupRecord:
    """All backups of a run."""

    taken: Sequence[CommandRun]
    """The backups under load, in the order in which they ended."""
    under_load: TriedBackup | None = None
    """The last backup under load."""
    at_rest: TriedBackup | None = None
    """The backup taken when nobody paid any more."""
    doubt_us: int = 0
    """How far times of backups may be off relative to the journal's."""

    @property
    def tries(self) -> list[TriedBackup]:
        return [tried for tried in (self.under_load, self.at_rest) if tried is not None]
