"""Audits a run's ledger, webhooks and backups: compares its journal with what loadproof itself asked the target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import orjson

from loadproof.analysis.audit.backup.backup import audit_backup
from loadproof.analysis.audit.backup.record import BackupRecord, TriedBackup
from loadproof.analysis.audit.ledger.ledger import audit_ledger
from loadproof.analysis.audit.ledger.rows import PAYMENTS, Declared, ledger_record
from loadproof.analysis.audit.webhooks import audit_webhooks, webhook_record
from loadproof.analysis.frames.journal import count_journal
from loadproof.rundir import files
from loadproof.rundir.commands import read_commands
from loadproof.rundir.observations import read_observations
from loadproof.scenario.target.commands import BACKUP, RESTORE, VERIFY
from loadproof.scenario.target.operations import FALSE_DELIVERIES

if TYPE_CHECKING:
    import pandas as pd

    from loadproof.analysis.audit.audit import Audited
    from loadproof.analysis.audit.ledger.record import LedgerRecord
    from loadproof.analysis.frames.run import Run
    from loadproof.rundir.commands import CommandRun
    from loadproof.rundir.observations import Observation, When

_INCOMPLETE: Final = frozenset({"running", "generator_died", "disk_full"})
"""Endings that may have lost rows of the journal."""
_LEAST_STEP_S: Final = 0.01
"""Smaller differences between the clocks come from reading one after the other."""
_OUR_DOUBT_US: Final = 5_000
_DRIFT: Final = 500e-6
"""How fast a wall clock under adjustment drifts from a monotonic one. Source: adjtimex(2), ADJ_FREQUENCY."""


class NotedRow(Mapping[str, Any]):
    """One row of a journal as a mapping from column to value, read from the columns on demand."""

    __slots__ = ("_columns", "_noted", "_number")

    def __init__(self, columns: Mapping[str, Any], number: int, noted: Mapping[str, Any]) -> None:
        self._columns = columns
        self._number = number
        self._noted = noted

    def __getitem__(self, column: str) -> Any:
        return self._noted if column == "noted" else self._columns[column][self._number]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


def ledger_of(run: Run, journal: pd.DataFrame, observations: Sequence[Observation] | None = None) -> LedgerRecord:
    """Everything the run shows about the target's ledger; with `observations`, about another ledger."""
    target = run.manifest.target
    return ledger_record(
        noted_rows(journal),
        _observations(run) if observations is None else observations,
        Declared(
            is_exclusive=target.exclusive_accounts,
            has_keys=target.endpoints.transactions.idempotency_key is not None,
            has_reads=target.endpoints.transaction is not None,
            has_lists=target.endpoints.payments is not None,
            has_snapshot=target.endpoints.snapshot is not None,
            is_decimal=target.endpoints.transactions.amounts == "decimal",
        ),
        is_whole=is_whole(run),
        doubt_us=_our_doubt_us(run, journal),
        workers_doubt_us=_clocks_doubt_us(journal) if len(journal["worker"].unique()) > 1 else 0,
    )


def _clocks_doubt_us(journal: pd.DataFrame) -> int:
    """How far the clocks of two workers may differ, in µs."""
    return 2 * int(journal["doubt_us"].max()) if len(journal) else 0


def _our_doubt_us(run: Run, journal: pd.DataFrame) -> int:
    """How far times of the run's own process may be off relative to the journal's, in µs."""
    drift_us = round(1e6 * _DRIFT * run.manifest.phases[-1].end_s)
    return _clocks_doubt_us(journal) + _OUR_DOUBT_US + drift_us + _stepped_us(run)


def _stepped_us(run: Run) -> int:
    """How far the wall clock was set during the run, in µs: it times our own questions, but not the load."""
    steps_s = run.generator["clock_step_s"].abs()
    by_worker_s = steps_s.where(steps_s > _LEAST_STEP_S, 0.0).groupby(run.generator["worker"]).sum()
    return round(1e6 * float(by_worker_s.max())) if len(by_worker_s) else 0


def ledger_audit(run: Run, journal: pd.DataFrame) -> Audited:
    return audit_ledger(ledger_of(run, journal), one_in=run.manifest.scenario.one_in("ledger"))


def backup_audit(run: Run, journal: pd.DataFrame) -> Audited:
    done = read_commands(run.path)
    is_last = [command.name == BACKUP and command.fault is None for command in done]
    of_load = is_last.index(True) if any(is_last) else len(done)
    record = BackupRecord(
        taken=[command for command in done if command.name == BACKUP and command.fault is not None],
        under_load=_tried(run, journal, done[:of_load], "restored"),
        at_rest=_tried(run, journal, done[of_load:], "rested"),
        doubt_us=_our_doubt_us(run, journal),
    )
    return audit_backup(record, one_in=run.manifest.scenario.one_in("backup"))


def _tried(run: Run, journal: pd.DataFrame, done: Sequence[CommandRun], when: When) -> TriedBackup | None:
    """The last backup among these commands, and how it fared; None if there is none."""
    last = {one.name: one for one in done}
    backup = last.get(BACKUP)
    if backup is None:
        return None
    observations = _restored(run, when)
    began_us = round(1e6 * (backup.began_unix_s - run.start_unix_s))
    return TriedBackup(
        ledger=ledger_of(run, journal, observations),
        backup=backup,
        began_us=began_us,
        ended_us=began_us + round(1e6 * backup.took_s),
        verified=last.get(VERIFY),
        restored=last.get(RESTORE),
        served=next((seen for seen in observations if seen.kind == "health"), None),
        strayed=next((seen for seen in observations if seen.kind == "strayed" and seen.said.get("is_there")), None),
    )


def webhooks_audit(run: Run, journal: pd.DataFrame) -> Audited:
    endpoints = run.manifest.target.endpoints
    record = webhook_record(
        noted_rows(journal),
        _observations(run),
        has_effects=endpoints.effects is not None,
        kinds=FALSE_DELIVERIES[endpoints.webhooks.signature],
        is_whole=is_whole(run),
    )
    return audit_webhooks(record, one_in=run.manifest.scenario.one_in("webhooks"))


def noted_rows(journal: pd.DataFrame) -> Iterator[NotedRow]:
    """Rows with something in `noted`, parsed into a mapping; unreadable ones are left out."""
    columns = {name: journal[name].tolist() for name in journal.columns}
    for number, text in enumerate(columns["noted"]):
        if text:
            try:
                noted = orjson.loads(text)
            except ValueError:
                continue
            if isinstance(noted, dict):
                yield NotedRow(columns, number, noted)


def _observations(run: Run) -> list[Observation]:
    """Observations of the target itself."""
    return [seen for seen in _all_observations(run) if seen.when not in {"restored", "rested"}]


def _restored(run: Run, when: When) -> list[Observation]:
    """Observations of the restored backup, as if of the target after the load; and those from before the backup."""
    restored = []
    for observation in _all_observations(run):
        if observation.when == when:
            restored.append(replace(observation, when="after"))
        elif observation.when == "before" or (when == "rested" and observation.kind in PAYMENTS):
            restored.append(observation)
    return restored


def _all_observations(run: Run) -> Iterator[Observation]:
    return read_observations(run.path / files.OBSERVATIONS, run.start_unix_s)


def is_whole(run: Run) -> bool:
    """Whether every request that was sent is in the journal."""
    if run.manifest.ending in _INCOMPLETE or (run.events["kind"] == files.UNJOURNALLED).any():
        return False
    try:
        return not count_journal(run).damage
    except OSError:
        return False
