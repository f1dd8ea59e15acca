"""The embedded target's environment from a scenario's settings, and what is started and written for it."""

from __future__ import annotations

import pytest

from loadproof.run.servers import sharedredis
from loadproof.run.servers.sharedredis import SharedRedis
from loadproof.run.target.reference import embedded_settings, reference_target
from loadproof.rundir.manifest import RedisFacts
from loadproof.scenario.loading import load_scenario
from payments_api.protection.penalties import PenaltyRule
from payments_api.settings import read_settings
from tests.addresses import session_from
from tests.commands import scenario_file

REDIS = "redis://127.0.0.1:1/0"


def wanted(tmp_path, **settings):
    return load_scenario(scenario_file(tmp_path, settings=settings))


@pytest.mark.parametrize(("limiter", "url"), [("local", ""), ("slowapi", ""), ("off", ""), ("redis", REDIS)])
def test_only_a_scenario_that_asks_for_redis_gets_it(tmp_path, monkeypatch, limiter, url):
    """A variable that happens to be set doesn't matter otherwise; if REDIS_URL is set, no server is started."""
    monkeypatch.setenv("REDIS_URL", REDIS)
    monkeypatch.setattr("loadproof.run.servers.sharedredis._refuse_unusable", lambda _: None)
    scenario, log = wanted(tmp_path, limiter=limiter), tmp_path / "log"
    with sharedredis.shared_redis(scenario, cores=set(), log=log, stop_requested=lambda: True) as found:
        assert found == sharedredis.SharedRedis(url)
        assert found.environment == ({"REDIS_URL": url} if url else {})
        assert (found.facts is None) == (url == "")
    assert not log.exists()


@pytest.mark.parametrize("limiter", ["local", "slowapi", "off"])
def test_the_target_accepts_the_limiter_settings(tmp_path, limiter):
    assert read_settings(embedded_settings(wanted(tmp_path, limiter=limiter))).protection.limiter == limiter


def test_the_target_accepts_all_protection_settings(tmp_path):
    """In its own units."""
    penalties = {"base": "500 ms", "factor": 3, "cap": "2 min", "memory": "1 h"}
    scenario = wanted(tmp_path, penalties=penalties, bots="strict", processes=3, limits={"health": "7/s"})
    settings = read_settings(embedded_settings(scenario))
    assert settings.protection.penalty == PenaltyRule(base_s=0.5, factor=3.0, cap_s=120.0, memory_s=3600.0)
    assert (settings.protection.bots, settings.workers) == ("strict", 3)
    assert settings.protection.limits["health"] == "7/s"


def test_penalties_have_the_targets_defaults(tmp_path):
    """Except the length of the first one, which only the scenario can set."""
    settings = read_settings(embedded_settings(wanted(tmp_path, penalties={"base": "10 s"})))
    assert settings.protection.penalty == PenaltyRule(base_s=10, factor=2, cap_s=600, memory_s=600)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://127.0.0.1:6400/3", "redis://127.0.0.1:6400/3"),
        ("rediss://user:hunter2@redis.example/0?password=hunter2", "rediss://redis.example:6379/0"),
        ("redis://:hunter2@[::1]:6379", "redis://[::1]:6379"),
    ],
)
def test_the_manifest_names_the_redis_without_its_secrets(url, address):
    """Nor its options, one of which may be the password."""
    assert SharedRedis(url).facts == RedisFacts(address=address, started_by_run=False)


@pytest.mark.process
def test_a_stop_while_redis_starts_leaves_the_target_unstarted(tmp_path, monkeypatch):
    """And the server's process is gone."""
    monkeypatch.delenv("REDIS_URL", raising=False)
    scenario = wanted(tmp_path, limiter="redis")
    with reference_target(
        scenario, secret={}, cores=set(), directory=tmp_path, stop_requested=lambda: True
    ) as reference:
        assert (reference.embedded, reference.base_url, reference.redis) == (None, "", None)
    assert not (tmp_path / "target.log").exists()


@pytest.mark.process
def test_clients_are_refused_or_let_through_by_lists(tmp_path):
    """The deny list comes first; limits apply to clients on neither list."""
    scenario = wanted(tmp_path, deny=["127.0.0.66"], allow=["127.0.1.0/24"], limits={"health": "1/h"})
    with reference_target(
        scenario, secret={}, cores=set(), directory=tmp_path, stop_requested=lambda: False
    ) as reference:
        answers = {}
        for address in ("127.0.0.66", "127.0.1.7", "127.0.0.5"):
            with session_from(address) as session:
                health = f"{reference.base_url}/health"
                answers[address] = [session.get(health, timeout=10).status_code for _ in range(2)]
    assert answers == {"127.0.0.66": [403, 403], "127.0.1.7": [200, 200], "127.0.0.5": [200, 429]}
