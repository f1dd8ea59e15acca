"""A dry run of a Locust file sends what the run would, and nothing else."""

from __future__ import annotations

import sys

import pytest

from tests.unpatched import locust  # isort: skip  # noqa: F401

from loadproof.generator.inspection.plaindryrun import dry_requests_of
from loadproof.scenario.masking.masking import Masker
from simulation.rundirs import scenario
from tests.end_to_end.scriptedserver import scripted

TAGGED = """
from locust import HttpUser, constant, tag, task

class Reader(HttpUser):
    wait_time = constant(0)

    @tag("read")
    @task
    def look(self):
        self.client.get("/items")

    @tag("write")
    @task
    def buy(self):
        self.client.post("/buy")

class Unused(HttpUser):
    weight = 0

    @tag("read")
    @task
    def look(self):
        self.client.get("/unused")
"""


@pytest.mark.process
@pytest.mark.parametrize("chosen", [{"tags": ["read"]}, {"exclude_tags": ["write"]}])
def test_a_dry_run_only_runs_selected_tasks_of_users_in_the_run(chosen, tmp_path, monkeypatch):
    """Excluded tasks may send what must not be sent."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "tagged.py").write_text(TAGGED)
    with scripted() as server:
        plan = scenario(locustfile="tagged.py", **chosen)
        requests = list(dry_requests_of(tmp_path / "tagged.py", server.url, plan, Masker({})))
    # Sent twenty times, shown once.
    assert [(sent.endpoint, sent.status) for sent in requests] == [("/items", 200)]
    assert set(server.served) == {"GET /items"}
