"""Kill -9 at every line of backup and restore: the ledger is untouched, every backup whole, and the next one works."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from tests.commands import ROOT
from tests.payments_api.backups.books import back_up, leftovers, names, transactions

pytestmark = pytest.mark.process
IN_MEMORY = Path("/dev/shm")  # noqa: S108 - hundreds of backups need not wait for a disk each


def kill_at_lines(command: str, *, every: int, bucket: str = "", **environment: str) -> int:
    """Number of lines of which each is killed at, or one of `every`."""
    with tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as directory:
        done = subprocess.run(
            [sys.executable, "-m", "tests.payments_api.backups.killing", command, directory, str(every)]
            + [bucket] * bool(bucket),
            cwd=ROOT,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=170,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    killed, lines = map(int, re.fullmatch(r"killed at (\d+) of (\d+) lines\n", done.stdout).groups())
    assert killed == -(-lines // every)
    return lines


@pytest.mark.parametrize("command", ["backup", pytest.param("restore", marks=pytest.mark.long)])
def test_killed_at_one_line_of_ten_nothing_is_lost(command):
    """The short form of the one below."""
    assert kill_at_lines(command, every=10) > 100


@pytest.mark.long
@pytest.mark.parametrize("command", ["backup", "restore"])
def test_killed_at_any_line_nothing_is_lost(command):
    """Each line that a backup or a restore comes through, once."""
    assert kill_at_lines(command, every=1) > 100


@pytest.mark.long
def test_killed_at_one_line_of_four_of_a_backup_to_s3_nothing_is_lost(storage):
    """Where there is no rename, and no lock."""
    bucket = f"s3://{storage.bucket}"
    assert kill_at_lines("backup", every=4, bucket=bucket, **storage.environment) > 100


@pytest.mark.long
def test_killed_while_the_api_proves_itself_on_the_restored_file_nothing_stays(ledger, place, tmp_path):
    """The API that it has started ends, too, and the next restore works."""
    name = back_up(ledger, place).manifest.name
    target = tmp_path / "restored.sqlite3"
    command = [sys.executable, "-m", "payments_api", "restore", "--from", str(place), "--database", str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as restoring:
        child = awaited_child(restoring.pid)
        restoring.send_signal(signal.SIGKILL)
    child.wait(10)
    assert not target.exists()
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"restored {name} to {target}: ")
    assert transactions(target) == transactions(ledger)
    assert leftovers(tmp_path) == []
    assert names(place) == [name]


def awaited_child(process: int) -> psutil.Process:
    """As soon as it is there, which is when it knows least."""
    for _ in range(2000):
        for child in psutil.Process(process).children():
            return child
        time.sleep(0.005)
    pytest.fail("it starts no API")
