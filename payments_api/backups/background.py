"""The schedule inside the serving process: a thread that waits, and a low-priority process that does the work."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from payments_api.backups.checking import ledger_id_of
from payments_api.backups.locking import lock_of, try_lock
from payments_api.backups.manifest import ledger_key, stem_of
from payments_api.backups.mistakes import BackupError
from payments_api.backups.places import backups_of_ledger, open_place
from payments_api.backups.restoring import read_manifest
from payments_api.backups.schedule import Report, Schedule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from payments_api.backups.metrics import BackupMetrics
    from payments_api.backups.options import BackupOptions

_TICK_S: Final = 5.0
_LOWEST_PRIORITY: Final = 19
_LOOK_AT: Final = 5
_STOP_S: Final = 5.0


def print_report(name: str, detail: str) -> None:
    sys.stderr.write(f"payments_api: {name}: {detail}\n")
    sys.stderr.flush()


@contextmanager
def backups_of(
    database: str,
    options: BackupOptions | None,
    report: Report = print_report,
    *,
    metrics: BackupMetrics | None = None,
) -> Iterator[None]:
    """Daily backups while this runs; none without options.

    If several processes share a database, one of them takes them.
    """
    if options is None:
        yield
        return
    background = _Background(Path(database), options, report, metrics)
    background.start()
    try:
        yield
    finally:
        background.stop()


class _Background:
    def __init__(
        self, database: Path, options: BackupOptions, report: Report, metrics: BackupMetrics | None = None
    ) -> None:
        self._database = database
        self._options = options
        self._stopping = threading.Event()
        self._passed_on: set[str] = set()
        self._report = report
        self._metrics = metrics
        self._schedule = Schedule(
            at_s=options.at_s, take=self._take_counted, good_backups=self._good_backups, report=self._report_counted
        )
        self._thread = threading.Thread(target=self._run, name="backups", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends a backup that is running; the next one cleans up."""
        self._stopping.set()
        self._thread.join(2 * _STOP_S)

    def _run(self) -> None:
        lock = lock_of(self._database)
        lock = lock.with_name(lock.name.replace("backup-lock", "schedule-lock"))
        descriptor = None
        while not self._stopping.is_set():
            # Whichever process has it keeps it until it ends; then another takes over.
            try:
                descriptor = descriptor if descriptor is not None else try_lock(lock)
            except BackupError as error:
                self._schedule.blocked(str(error))
            else:
                if descriptor is not None:
                    self._schedule.tick()
                else:
                    self._schedule.left_to_another()
            self._stopping.wait(_TICK_S)
        if descriptor is not None:
            os.close(descriptor)

    def _report_counted(self, name: str, detail: str) -> None:
        if self._metrics is not None and name == "backup-failed":
            self._metrics.failed()
        self._report(name, detail)

    def _take_counted(self) -> None:
        began = datetime.now(UTC)
        self._take()
        # A backup that the API's end cut short doesn't count.
        if self._metrics is not None and not self._stopping.is_set():
            self._metrics.taken(began, datetime.now(UTC))

    def _take(self) -> None:
        command = [sys.executable, "-m", "payments_api.backups", "backup"]
        environment = {**os.environ, "DATABASE": str(self._database)}
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said
            )
            _step_back(process.pid)
            # It ends itself when its time is up, unless a disk that hangs keeps it from doing so.
            code = self._await(process, self._options.timeout_s + 2 * _STOP_S)
            said.seek(0)
            lines = said.read().decode(errors="replace").strip().splitlines()
        if self._stopping.is_set():
            return
        if code != 0:
            raise _Failed(lines[-1] if lines else f"backup: ended with {code}, without any output; run it by hand")
        # Not an incident, because a backup was taken. But readers of the log should know, though not every day.
        for line in dict.fromkeys(lines):
            if line not in self._passed_on:
                self._passed_on.add(line)
                print_report("backup", line)

    def _await(self, process: subprocess.Popen[bytes], timeout_s: float) -> int:
        waited_s = 0.0
        while process.poll() is None and waited_s < timeout_s and not self._stopping.is_set():
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.2)
            waited_s += 0.2
        if process.poll() is None:
            process.kill()
        with suppress(subprocess.TimeoutExpired):
            return process.wait(_STOP_S)
        return -1

    def _good_backups(self) -> list[datetime]:
        """The time of the newest good one, or of a few that can't be distinguished from it."""
        place = open_place(self._options.place, os.environ)
        with tempfile.TemporaryDirectory(prefix="payments-backups-") as work:
            ours = backups_of_ledger(
                place, ledger_key(stem_of(self._database), ledger_id_of(self._database, live=True))
            )
            found = []
            for backup in ours[:_LOOK_AT]:
                with suppress(BackupError):
                    found.append(read_manifest(place, backup, Path(work)).created_at)
        if self._metrics is not None:
            self._metrics.found(found, datetime.now(UTC))
        return found


class _Failed(BackupError):  # noqa: N818 - never leaves this file
    """Worded by the process that failed."""

    def __init__(self, line: str) -> None:
        Exception.__init__(self, line)


def _step_back(process: int) -> None:
    """Requests go first, on the cores and on the disk."""
    with suppress(psutil.Error, OSError, ValueError):
        other = psutil.Process(process)
        other.nice(_LOWEST_PRIORITY)
        if hasattr(psutil, "IOPRIO_CLASS_IDLE"):
            other.ionice(psutil.IOPRIO_CLASS_IDLE)
