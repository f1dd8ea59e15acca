"""The reference API's own commands, which back up the embedded target and restore a backup."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from loadproof.run.faults.commands import TargetCommands
from loadproof.run.machine.shipped import DIRECTORY
from loadproof.run.processes.children import inherited, python, with_modules_in
from loadproof.run.target.embedded import DELIBERATE_FAULTS, NOT_INHERITED
from loadproof.scenario.target.commands import BACKUP, RESTORE, SERVE, VERIFY, Command
from loadproof.scenario.target.variables import masker_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from loadproof.run.faults.keeperclient import KeeperClient

_RESTORED: Final = "{restored}/ledger.sqlite3"
_UNHURRIED: Final = ["nice", "-n", "19"]
"""Low priority, so that payments come first, as with the API's own scheduled backups."""


def reference_commands(
    database: str, *, accounts: str, secret: Mapping[str, str], keeper: KeeperClient, run: Path
) -> TargetCommands:
    """The embedded target's commands for this database; a restored copy has no limits, and shows its whole ledger."""
    own = {name: value for name, value in inherited().items() if name not in {*NOT_INHERITED, DELIBERATE_FAULTS}}
    settings = {"ACCOUNTS": accounts, "LIMITER": "off", "AUDIT": "on", **secret, **with_modules_in(DIRECTORY)}
    runs = {
        BACKUP: [*_UNHURRIED, *python("payments_api", "backup", "--database", database, "--to", "{backup}")],
        VERIFY: python("payments_api", "verify", "--from", "{backup}"),
        RESTORE: python("payments_api", "restore", "--from", "{backup}", "--database", _RESTORED),
        SERVE: ["env", f"DATABASE={_RESTORED}", *python("payments_api", "--port", "{port}")],
    }
    known = {name: Command(run=arguments, directory=str(run.resolve())) for name, arguments in runs.items()}
    return TargetCommands(known, keeper, run, mask=masker_of(secret, secret), environment={**own, **settings})
