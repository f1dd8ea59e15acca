"""The limits that target files and a scenario's settings declare, and what they mean."""

from __future__ import annotations

from loadproof.rundir.manifest import TargetFacts
from loadproof.scenario.settings import Settings
from loadproof.scenario.target.limits import DeclaredLimit, declared, embedded_access, embedded_limits, limit_text
from loadproof.scenario.target.targetfile import TargetFile
from payments_api.protection.lists.bots import RULES_FILE

WRITTEN = {
    "health": "60/min",
    "balance": {"amount": 5, "period": "10 s", "algorithm": "token-bucket", "burst": 8, "key": "global"},
}


def test_a_limit_is_a_text_or_a_mapping():
    limits = TargetFile.model_validate({"base_url": "http://127.0.0.1", "limits": WRITTEN}).limits
    assert limits["health"] == "60/min"
    assert declared("60/min") == DeclaredLimit.model_validate({"amount": 60, "period": "60 s"})
    assert declared("60/min").algorithm == "unknown"
    bucket = declared(limits["balance"])
    assert (bucket.amount, bucket.period, bucket.size, bucket.key) == (5, 10.0, 8, "global")
    assert [limit_text(limit) for limit in limits.values()] == [
        "60/min",
        "5 in 10 s, token-bucket, all clients together",
    ]


def test_a_manifest_keeps_both_forms():
    facts = TargetFacts.model_validate({"kind": "own", "base_url": "http://127.0.0.1", "limits": WRITTEN})
    assert TargetFacts.model_validate_json(facts.model_dump_json()) == facts


def test_the_embedded_targets_bot_check_is_declared_by_examples():
    """According to its own file of rules."""
    rules = [line.split(maxsplit=1) for line in RULES_FILE.read_text().splitlines() if line and line[0] != "#"]
    refused = {action: {part for kind, part in rules if kind == action} for action in ("deny", "strict")}
    assert embedded_access(Settings()) is None
    on, strict = (embedded_access(Settings(bots=bots)).bots.user_agents for bots in ("on", "strict"))
    assert set(on) <= refused["deny"]
    assert set(strict) - set(on) <= refused["strict"]
    assert set(strict) > set(on)


def test_the_embedded_target_counts_in_moving_windows_in_each_process_or_in_redis():
    settings = {"limits": {"health": "5/s"}, "penalties": {"base": "1 s"}, "processes": 2}
    alone = embedded_limits(Settings.model_validate(settings))["health"]
    assert (alone.amount, alone.period, alone.algorithm, alone.processes) == (5, 1.0, "moving-window", 2)
    assert alone.penalties is not None
    assert embedded_limits(Settings.model_validate({**settings, "limiter": "redis"}))["health"].processes == 1
    assert embedded_limits(Settings(limiter="off")) == {}
