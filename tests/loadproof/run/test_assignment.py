"""A scenario's settings as the environment of the embedded target."""

from __future__ import annotations

import pytest

from loadproof.run.assignment import embedded_settings
from loadproof.scenario.loading import load_scenario
from payments_api.settings import SettingsError, read_settings
from tests.commands import scenario_file


@pytest.mark.parametrize(
    ("limiter", "url"), [("local", None), ("slowapi", None), ("off", None), ("redis", "redis://127.0.0.1:1/0")]
)
def test_only_a_scenario_that_asks_for_redis_gets_it(tmp_path, monkeypatch, limiter, url):
    """What happens to stand in the environment was meant for others; the target takes what it is given."""
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    environment = embedded_settings(load_scenario(scenario_file(tmp_path, settings={"limiter": limiter})))
    assert (environment["LIMITER"], environment.get("REDIS_URL")) == (limiter, url)
    assert read_settings(environment).protection.limiter == limiter


def test_a_scenario_that_asks_for_a_redis_that_is_nowhere_is_refused_by_the_target(tmp_path, monkeypatch):
    """With the name of the variable."""
    monkeypatch.delenv("REDIS_URL", raising=False)
    environment = embedded_settings(load_scenario(scenario_file(tmp_path, settings={"limiter": "redis"})))
    with pytest.raises(SettingsError, match="REDIS_URL"):
        read_settings(environment)
