"""Kill -9 at every line of backup and restore: the ledger is untouched, every backup complete, the next one works."""

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
IN_MEMORY = Path("/dev/shm")  # noqa: S108 - faster than a disk for hundreds of backups


def kill_at_lines(command: str, *, every: int, bucket: str = "", **environment: str) -> int:
    """Kill the command at every `every`-th line that it runs; returns the number of all lines."""
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
def test_nothing_is_lost_if_killed_at_every_tenth_line(command):
    """The short form of the test below."""
    assert kill_at_lines(command, every=10) > 100


@pytest.mark.long
@pytest.mark.parametrize("command", ["backup", "restore"])
def test_nothing_is_lost_if_killed_at_any_line(command):
    """Once at each line that a backup or restore runs."""
    assert kill_at_lines(command, every=1) > 100


@pytest.mark.long
def test_nothing_is_lost_if_a_backup_to_s3_is_killed_at_every_fourth_line(storage):
    """S3 has neither renames nor locks."""
    bucket = f"s3://{storage.bucket}"
    assert kill_at_lines("backup", every=4, bucket=bucket, **storage.environment) > 100


@pytest.mark.long
def test_a_restore_killed_while_the_api_boots_on_its_file_leaves_nothing(ledger, place, tmp_path):
    """The API that it started exits, too, and the next restore works."""
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
    """The child process as soon as it exists, when it has set up the least."""
    for _ in range(2000):
        for child in psutil.Process(process).children():
            return child
        time.sleep(0.005)
    pytest.fail("it starts no API")
