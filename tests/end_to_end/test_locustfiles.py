"""Locustfiles written for loadproof: exactly their requests are sent, at the scenario's pace."""

from __future__ import annotations

import pytest

from loadproof.analysis.estimates.scope import tally
from loadproof.analysis.frames.run import load_run
from loadproof.outcome import Outcome
from tests.commands import code_of, in_process, only_run, scenario_file
from tests.end_to_end.shoplocustfile import LOGGING_IN

pytestmark = pytest.mark.process


@pytest.mark.long
def test_a_login_does_not_change_the_pace(tmp_path):
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
    run = only_run(tmp_path / "out")
    assert done.returncode == code_of(run), done.stdout + done.stderr
    counts = tally(load_run(run).intervals)
    assert 30 <= counts.sent <= 50, done.stdout + done.stderr


TAGGED = """
from locust import tag, task
from loadproof.users.user import ApiUser

class ShopUser(ApiUser):
    endpoint = "shop"

    @tag("fast")
    @task
    def ask(self):
        self.send(self.api.ask_health(), lambda reply: None)

    @tag("slow")
    @task
    def find_it_broken(self):
        self.send(self.api.call("GET", "/nowhere"), lambda reply: None)
"""


@pytest.mark.long
@pytest.mark.parametrize("workers", [1, 2])
def test_locusts_settings_remove_no_tasks(tmp_path, workers):
    """Neither in the environment nor in a file in the home directory; with one process or several."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own/shop.py").write_text(TAGGED)
    (tmp_path / ".locust.conf").write_text("tags = fast\n")
    scenario = scenario_file(
        tmp_path,
        mix={"shop": {"share": "100 %", "every": "200 ms"}},
        phases=[{"name": "steady", "duration": "3 s", "users": 10}],
        thresholds=[{"expect": "goodput_ratio >= 90 %"}],
    )
    where = ("--locustfiles", tmp_path / "own", "--out", tmp_path / "out", "--workers", workers)
    done = in_process("run", scenario, *where, LOCUST_EXCLUDE_TAGS="slow", HOME=str(tmp_path))
    run = only_run(tmp_path / "out")
    assert done.returncode == code_of(run), done.stdout + done.stderr
    counts = tally(load_run(run).intervals)
    assert counts.outcomes[Outcome.INVALID] > 20, done.stdout + done.stderr
    assert "LOCUST_EXCLUDE_TAGS, ~/.locust.conf are ignored" in done.stderr
