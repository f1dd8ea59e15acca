"""The real target, made slow on purpose while it is measured: what came back, and what did not stay as it was."""

from __future__ import annotations

import itertools
import threading
import time
from pathlib import Path

import pytest
import requests

from tests.commands import loadproof, only_run, scenario_file, verdict_of, word_of
from tests.quiet import run_when_quiet
from tests.targets import running_target

pytestmark = pytest.mark.process

OPEN = {
    "model": "open",
    "client_count": 50,
    "mix": {"balance": {"share": "100 %"}},
    "clients": "shared",
}


def slowed(tmp_path: Path, delays_ms: dict[float, float], **plan: object) -> Path:
    """A run whose target answers later and later, by seconds from the run's start."""
    with running_target(FAULTS="{}", LIMITER="off", ACCOUNTS="200") as target:
        reports = tmp_path / "reports"

        def slow_down() -> None:
            while not list(reports.glob("*/events.csv")):
                time.sleep(0.05)
            began_s = time.monotonic()
            for at_s, delay_ms in delays_ms.items():
                time.sleep(max(0.0, began_s + at_s - time.monotonic()))
                requests.put(f"{target.url}/faults", json={"balance": {"delay_ms": delay_ms}}, timeout=5)

        threading.Thread(target=slow_down, daemon=True).start()
        done = loadproof(
            "run", scenario_file(tmp_path, **OPEN, **plan), "--out", reports, TARGET_URL=target.url, timeout_s=150
        )
        assert "Traceback" not in done.stdout + done.stderr
        return only_run(reports)


@pytest.mark.quiet
def test_recovery_takes_as_long_as_the_target_was_slow(tmp_path):
    """Three seconds into the calm after the spike: within six, and not within one."""
    plan = {
        "phases": [
            {"name": "calm", "duration": "10 s", "rate": "100 rps"},
            {"name": "spike", "duration": "3 s", "rate": "200 rps"},
            {"name": "after", "duration": "16 s", "rate": "100 rps"},
        ],
        "thresholds": [
            {"phase": "after", "expect": "recovery <= 6 s"},
            {"phase": "after", "expect": "recovery <= 1 s"},
            {"expect": "goodput_ratio >= 90 %"},
        ],
    }
    places = (tmp_path / str(number) for number in itertools.count())

    def run_once() -> Path:
        place = next(places)
        place.mkdir()
        return slowed(place, {10: 300, 16: 0}, **plan)

    run = run_when_quiet(run_once)
    # A busy moment widens what is known of the calm before: then six seconds stay open.
    assert word_of(run, "recovery <= 6 s") != "FAIL"
    assert word_of(run, "recovery <= 1 s") == "FAIL"
    (recovery,) = verdict_of(run)["degradation"]["recoveries"]
    assert recovery["took_s"] is None or recovery["took_s"] >= 2
    assert recovery["before"] == "calm"


def test_a_target_that_becomes_slower_drifts(tmp_path):
    """By a millisecond a second, from twenty on."""
    run = slowed(
        tmp_path,
        {second: 20 + second for second in range(36)},
        phases=[{"name": "soak", "duration": "36 s", "rate": "50 rps"}],
        thresholds=[
            {"expect": "drift(p(50)) < 20 %"},
            {"expect": "drift(threads) < 50 %"},
            {"expect": "goodput_ratio >= 90 %"},
        ],
    )
    assert word_of(run, "drift(p(50)) < 20 %") == "FAIL"
    assert word_of(run, "drift(threads) < 50 %") == "PASS"
