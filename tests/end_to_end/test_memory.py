"""A lack of memory, or a thread that never starts, ends a run in bounded time with the right exit code."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys

import pytest

from loadproof.rundir import files
from loadproof.rundir.manifest import read_manifest
from tests.commands import ENDLESS, ROOT, Background, only_run, scenario_file

pytestmark = pytest.mark.process
MIB = 2**20
QUICKLY = {"timeouts": {"connect": "500 ms", "total": "500 ms"}, "deadline": "400 ms"}


@pytest.mark.parametrize("command", [["check"], ["run", "--out", "{}"]], ids=["check", "run"])
def test_too_little_address_space_is_reported_before_anything_starts(tmp_path, command):
    """With some limits, Python's imports alone would go on for ever."""
    name, *options = command
    done = subprocess.run(
        [sys.executable, "-m", "loadproof", name, "scenarios/smoke.yaml", *[each.format(tmp_path) for each in options]],
        cwd=ROOT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (290 * MIB, 290 * MIB)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "memory: this process has too little address space: it needs 512 MiB, got '290 MiB'; "
        "raise the limit (`ulimit -v`, the container's limit)\n"
    )
    assert list(tmp_path.iterdir()) == []


def changed(tmp_path, change: str) -> str:
    """A program that makes this change and then runs the `loadproof` command."""
    program = tmp_path / "changed.py"
    program.write_text(f"from tests.undrawn import app\n{change}\napp.main()\n")
    return program.stem


RAISE_LATER = """
import os, threading, time
from loadproof.run.watching import watch
listen = watch.Watch._listen
began_s = time.monotonic()
def fail(self, progress):
    if (self._path / "intervals.csv.gz").exists():
        raise {error}
    return listen(self, progress)
watch.Watch._listen = fail
"""


@pytest.mark.long
@pytest.mark.parametrize("error", ["MemoryError", 'RuntimeError("can\'t start new thread")'])
def test_running_out_of_memory_during_a_run_is_invalid(tmp_path, error):
    """The results so far are kept, no process is left, and no traceback is shown."""
    program = changed(tmp_path, RAISE_LATER.format(error=error))
    arguments = ("run", scenario_file(tmp_path, **ENDLESS), "--out", tmp_path / "out")
    run = Background(*arguments, program=program, PYTHONPATH=f"{tmp_path}:{ROOT}")
    run.wait_for(tmp_path / "out/*/intervals.csv.gz")
    run.children()
    assert run.end() == 4, run.output
    assert "this process ran out of memory" in run.output
    assert "Traceback" not in run.output
    assert run.survivors() == []
    assert read_manifest(only_run(tmp_path / "out")).ending == "generator_died"


NEVER_STARTS = """
import threading
from concurrent import futures
futures.ThreadPoolExecutor.submit = lambda *told: threading.Event().wait()
"""


@pytest.mark.long
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_a_run_whose_watch_never_began(tmp_path, number, code):
    """Without enough memory a thread may never start, and its starter may wait for it for ever."""
    program = changed(tmp_path, NEVER_STARTS)
    arguments = ("run", scenario_file(tmp_path, **ENDLESS | QUICKLY), "--out", tmp_path / "out")
    run = Background(*arguments, program=program, PYTHONPATH=f"{tmp_path}:{ROOT}")
    run.wait_for(tmp_path / "out/*/intervals.csv.gz")
    assert run.signalled(number) == code
    assert "run: did not end within 21 s of" in run.output
    assert (only_run(tmp_path / "out") / files.REPORT).exists()
    assert "Traceback" not in run.output
    assert run.survivors() == []
