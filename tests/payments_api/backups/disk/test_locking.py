"""A lock that one process holds and that ends with the process."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from payments_api.backups.disk import locking
from payments_api.backups.disk.locking import locked, try_lock
from payments_api.backups.mistakes import BackupError, BusyError
from payments_api.backups.storage.places import DirectoryPlace


def test_one_holder_has_the_lock_and_the_next_gets_it_afterwards(tmp_path):
    """Even within one process: each opens the file anew."""
    path = tmp_path / "lock"
    with locked(path):
        assert try_lock(path) is None
        with pytest.raises(BusyError, match=f"got process {os.getpid()}"), locked(path, wait_s=0.1):
            pass
    with locked(path):
        pass


def test_a_waiting_process_gets_the_lock_once_it_is_free(tmp_path):
    """Within its time limit."""
    path = tmp_path / "lock"
    descriptor = try_lock(path)
    assert descriptor is not None
    os.close(descriptor)
    with locked(path, wait_s=1.0):
        pass


@pytest.mark.process
def test_a_killed_process_loses_its_lock(tmp_path):
    """The kernel releases it."""
    path = str(tmp_path / "lock")
    code = (
        "from pathlib import Path\nfrom payments_api.backups.disk.locking import try_lock\n"
        f"try_lock(Path({path!r}))\nprint('locked', flush=True)\ninput()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(BusyError, match=f"got process {other.pid};"), locked(tmp_path / "lock"):
            pass
        other.kill()
        other.wait()
        with locked(tmp_path / "lock"):
            pass


def test_a_lock_file_that_cannot_be_created_is_reported(tmp_path):
    """In one line."""
    with pytest.raises(
        BackupError, match="none/lock: can't create the lock file, got No such file or directory; make its"
    ):
        try_lock(tmp_path / "none/lock")


def test_a_file_system_without_locks_is_reported(tmp_path, monkeypatch):
    """It isn't mistaken forever for another process that holds the lock."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(BackupError, match="lock: can't be locked, got No locks available; use a file system with"):
        try_lock(tmp_path / "lock")


def test_a_full_disk_does_not_break_the_lock(tmp_path, monkeypatch):
    """The holder is then unknown."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", refuse)
    with locked(tmp_path / "lock"), pytest.raises(BusyError, match="got process unknown"), locked(tmp_path / "lock"):
        pass


def test_a_backup_waits_for_another_databases_slow_backup_to_the_same_directory(tmp_path, monkeypatch):
    """By default all start at the same time of day; waiting ten minutes is no failure."""
    clock = SimpleNamespace(now_s=0.0)
    held = try_lock(tmp_path / ".backup-lock")

    def sleep(_: float) -> None:
        clock.now_s += 30
        if clock.now_s == 600:
            os.close(held)

    monkeypatch.setattr(locking, "time", SimpleNamespace(monotonic=lambda: clock.now_s, sleep=sleep))
    with DirectoryPlace(tmp_path).writing():
        assert clock.now_s == 600
