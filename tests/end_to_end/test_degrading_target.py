"""The real target, slowed down on purpose during a run: recovery and drift."""

from __future__ import annotations

import time

import pytest
import requests

from drills.target import running_target
from loadproof.rundir.manifest import read_manifest
from tests.commands import Background, only_run, scenario_file, verdict_of, word_of

pytestmark = [pytest.mark.process, pytest.mark.long]

AFTER_S = 18
PLAN = {
    "model": "open",
    "client_count": 50,
    "clients": "shared",
    # One percent of it goes unnoticed: more than a busy machine adds, less than the target does.
    "deadline": "15 s",
    "timeouts": {"connect": "5 s", "total": "15 s"},
    "mix": {"balance": {"share": "50 %"}, "health": {"share": "50 %"}},
    "phases": [
        {"name": "calm", "duration": "8 s", "rate": "80 rps"},
        {"name": "spike", "duration": "2 s", "rate": "120 rps"},
        {"name": "after", "duration": f"{AFTER_S} s", "rate": "80 rps"},
    ],
    "thresholds": [
        {"endpoint": "balance", "phase": "after", "expect": "recovery <= 8 s"},
        {"endpoint": "balance", "phase": "after", "expect": "recovery <= 1 s"},
        {"endpoint": "health", "phase": "after", "expect": "drift(p(50)) < 20 %"},
        {"expect": "goodput_ratio >= 90 %"},
    ],
}


def test_recovery_time_matches_the_slow_period_and_slowing_down_is_drift(tmp_path):
    """Balances are slow until three seconds into the calm after the spike; from then on health gets ever slower.

    The target counts as the user's own: it keeps running.
    """
    with running_target(FAULTS="{}", LIMITER="off", ACCOUNTS="200") as target:
        run = Background("run", scenario_file(tmp_path, **PLAN), "--out", tmp_path / "out", TARGET_URL=target.url)

        def slow_down(**delays_ms: float) -> None:
            faults = {endpoint: {"delay_ms": delay_ms} for endpoint, delay_ms in delays_ms.items()}
            requests.put(f"{target.url}/faults", json=faults, timeout=30).raise_for_status()

        run.wait_for_phase(tmp_path / "out", "spike")
        slow_down(balance=800)
        run.wait_for_phase(tmp_path / "out", "after")
        for second in range(AFTER_S):
            slow_down(balance=800 if second < 3 else 0, health=20 + 10 * second)
            time.sleep(1)
        run.end()
        assert target.process.poll() is None
    path = only_run(tmp_path / "out")
    manifest = read_manifest(path)
    assert (manifest.ending, manifest.target.kind, manifest.target.base_url) == ("completed", "own", target.url)
    recoveries = verdict_of(path)["degradation"]["recoveries"]
    assert word_of(path, "recovery <= 8 s") == "PASS", recoveries
    assert word_of(path, "recovery <= 1 s") == "FAIL"
    # Phases in which a busy machine made the generator late are left out.
    assert {recovery["before"] for recovery in recoveries} <= {"calm"}
    assert word_of(path, "drift(p(50)) < 20 %") == "FAIL"
