"""The drill of a lost Redis: its report notices a stall, however short the loss."""

from __future__ import annotations

from typing import Any

import pytest

from drills.redis import PHASES, tell_of, tell_of_clients
from drills.running import Report
from loadproof.scenario.loading import load_scenario
from tests.commands import ROOT


def verdict_of(word: str = "PASS", **longest_s: float) -> dict[str, Any]:
    """A verdict with 1,500 requests per phase, hardly any of them slow."""
    slowest_s = dict.fromkeys(PHASES, 0.06) | longest_s
    quantiles = {name: {"value": 0.003} for name in ("p50", "p95", "p99")}
    outcomes = {"ok": 1500, "throttled": 0}
    return {
        "verdict": word,
        "summary": [
            {"phase": phase, "endpoint": None, "outcomes": outcomes, "response_s": quantiles} for phase in PHASES
        ],
        "thresholds": [
            {"expect": "max <= 1 s", "scope": f"all endpoints · {phase}", "value": value}
            for phase, value in slowest_s.items()
        ],
    }


@pytest.mark.parametrize(
    ("verdict", "code"),
    [
        (verdict_of(dead=0.3, hung=0.55), 0),
        (verdict_of(hung=1.2), 1),
        (verdict_of(dead=0.6), 1),
        (verdict_of(shared=0.2, dead=0.6), 0),
        (verdict_of("INVALID", dead=0.6), 4),
    ],
)
def test_one_request_that_waits_too_long_for_a_lost_redis_breaks_a_promise(verdict, code):
    """Compared with the slowest of the first phase; a disturbed machine leaves it open."""
    report = Report("redis")
    tell_of_clients(report, verdict)
    assert report.exit_code() == code


@pytest.mark.parametrize(("slowest_s", "code"), [(0.1, 0), (1.1, 1)])
def test_a_client_that_comes_after_the_loss_must_not_wait(slowest_s, code):
    report = Report("redis")
    tell_of(report, "dead", (60, slowest_s), (0, 2))
    assert report.exit_code() == code


def test_the_drills_scenario_measures_the_slowest_answer_of_each_phase():
    thresholds = load_scenario(ROOT / "drills/redis.yaml").thresholds
    scopes = [threshold.scope for threshold in thresholds if threshold.expect.startswith("max")]
    assert [scope.rpartition(" · ")[2] for scope in scopes] == list(PHASES)
