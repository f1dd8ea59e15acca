"""A lack of resources on the generator's machine is never blamed on the target: INVALID, with the reason."""

from __future__ import annotations

import subprocess
import sys

import pytest

from loadproof.analysis.estimates.scope import tally
from loadproof.analysis.frames.run import load_run
from loadproof.rundir import files
from tests.commands import ROOT, found, in_process, only_run, scenario_file, verdict_of
from tests.end_to_end.fewports import PORTS, closing
from tests.servers import serving

pytestmark = [pytest.mark.process, pytest.mark.long]
PLAN = {
    "mix": {"health": {"share": "100 %", "every": "100 ms"}},
    "phases": [{"name": "steady", "duration": "4 s", "users": 10}],
    "thresholds": [{"expect": "error_ratio < 5 %"}, {"expect": "goodput_ratio >= 90 %"}],
    "clients": "shared",
}


def alone_in_its_network(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = ["unshare", "-n", sys.executable, "-m", "tests.end_to_end.fewports", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=150, check=False)
    if done.stderr.startswith("unshare:"):
        pytest.skip(done.stderr)
    return done


@pytest.mark.skipif(sys.platform != "linux", reason="a network of its own needs Linux")
def test_a_lack_of_ports_is_blamed_on_the_generator(tmp_path):
    """Requests that a target with closing connections never got are no errors."""
    done = alone_in_its_network("run", scenario_file(tmp_path, **PLAN), "--out", tmp_path / "out")
    assert done.returncode == 4, done.stdout + done.stderr
    assert "up to 400 ports (a closed port stays in use for 60 s)" in done.stderr
    assert f"this machine has {PORTS}, which is too few" in done.stderr
    path = only_run(tmp_path / "out")
    assert verdict_of(path)["verdict"] == "INVALID"
    assert found(path, "requests were not sent: the generator's machine had no free port") == {"INVALID"}
    counts = tally(load_run(path).intervals)
    assert counts.outcomes["connection"] == 0
    assert counts.outcomes["ok"] <= PORTS
    assert counts.unsent > 100
    assert load_run(path).generator["sent"].sum() == counts.sent + counts.unsent + counts.abandoned
    assert "unsent (ours)" in (path / files.REPORT).read_text()


def test_a_dry_run_notices_that_the_target_closes_each_connection(tmp_path):
    """And shows how many ports the plan needs, and how many this machine has."""
    with serving(closing) as url:
        done = in_process("run", scenario_file(tmp_path, **PLAN), "--dry-run", TARGET_URL=url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the target closes each connection after its response: the plan needs up to " in done.stderr


def test_nothing_is_noted_about_a_target_that_keeps_connections(shared_target, tmp_path):
    """There is nothing to say."""
    done = in_process("run", scenario_file(tmp_path, **PLAN), "--dry-run", TARGET_URL=shared_target.url)
    assert (done.returncode, done.stderr) == (0, "")
