"""Runs the schedule inside the serving process: a thread that waits, and low-priority processes that do the work."""

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

from payments_api.backups.disk.locking import lock_of, try_lock
from payments_api.backups.manifest import BackupName
from payments_api.backups.mistakes import BackupError
from payments_api.backups.schedule.schedule import Report, Schedule

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

    from payments_api.backups.metrics import BackupMetrics
    from payments_api.backups.options import BackupOptions

_TICK_S: Final = 5.0
_LOWEST_PRIORITY: Final = 19
_LOOK_S: Final = 120.0
"""Enough for a listing and a few small files, even with retries."""
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
    """Take daily backups while this is open; none without options.

    If several processes share a database, only one of them takes backups.
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
        if metrics is not None:
            metrics.enabled()
        self._schedule = Schedule(
            at_s=options.at_s, take=self._take, good_backups=self._good_backups, report=self._report_counted
        )
        self._thread = threading.Thread(target=self._run, name="backups", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop, killing a backup that is running; the next one cleans up."""
        self._stopping.set()
        self._thread.join(2 * _STOP_S)

    def _run(self) -> None:
        lock = lock_of(self._database)
        lock = lock.with_name(lock.name.replace("backup-lock", "schedule-lock"))
        descriptor = None
        while not self._stopping.is_set():
            # The process that holds the lock keeps it until it exits; then another one takes over.
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
        if self._stopping.is_set():
            # A backup that was cut short because the API is stopping is no failure.
            return
        if self._metrics is not None and name == "backup-failed":
            self._metrics.failed()
        try:
            self._report(name, detail)
        except Exception as error:  # noqa: BLE001 - an application's function must not stop backups
            print_report(name, f"{detail} (not reported: {error!r})")

    def _take(self) -> None:
        began = datetime.now(UTC)
        # The command enforces this limit itself, unless a hanging disk keeps it from doing so.
        self._run_apart("payments_api.backups", "backup", timeout_s=self._options.timeout_s)
        if self._metrics is not None:
            self._metrics.taken(began, datetime.now(UTC))

    def _good_backups(self) -> list[BackupName]:
        timeout_s = min(_LOOK_S, self._options.timeout_s)
        lines = self._run_apart("payments_api.backups.schedule.looking", str(timeout_s), timeout_s=timeout_s)
        backups = [name for name in map(BackupName.parse, lines) if name is not None]
        if self._metrics is not None:
            self._metrics.found([backup.taken_at for backup in backups], datetime.now(UTC))
        return backups

    def _run_apart(self, *module: str, timeout_s: float) -> list[str]:
        """The output of a module run in another process: only that one touches the destination, which may hang."""
        environment = {**os.environ, **self._options.variables(), "DATABASE": str(self._database)}
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as warned:
            process = subprocess.Popen(
                [sys.executable, "-m", *module], env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=warned
            )
            step_back(process.pid)
            code = self._await(process, timeout_s + 2 * _STOP_S)
            lines, warnings = _lines_of(output), _lines_of(warned)
        if code is None:
            what = f"not finished in time, got {timeout_s:g} s, and its process had to be killed"
            raise _Failed(f"backups: {what}; see what is slow there, or raise BACKUP_TIMEOUT_S")
        if code != 0:
            raise _Failed(warnings[-1] if warnings else f"{module[0]}: ended with {code}, silently; run it by hand")
        # Not an incident, but readers of the log should know, though not every day.
        for line in dict.fromkeys(warnings):
            if line not in self._passed_on:
                self._passed_on.add(line)
                print_report("backup", line)
        return lines

    def _await(self, process: subprocess.Popen[bytes], timeout_s: float) -> int | None:
        """The exit code; None if the timeout passed."""
        waited_s = 0.0
        while process.poll() is None and waited_s < timeout_s and not self._stopping.is_set():
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.2)
            waited_s += 0.2
            self._schedule.working()
        if (code := process.poll()) is None:
            process.kill()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_S)
        return code


class _Failed(BackupError):  # noqa: N818 - never leaves this file
    """Has the message of the process that failed."""

    def __init__(self, line: str) -> None:
        Exception.__init__(self, line)


def _lines_of(file: IO[bytes]) -> list[str]:
    file.seek(0)
    return file.read().decode(errors="replace").strip().splitlines()


def step_back(process: int) -> None:
    """Lower the process's CPU and disk priority, so that requests go first."""
    with suppress(psutil.Error, OSError, ValueError):
        other = psutil.Process(process)
        other.nice(_LOWEST_PRIORITY)
        if hasattr(psutil, "IOPRIO_CLASS_IDLE"):
            other.ionice(psutil.IOPRIO_CLASS_IDLE)
