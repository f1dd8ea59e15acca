"""A scenario whose limits are in Redis, on a machine without a Redis server."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from loadproof.analysis.estimates.scope import tally
from loadproof.analysis.frames.run import load_run
from loadproof.rundir import files
from loadproof.rundir.manifest import read_manifest
from tests.commands import Background, found, only_run, scenario_file

pytestmark = [pytest.mark.process, pytest.mark.long]

SHARED = {
    "mix": {"health": {"share": "100 %", "every": "100 ms"}},
    "clients": "shared",
    "expect_throttling": True,
    "when_throttled": "ignore",
    "phases": [{"name": "steady", "duration": "2 min", "users": 20}],
    "thresholds": [{"expect": "goodput_ratio >= 1 %"}],
    "settings": {"limiter": "redis", "processes": 2, "limits": {"health": "30/h"}},
}
"""One client with a connection per user, so that both of the target's processes get some of its requests."""


def test_two_processes_share_one_limit_and_ctrl_c_leaves_no_server(tmp_path):
    """The client gets its quota only once; the Redis was started for the run, and is gone with its directory."""
    run = Background("run", scenario_file(tmp_path, **SHARED), "--out", tmp_path / "out", REDIS_URL="")
    run.wait_for(tmp_path / "out/*/intervals.csv.gz")
    run.wait_for(tmp_path / "out/*/target.csv")
    (server,) = (child for child in run.children() if child.name() == "valkey-server")
    directory = Path(server.cwd())
    assert run.signalled(signal.SIGINT) == 130, run.output
    assert server in run.offspring
    assert run.survivors() == []
    assert not directory.exists()
    path = only_run(tmp_path / "out")
    seen = load_run(path)
    assert files.FALLBACKS in set(seen.target["metric"])
    assert found(path, "lost its Redis") == set()
    counts = tally(seen.intervals)
    assert counts.outcomes["throttled"] > 50
    assert counts.outcomes["ok"] == 30
    redis = read_manifest(path).target.redis
    assert redis is not None
    assert redis.started_by_run
    assert redis.address.startswith("redis://127.0.0.1:")
