"""Working directories of children: empty, and removed in the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from loadproof.run.processes.children import empty_directory
from tests.commands import ROOT

HOLDING = """
import sys, tempfile
tempfile.tempdir = sys.argv[1]
from loadproof.run.processes.children import empty_directory
with empty_directory() as path:
    print(path, flush=True)
    sys.stdin.read()
"""
LONG_AGO_S = time.time() - 3600


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The directory for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def aged(path: Path) -> Path:
    os.utime(path, (LONG_AGO_S, LONG_AGO_S))
    return path


def made(path: Path) -> Path:
    path.mkdir()
    return aged(path)


@pytest.mark.process
def test_the_next_process_removes_the_directory_of_a_killed_one(place):
    """But not while it is in use, however long."""
    command = [sys.executable, "-c", HOLDING, str(place)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        held = aged(Path(owner.stdout.readline().strip()))
        with empty_directory():
            assert held.is_dir()
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        assert held.is_dir()
        with empty_directory() as mine:
            assert not held.exists()
            assert mine.is_dir()
    assert list(place.iterdir()) == []


def test_directories_that_may_belong_to_others_are_left_alone(place, tmp_path_factory):
    """New ones, which may not be locked yet; other names; links and their targets."""
    elsewhere = made(tmp_path_factory.mktemp("elsewhere") / "theirs")
    new, other, link = place / "loadproof-empty-new", made(place / "loadproof-target-x"), place / "loadproof-empty-link"
    new.mkdir()
    link.symlink_to(elsewhere)
    with empty_directory():
        pass
    assert (new.is_dir(), other.is_dir(), link.is_symlink(), elsewhere.is_dir()) == (True, True, True, True)
