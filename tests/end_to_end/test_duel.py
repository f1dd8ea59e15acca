"""Two releases of the reference API in turn: the result, and what is left when a duel ends early."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pytest

from loadproof.analysis.compare import replicates
from loadproof.cli.duel import arguments, referee
from loadproof.errors import ExitCode
from loadproof.run.experiments import lane
from loadproof.rundir import files
from loadproof.rundir.duel import DUEL, read_duel
from loadproof.rundir.manifest import read_manifest
from tests.commands import CODES, Background, in_process, only_run, scenario_file

pytestmark = [pytest.mark.process, pytest.mark.long, pytest.mark.timeout(600)]

PLAN = {
    "model": "open",
    "client_count": 20,
    "mix": {"balance": {"share": "50 %"}, "health": {"share": "50 %"}},
    "phases": [{"name": "steady", "duration": "2 s", "rate": "60 rps"}],
    "thresholds": [
        {"endpoint": "balance", "expect": "p(50) < 900 ms"},
        {"expect": "error_ratio < 50 %"},
        {"expect": "goodput_ratio >= 50 %"},
    ],
    "settings": {},
}


def api(delay_ms=0):
    faults = json.dumps({"balance": {"delay_ms": delay_ms}})
    return f"LIMITER=off FAULTS='{faults}' {sys.executable} -m payments_api --port {{port}}"


def asked(tmp_path, *options):
    return ("duel", scenario_file(tmp_path, **PLAN), "--out", tmp_path / "reports", *options)


@pytest.fixture(autouse=True)
def _whatever_disturbs(monkeypatch):
    """Keep a busy machine from making runs INVALID: other tests cover that."""
    monkeypatch.setattr(replicates, "why_invalid", lambda _: None)


@pytest.fixture
def slower(tmp_path):
    """A duel with a release that answers 60 ms later at one endpoint."""
    done = in_process(*asked(tmp_path, "--looks", "4", "--baseline", api(), "--candidate", api(60)))
    return done, only_run(tmp_path / "reports")


def test_a_slower_release_has_regressed(slower):
    """Exit code 1; the directory has the duel, its runs, and the files of a comparison."""
    done, path = slower
    assert done.returncode == ExitCode.FAIL, done.stdout + done.stderr
    duel = read_duel(path)
    assert (duel.ending, duel.pairs, duel.repeated) == ("decided", 4, 0)
    assert duel.reason == "balance · steady · p(50) regressed"
    assert [run.side for run in duel.runs] == [turn.side for turn in duel.turns]
    manifests = [read_manifest(path / run.run) for run in duel.runs]
    assert [manifest.seed for manifest in manifests] == [duel.seed + turn.pair for turn in duel.turns]
    assert len({manifest.target.base_url for manifest in manifests}) > 1
    content = json.loads((path / "compare.json").read_text())
    rows = {(row["endpoint"], row["metric"]): row["word"] for row in content["rows"] if row["named"]}
    assert content["word"] == rows["balance", "p(50)"] == "regressed"
    told = [finding["what"] for finding in content["findings"]]
    assert any("4 runs of each side in ABBA blocks" in what for what in told)
    assert f"the sides differ in target: {api()} → {api(60)}" in told
    assert all((path / name).exists() for name in (files.REPORT, files.SUMMARY, files.JUNIT))
    assert "3 of at most 8 runs · " in done.stdout
    assert "so far: balance p(50) +" in done.stdout


def code_of(duel: Path) -> int:
    """The exit code of the comparison's verdict, which is chance between equal releases."""
    return CODES[json.loads((duel / "compare.json").read_text())["verdict"]]


def test_a_duet_makes_the_runs_of_a_pair_at_the_same_time(tmp_path, monkeypatch):
    """Here on the same two cores, with the same arrivals."""
    whole = lane.Lane(frozenset({0, 1}), frozenset({0, 1}))
    monkeypatch.setattr(referee, "lanes", lambda _: (whole, whole))
    monkeypatch.setattr(arguments, "LEAST_CORES", 2)
    monkeypatch.setattr(lane, "_LEAD_S", 20.0)
    monkeypatch.setattr(lane, "_APART_S", 5.0)
    done = in_process(*asked(tmp_path, "--looks", "4", "--baseline", api(20), "--aa", "--duet"))
    path = only_run(tmp_path / "reports")
    assert done.returncode == code_of(path), done.stdout + done.stderr
    duel = read_duel(path)
    assert (duel.is_duet, duel.kind, duel.pairs, len(duel.counted)) == (True, "aa", 4, 8)
    manifests = [read_manifest(path / run.run) for run in duel.counted]
    for first, second in zip(manifests[::2], manifests[1::2], strict=True):
        assert abs(first.start_unix_s - second.start_unix_s) < 5
        assert first.seed == second.seed
        assert first.target.base_url != second.target.base_url
    assert "at the same time on halves of the machine" in (path / files.SUMMARY).read_text()


def test_a_candidate_that_dies_fails_the_duel(tmp_path):
    """Its results so far are kept, and the reason is shown."""
    loaded = tmp_path / "reports/*/candidate/*/events.csv"
    dying = f"(until ls {loaded} 2>/dev/null; do sleep 0.1; done; kill $$) & {api()}"
    done = in_process(*asked(tmp_path, "--looks", "4", "--baseline", api(), "--candidate", dying))
    path = only_run(tmp_path / "reports")
    assert done.returncode == ExitCode.FAIL, done.stdout + done.stderr
    assert "the candidate died: its command ended with code" in done.stdout
    assert read_duel(path).ending == "died"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_duel_leaves_nothing_running_and_can_be_resumed(tmp_path, number, code):
    """Its first run stays as it was."""
    duel = Background(*asked(tmp_path, "--looks", "4", "--baseline", api(), "--aa"))
    record = duel.wait_for(tmp_path / "reports/*" / DUEL)
    duel.eventually(lambda: len(read_duel(record.parent).runs) == 1)
    assert duel.signalled(number) == code, duel.output
    assert not duel.survivors()
    assert f"resume with: loadproof duel --resume {record.parent}" in duel.output
    assert read_duel(record.parent).ending in {"interrupted", "terminated"}
    if number == signal.SIGINT:
        done = in_process("duel", "--resume", record.parent)
        assert done.returncode == code_of(record.parent), done.stdout + done.stderr
        assert read_duel(record.parent).pairs == 4


def test_a_killed_duel_leaves_nothing_running(tmp_path):
    """SIGKILL in the middle of a run: the release, its overseer and the generator end by themselves."""
    duel = Background(*asked(tmp_path, "--looks", "4", "--baseline", api(), "--aa"))
    duel.child("loadproof.run.processes.overseer")
    duel.wait_for(tmp_path / "reports/*/*/*/events.csv")
    duel.children()
    assert len(duel.offspring) >= 3
    duel.process.kill()
    duel.end()
    assert not duel.survivors()
    assert read_duel(only_run(tmp_path / "reports")).ending == "running"
