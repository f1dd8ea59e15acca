"""The embedded target is ready when it says so, whatever else it prints, and leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil
import pytest

from loadproof.errors import TargetError
from loadproof.run.servers import readiness
from loadproof.run.target import embedded
from tests.commands import becomes

pytestmark = pytest.mark.process


@contextmanager
def started(tmp_path, **settings: str) -> Iterator[embedded.EmbeddedTarget]:
    with (
        embedded.targets_directory() as temporary,
        embedded.embedded_target(
            settings, temporary=temporary, cores=set(), log=tmp_path / "log", stop_requested=lambda: False
        ) as found,
    ):
        yield found


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The only directory for temporary files, also of child processes."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    monkeypatch.setattr("tempfile.tempdir", None)
    return directory


@contextmanager
def starting(tmp_path, monkeypatch, at_start: str) -> Iterator[str]:
    """The base URL of a target whose Python runs this code first."""
    (tmp_path / "sitecustomize.py").write_text(at_start)
    monkeypatch.setattr(readiness, "_TIMEOUT_S", 10.0)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with started(tmp_path) as found:
        yield found.base_url


@pytest.mark.parametrize(
    "warning", ["\\n\\na warning\\n", *(pytest.param(one, marks=pytest.mark.long) for one in ("a warning", ""))]
)
def test_the_ready_line_is_found_after_other_output(tmp_path, monkeypatch, warning):
    """Both may arrive in one chunk; the other output is in the log."""
    with starting(tmp_path, monkeypatch, f"print('{warning}')") as base_url:
        assert base_url.startswith("http://127.0.0.1:")
    assert warning.strip("\\n") in (tmp_path / "log").read_text()


def test_a_target_that_ends_before_it_is_ready_is_reported_at_once(tmp_path, monkeypatch):
    """With its last words."""
    code = "import sys; print('an empty line follows', flush=True); print(flush=True); sys.exit('no luck')"
    with pytest.raises(TargetError, match="did not get ready, got"), starting(tmp_path, monkeypatch, code):
        pass


def test_a_killed_target_leaves_nothing_behind(tmp_path, temporary):
    """It can't remove its ledger itself."""
    with started(tmp_path) as target:
        assert list(temporary.glob("**/ledger.sqlite3"))
        target.process.kill()
        target.process.wait()
    assert list(temporary.iterdir()) == []


RUN = """
import sys, time
from pathlib import Path
from loadproof.run.faults.keeperclient import fault_keeper
from tests.loadproof.run.target.test_embedded import started
path = Path(sys.argv[1])
with fault_keeper(path, cores=set()) as keeper, started(path, WORKERS=sys.argv[2]) as target:
    keeper.pause(target.process.pid)
    print(target.process.pid, flush=True)
    time.sleep(60)
"""


@pytest.mark.long
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_paused_target_leaves_nothing_when_keeper_and_run_are_killed(tmp_path, temporary, workers):
    """First the process that paused it, then the run."""
    with subprocess.Popen([sys.executable, "-c", RUN, tmp_path, workers], stdout=subprocess.PIPE) as run:
        target = psutil.Process(int(run.stdout.readline()))
        stopped = [target, *target.children()]
        keeper = next(one for one in psutil.Process(run.pid).children() if "loadproof.faults.keeper" in one.cmdline())
        for one in stopped:
            becomes(one, psutil.STATUS_STOPPED)
        keeper.kill()
        run.kill()
    try:
        assert psutil.wait_procs(stopped, timeout=20)[1] == []
        assert list(temporary.iterdir()) == []
    finally:
        for one in stopped:
            with suppress(psutil.NoSuchProcess):
                one.kill()
