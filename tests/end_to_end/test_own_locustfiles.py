"""Locustfiles of one's own: they are what is sent, at the scenario's pace, and nothing else is."""

from __future__ import annotations

import pytest

from analysis.estimates.metrics import tally
from analysis.frames.run import load_run
from tests.commands import in_process, only_run, scenario_file

pytestmark = pytest.mark.process

LOGGING_IN = """
from locust import task
from loadproof.users.user import ApiUser

class ShopUser(ApiUser):
    endpoint = "shop"

    def on_start(self):
        self.send(self.api.ask_health(), lambda reply: None)

    @task
    def ask(self):
        self.send(self.api.ask_health(), lambda reply: None)
"""


def test_a_login_leaves_the_pace_as_it_is(tmp_path):
    """Ten users, one request a second each for three seconds, and one login each."""
    files = tmp_path / "own"
    files.mkdir()
    (files / "shop.py").write_text(LOGGING_IN)
    scenario = scenario_file(
        tmp_path,
        mix={"shop": {"share": "100 %", "every": "1 s"}},
        phases=[{"name": "steady", "duration": "3 s", "users": 10}],
        thresholds=[{"expect": "goodput_ratio >= 50 %"}],
    )
    done = in_process("run", scenario, "--locustfiles", files, "--out", tmp_path / "out")
    counts = tally(load_run(only_run(tmp_path / "out")).intervals)
    assert 30 <= counts.sent <= 50, done.stdout + done.stderr
