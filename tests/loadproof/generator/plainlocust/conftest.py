"""Runs a user that knows nothing of loadproof in this process, for all tests of what is recorded about such users."""

from __future__ import annotations

import csv
import gzip
import io

from tests.unpatched import locust  # isort: skip

from collections import Counter
from typing import TYPE_CHECKING, Any

import gevent
import pytest
from gevent.pool import Group
from locust.clients import HttpSession
from locust.contrib.fasthttp import FastHttpSession, FastHttpUser
from locust.env import Environment
from locust.user.task import TaskSet

from loadproof.generator.plainlocust.following import Following
from loadproof.httpuser.session import HttpSession as OurSession
from loadproof.rundir.rows import ABANDONED, NEVER_SENT, UNREPORTED, JournalRow
from loadproof.users.post import Post
from simulation.rundirs import manifest, scenario

if TYPE_CHECKING:
    from loadproof.recording.recorder import Recorder

PHASES = [{"name": "steady", "duration": "0.6 s", "users": 1}]


@pytest.fixture
def follow(monkeypatch):
    """Runs a user until the plan is over, and returns what was recorded about it."""
    for owner, name in (
        (locust.User, "run"),
        (locust.User, "stop"),
        (TaskSet, "execute_next_task"),
        (HttpSession, "request"),
        (OurSession, "request"),
        (FastHttpSession, "request"),
        (FastHttpUser, "network_timeout"),
        (FastHttpUser, "connection_timeout"),
    ):
        monkeypatch.setattr(owner, name, getattr(owner, name))

    journal: list[JournalRow] = []

    def lived(user: type[locust.User], **changes: Any) -> Counter[tuple[str, str, str]]:
        post, environment = Post(), Environment()
        of = scenario(locustfile="own.py", phases=PHASES, deadline="0.2 s", record="requests", **changes)
        work = post.assign(manifest(of), rank=0, workers=1)
        environment.events.test_start.add_listener(
            lambda **_: environment.events.request.fire(request_type="RPC", name="prepare", response_time=1.0)
        )
        Following(environment, post)
        environment.events.test_start.fire(environment=environment)
        work.begin(0.0)
        living = user(environment)
        life = living.start(Group())
        gevent.sleep(0.7)
        life.kill()
        if isinstance(living, FastHttpUser):
            living.client.client.close()
        recorder: Recorder = work.recorder
        counted: Counter[tuple[str, str, str]] = Counter()
        report = recorder.take(work.now_s(), 0, last=True)
        for row in report.cells:
            counted[row.phase, row.endpoint, row.outcome if row.series == NEVER_SENT else row.series] += row.count
        text = gzip.decompress(report.journal).decode() if report.journal else ""
        journal[:] = [JournalRow(*row) for row in csv.reader(io.StringIO(text, newline=""))]
        # Nothing else may end here without an outcome.
        ended = Counter(
            (row.phase, row.request, "response") for row in journal if row.outcome not in {ABANDONED, UNREPORTED}
        )
        assert ended == Counter({key: count for key, count in counted.items() if key[2] == "response"})
        return counted

    lived.journal = journal
    return lived
