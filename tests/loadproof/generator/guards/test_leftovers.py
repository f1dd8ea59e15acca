"""Processes that outlive their parents: ours are ended, others are not."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest

from loadproof.generator.guards.leftovers import ending_leftovers, is_alive

pytestmark = pytest.mark.process

SLEEP = "sleep 60"


@pytest.mark.parametrize("session", [False, True])
def test_processes_left_by_a_child_are_ended_and_no_others(session, tmp_path):
    """Even those in their own session, and those that ignore SIGTERM."""
    script = f"(trap '' TERM; {SLEEP}; {SLEEP}) & echo $! > stubborn; {SLEEP} & echo $! > polite"
    with subprocess.Popen(SLEEP.split()) as somebody_elses:
        try:
            with ending_leftovers() as mark:
                where = {"cwd": tmp_path, "env": os.environ | mark, "stdout": subprocess.DEVNULL}
                subprocess.run(["sh", "-c", script], check=True, start_new_session=session, **where)
                left = [psutil.Process(int((tmp_path / name).read_text())) for name in ("stubborn", "polite")]
                assert [is_alive(process) for process in left] == [True] * 2
            assert [is_alive(process) for process in left] == [False] * 2
            assert somebody_elses.poll() is None
        finally:
            somebody_elses.kill()


def test_a_process_ends_its_children_before_it_ends():
    """Python itself would wait for this one."""
    code = "import multiprocessing, time; multiprocessing.Process(target=time.sleep, args=[60]).start()"
    ended = f"{code}; from loadproof.generator.guards.leftovers import end_children; end_children()"
    subprocess.run([sys.executable, "-c", ended], check=True, timeout=30)
