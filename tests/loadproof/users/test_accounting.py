"""Compares a server's log with what was recorded here, request by request, joined by the id in each request."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import gevent
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests import unpatched  # noqa: F401 - before locust

from locust import task  # isort: skip
from locust.env import Environment

from loadproof.plan.pacing import Due
from loadproof.recording.recorder import Recorder
from loadproof.users.post import Post
from loadproof.users.user import ApiUser, expect
from simulation.rundirs import manifest, scenario
from tests.mixtures import WAYS, Mixture, answering_by
from tests.profiles import simulations

if TYPE_CHECKING:
    from loadproof.rundir.manifest import Manifest
    from loadproof.scenario.scenario import Scenario

USERS, EACH = 3, 6
"""Per worker, and requests of each user."""
LARGE = "x" * 6_000_000
WAITED_OUT = {"silent", "half"}
"""Behaviours that last until the request times out. All others end sooner, even on a stalled machine."""


def plan_for(ways: list[str]) -> Scenario:
    total = "2 s" if WAITED_OUT & set(ways) else "10 s"
    return scenario(timeouts={"connect": "2 s", "total": total}, when_throttled="ignore", expect_throttling=True)


class Listening(Recorder):
    """A recorder that also notes the id of each request."""

    def __init__(self, plan: Manifest, worker: int) -> None:
        super().__init__(plan.phases, deadline_s=plan.scenario.deadline, worker=str(worker))
        self.asking: dict[gevent.Greenlet, str] = {}
        self.became: list[tuple[str, str]] = []
        """Id and outcome."""
        self.sent_twice: list[str] = []

    def finished(self, endpoint, method, outcome, *rest) -> None:
        self.became.append((self.asking[gevent.getcurrent()], str(outcome)))
        super().finished(endpoint, method, outcome, *rest)

    def abandoned(self, endpoint, due) -> None:
        self.became.append((self.asking[gevent.getcurrent()], "abandoned"))
        super().abandoned(endpoint, due)

    def repeated(self, endpoint, outcome, due) -> None:
        self.sent_twice.append(self.asking[gevent.getcurrent()])
        super().repeated(endpoint, outcome, due)


class Asking(ApiUser):
    """Sends an id in each request; one in three has a body, half of them too large for a socket to take at once."""

    endpoint = "balance"
    number = 0

    @task
    def ask(self) -> None:
        self.number += 1
        ident = f"{self.identity.index}-{self.number}"
        self._recorder.asking[gevent.getcurrent()] = ident
        has_body = self.number % 3 == 0
        body = LARGE if self.number % 6 == 0 else "small"
        call = self.api.call("POST" if has_body else "GET", f"/asked/{ident}", body=body if has_body else None)
        call = replace(call, request=replace(call.request, follow_redirects=True))
        self.send(call, lambda reply: expect(reply.answer.json["id"] == ident, "of another"))


def worker(url: str, plan: Manifest, rank: int, workers: int) -> tuple[Listening, list[gevent.Greenlet]]:
    """The users of one process, at work."""
    post = Post()
    work = post.assign(plan, rank=rank, workers=workers)
    recorder = work.recorder = Listening(plan, rank + 1)
    # After the first second: what is recorded earlier belongs to no report.
    work.begin(-2.0)
    user_class = type("Asking", (Asking,), {"post": post, "host": url, "tasks": [Asking.ask]})
    environment = Environment(user_classes=[user_class])

    def live() -> None:
        user = user_class(environment)
        for _ in range(EACH):
            user.perform(Due(work.now_s()))

    return recorder, [gevent.spawn(live) for _ in range(USERS)]


def asked(ways: list[str], seed: int, workers: int) -> tuple[Mixture, list[Listening]]:
    plan = manifest(plan_for(ways))
    with answering_by(ways, seed) as (url, mixture):
        started = [worker(url, plan, rank, workers) for rank in range(workers)]
        users = [user for _, each in started for user in each]
        gevent.joinall(users, timeout=60, raise_error=True)
        assert all(user.ready() for user in users)
    return mixture, [recorder for recorder, _ in started]


def check(mixture: Mixture, recorders: list[Listening]) -> None:
    """Each request has the logged outcome, and the workers' reports add up to all of them."""
    became = [told for recorder in recorders for told in recorder.became]
    assert len(dict(became)) == len(became) == len(recorders) * USERS * EACH
    last, times = mixture.last(), mixture.times()
    joined = {ident: last[ident].outcome if ident in last else "connection" for ident, _ in became}
    assert dict(became) == joined, "a request that the server never saw met the end of its connection"
    assert set(last) <= set(joined)
    moved = {given.ident for given in mixture.log if given.way == "moved"}
    twice = {ident for recorder in recorders for ident in recorder.sent_twice}
    seen_twice = {ident for ident, count in times.items() if count > 1 + (ident in moved)}
    assert seen_twice <= twice
    had_time = {given.ident for given in mixture.log if given.outcome == "connection" and given.way != "reset"}
    assert not seen_twice & had_time, "a server that had time to work on a request, and drops it, has failed"
    assert all(int(ident.partition("-")[2]) % 3 for ident in twice), "what has a body is a payment, say"
    for recorder in recorders:
        report = recorder.take(3.0, USERS, last=True)
        cells = Counter()
        for _, _, _, outcome, series, _, count in report.cells:
            cells[str(outcome)] += count if series == "response" else 0
        assert +cells == Counter(outcome for _, outcome in recorder.became)
        assert report.generator.sent == len(recorder.became)
        assert report.in_flight == 0


@pytest.mark.process
@pytest.mark.parametrize("way", WAYS)
def test_each_server_behaviour_gets_its_outcome(way):
    """Alone, and mixed with right answers on the same connections."""
    check(*asked([way, "plain"], 1, 1))


@pytest.mark.process
# Shrinking would replay real traffic for minutes, beyond the test's timeout; the first failure is enough.
@settings(max_examples=simulations(16), phases=[Phase.generate])
@given(st.lists(st.sampled_from(WAYS), min_size=1, max_size=8), st.integers(0, 1000), st.sampled_from([1, 2]))
def test_reports_match_the_servers_log_request_by_request(ways, seed, workers):
    """For any mixture of answers, refusals, pauses, resets and garbage, with one worker and with two."""
    check(*asked(ways, seed, workers))
