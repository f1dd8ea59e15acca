"""When a test of a run's own word is measured, skipped or failed; on runs with a known truth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from simulation.rundirs import write_run
from tests import quiet
from tests.commands import in_process


def judged(tmp_path: Path, *starved: bool) -> Callable[[], Path]:
    """One run after the other, of generators that were starved or not."""
    kinds = iter(enumerate(starved))

    def run_once() -> Path:
        number, is_starved = next(kinds)
        changes = {"cpu": 1.0, "waits": 0.9, "loop_delay_s": 2.0} if is_starved else {}
        run = write_run(tmp_path / str(number), **changes)
        in_process("report", run)
        return run

    return run_once


def others_use(monkeypatch: pytest.MonkeyPatch, ratio: float) -> None:
    monkeypatch.setattr(quiet.OthersUse, "ratio", lambda _: ratio)


def test_the_first_try_that_could_be_measured_counts(tmp_path):
    """Here the second."""
    assert quiet.run_when_quiet(judged(tmp_path, True, False)) == tmp_path / "1"


def test_a_busy_machine_is_an_excuse(tmp_path, monkeypatch):
    """Counted in the last line."""
    others_use(monkeypatch, 0.5)
    with pytest.raises(pytest.skip.Exception, match=quiet.SKIPPED):
        quiet.run_when_quiet(judged(tmp_path, True, True))


def test_a_quiet_machine_is_none(tmp_path, monkeypatch):
    """Whatever made two runs INVALID was no want of quiet."""
    others_use(monkeypatch, 0.05)
    with pytest.raises(pytest.fail.Exception, match="this machine is quiet"):
        quiet.run_when_quiet(judged(tmp_path, True, True))


def test_what_is_invalid_for_another_reason_is_not_tried_again(tmp_path):
    """A dead generator is no want of quiet, even where it was starved before."""
    run = write_run(tmp_path / "dead", ending="generator_died", loop_delay_s=2.0)
    assert quiet.run_when_quiet(lambda: run) == run


@pytest.mark.process
def test_what_others_use_is_not_what_this_process_and_its_children_use():
    """A busy loop of our own leaves the machine as quiet as it was."""
    import subprocess
    import sys

    loop = "import time\nend = time.monotonic() + 2\nwhile time.monotonic() < end: 0"
    others = quiet.OthersUse()
    subprocess.run([sys.executable, "-c", loop], check=True)
    all_s, own_s = quiet._used_s()
    assert own_s - others._own_s > 1.0
    assert all_s - others._all_s > 1.0
