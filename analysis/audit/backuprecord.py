"""What a run shows of its backups: each one, and what came of it as far as it was tried."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadproof.analysis.audit.ledgerrecord import LedgerRecord
    from loadproof.rundir.commands import CommandRun
    from loadproof.rundir.observations import Observation


@dataclass(frozen=True)
class TriedBackup:
    """One backup, and what came of it as far as it was tried. Times are µs from the run's start."""

    ledger: LedgerRecord
    """All payments that it may have, balances before the load, and as `closing`, `listings` and so on the restored."""
    backup: CommandRun
    began_us: int
    """Before that, nothing can have been copied."""
    ended_us: int
    verified: CommandRun | None = None
    restored: CommandRun | None = None
    served: Observation | None = None
    strayed: Observation | None = None
    """A payment to what was restored that was at the target afterwards."""

    @property
    def can_be_read(self) -> bool:
        return self.served is not None and not self.served.trouble


@dataclass(frozen=True)
class BackupRecord:
    """What a run shows of its backups."""

    taken: Sequence[CommandRun]
    """Those under load, in the order in which they ended."""
    under_load: TriedBackup | None = None
    """The last of them."""
    at_rest: TriedBackup | None = None
    """One that was taken when nobody paid any more."""
    doubt_us: int = 0
    """How far times of backups may be off beside those of the journal."""

    @property
    def tries(self) -> list[TriedBackup]:
        return [tried for tried in (self.under_load, self.at_rest) if tried is not None]
