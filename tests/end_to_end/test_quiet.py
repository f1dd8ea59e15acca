"""When a test of a run's verdict passes, is skipped or fails, on runs with a known truth."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from loadproof.analysis.frames.run import load_run
from loadproof.analysis.judge.verdict import verdict_on_run
from loadproof.analysis.outputs.verdict.verdictfile import verdict_json
from loadproof.rundir import files
from simulation.rundirs import write_run
from tests import quiet
from tests.commands import ROOT


@pytest.fixture(autouse=True)
def _marked(monkeypatch):
    """As in a test with the mark."""
    monkeypatch.setattr(quiet, "is_marked", True)


def judged(tmp_path: Path, *starved: bool) -> Callable[[], Path]:
    """A function that returns one run after another, whose generators were starved or not."""
    kinds = iter(enumerate(starved))

    def run_once() -> Path:
        number, is_starved = next(kinds)
        changes = {"cpu": 1.0, "waits": 0.9, "loop_delay_s": 2.0} if is_starved else {}
        run = write_run(tmp_path / str(number), **changes)
        loaded = load_run(run)
        (run / files.VERDICT).write_text(verdict_json(loaded, verdict_on_run(loaded)))
        return run

    return run_once


def others_use(monkeypatch: pytest.MonkeyPatch, *ratios: float) -> None:
    """Simulate this share of the cores used by others, in one try after the other."""
    each = iter(ratios)
    monkeypatch.setattr(quiet.OthersUse, "ratio", lambda _: next(each))


@pytest.mark.slow
def test_the_first_try_that_could_be_measured_counts(tmp_path):
    """Here the second."""
    assert quiet.run_when_quiet(judged(tmp_path, True, False)) == tmp_path / "1"


@pytest.mark.slow
def test_a_test_is_skipped_on_a_busy_machine(tmp_path, monkeypatch):
    """With the reason."""
    others_use(monkeypatch, 0.5, 0.3)
    with pytest.raises(pytest.skip.Exception, match=f"{quiet.SKIPPED}.*others used 30%"):
        quiet.run_when_quiet(judged(tmp_path, True, True))


@pytest.mark.process
def test_tests_skipped_for_want_of_quiet_are_counted_in_the_last_line(tmp_path):
    """Other skipped tests aren't."""
    file = tmp_path / "test_busy.py"
    reasons = (f"{quiet.SKIPPED}: 2 runs were INVALID", "no chromium on this machine")
    tests = (f"def test_{number}(): pytest.skip({reason!r})\n" for number, reason in enumerate(reasons))
    file.write_text("import pytest\n" + "".join(tests))
    options = ("-q", "-p", "no:cacheprovider", "-p", "tests.conftest", "-c", "pyproject.toml", "--rootdir", ".")
    command = [sys.executable, "-m", "pytest", *options, file]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "1 quiet tests skipped: this machine was too busy to measure"


@pytest.mark.slow
@pytest.mark.parametrize("ratios", [(0.05, 0.05), (0.5, 0.05), (0.05, 0.5)])
def test_a_test_is_not_skipped_on_a_quiet_machine(tmp_path, monkeypatch, ratios):
    """If two runs are INVALID although the machine was quiet during one of them, it wasn't the machine."""
    others_use(monkeypatch, *ratios)
    # Otherwise a skip would skip this test instead of failing it.
    with pytest.raises((pytest.fail.Exception, pytest.skip.Exception), match="this machine is quiet"):
        quiet.run_when_quiet(judged(tmp_path, True, True))


def test_a_run_that_is_invalid_for_another_reason_is_not_repeated(tmp_path):
    """A dead generator is not a busy machine, even if it was starved before."""
    run = write_run(tmp_path / "dead", ending="generator_died", loop_delay_s=2.0)
    assert quiet.run_when_quiet(lambda: run) == run


def test_the_load_of_others_excludes_this_process_and_its_children(monkeypatch):
    """Of four seconds used, one was ours; two cores had ten."""
    used_s = iter([(100.0, 10.0), (104.0, 11.0)])
    monkeypatch.setattr(quiet, "_used_s", lambda: next(used_s))
    monkeypatch.setattr(quiet, "_cores", lambda: {0, 1})
    monkeypatch.setattr(quiet, "time", SimpleNamespace(monotonic=iter([0.0, 5.0]).__next__))
    assert quiet.OthersUse().ratio() == 0.3


@pytest.mark.process
def test_a_childs_time_counts_in_total_and_as_ours():
    """Once it has ended."""
    before = quiet._used_s()
    loop = "import time\nwhile time.process_time() < 0.5: 0"
    subprocess.run([sys.executable, "-c", loop], check=True)
    for used_s, used_before_s in zip(quiet._used_s(), before, strict=True):
        assert used_s - used_before_s > 0.4


def test_only_a_test_with_the_mark_may_need_quiet(tmp_path, monkeypatch):
    """Without it, it would run beside others, and be skipped for ever."""
    monkeypatch.setattr(quiet, "is_marked", False)
    with pytest.raises(AssertionError, match="mark it `quiet`"):
        quiet.run_when_quiet(judged(tmp_path, False))
