"""Each request has exactly one outcome, however it ends; other facts about it are counted separately."""

from __future__ import annotations

from typing import Any

import gevent
import pytest
from gevent.pool import Group

from tests import unpatched  # noqa: F401  # isort: skip

from locust.exception import StopUser

from loadproof.http.messages import ConnectionFailedError, RequestTimeoutError
from loadproof.outcome import MISSED, Outcome
from loadproof.plan.pacing import Due
from loadproof.rundir.manifest import TargetFacts
from loadproof.rundir.rows import REPEATED, RETRY_BROKEN, RETRY_KEPT
from loadproof.users.post import Post
from simulation.clock import FakeTime
from simulation.playeduser import PlayedUser, ask
from simulation.rundirs import manifest, scenario
from tests.loadproof.users.recorded import cells, rows


class Answering(PlayedUser):
    """A target whose requests end in the given ways, in rotation."""

    def __init__(self, *ends: Exception | str | None, **plan: Any) -> None:
        super().__init__(**plan)
        self.ends = list(ends)

    def exchange(self, request, timing):
        answer = super().exchange(request, timing)
        end = self.ends.pop(0) if self.ends else None
        timing.is_repeated = timing.is_marked = end == "repeated"
        if isinstance(end, Exception):
            raise end
        return answer


def performed(played: PlayedUser, *, times: int = 1) -> list[Any]:
    """The results of the only task, performed at each of its turns."""
    replies: list[Any] = []
    send = played.user.send
    played.user.send = lambda *how: replies.append(send(*how)) or replies[-1]

    def perform() -> None:
        for number in range(times):
            played.clock.sleep(max(0.0, 2.0 * number - played.work.now_s()))
            played.user.perform(Due(2.0 * number))

    performing = gevent.spawn(perform)
    played.time.advance_to(2.0 * times)
    performing.get()
    return replies


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        (RequestTimeoutError("total"), Outcome.TIMEOUT),
        (ConnectionFailedError("refused"), Outcome.CONNECTION),
        (None, Outcome.OK),
    ],
)
def test_a_request_is_recorded_with_its_outcome(end, outcome):
    """The caller gets a reply only on success."""
    played = Answering(end)
    (reply,) = performed(played)
    assert (reply is not None) == (outcome is Outcome.OK)
    counted = {row.outcome: row.count for row in rows(played, 2.0) if row.series == "response"}
    assert counted == {outcome: 1}


@pytest.mark.parametrize("feeds", [True, False])
def test_a_repeated_request_is_counted_and_its_check_knows(feeds):
    """Also when Locust's statistics are fed in bulk, which normally needs no details."""
    second: list[bool] = []

    def note(user) -> None:
        user.send(user.api.ask_health(), lambda reply: second.append(reply.may_be_second))

    played = Answering("repeated", None, task=note)
    played.recorder.feeds_locust = played.recorder.only_counts = feeds
    performed(played, times=2)
    assert second == [True, False]
    counted = cells(played, 4.0)["health"]
    assert (counted["response"], counted[REPEATED]) == (2, 1)


def test_a_promise_is_counted_as_kept_or_broken_at_the_request_that_tests_it():
    """Once for each promise."""
    played = PlayedUser(statuses=[429, 200, 429, 429], headers={"retry-after": "1"}, expect_throttling=True)
    performed(played, times=4)
    counted = cells(played, 8.0)["health"]
    assert (counted[RETRY_KEPT], counted[RETRY_BROKEN]) == (1, 1)


def test_requests_cut_off_by_our_own_stop_are_abandoned():
    """They say nothing about the target; those that the user's own code gives up do."""
    played = PlayedUser(takes_s=lambda _: 100.0)
    life = played.user.start(Group())
    played.time.advance_to(2.0)
    played.user.stop(force=True)
    life.kill(block=False)
    played.time.advance_to(2.1)
    counted = cells(played, 2.1)["health"]
    assert (counted["abandoned"], counted["response"]) == (1, 0)
    other = PlayedUser(takes_s=lambda _: 100.0)
    life = other.user.start(Group())
    other.time.advance_to(2.0)
    life.kill(block=False)
    other.time.advance_to(2.1)
    counted = cells(other, 2.1)["health"]
    assert (counted["abandoned"], counted["response"]) == (0, 1)


def test_a_user_stopped_before_its_request_has_not_sent_nothing():
    """Only a turn that ends by itself can count as one without a request."""

    def linger(user) -> None:
        user.post.clock.sleep(5.0)

    played = PlayedUser(task=linger)
    life = played.user.start(Group())
    played.time.advance_to(2.0)
    played.work.is_stopping = True
    life.kill(block=False)
    played.time.advance_to(2.1)
    assert cells(played, 2.1)["health"]["sent_nothing"] == 0


def test_a_user_that_stops_when_throttled_reports_it_once_and_ends_its_task_each_time():
    """A second request in the same turn changes nothing more."""
    ended: list[str] = []

    def twice(user) -> None:
        for _ in range(2):
            try:
                ask(user)
            except StopUser:
                ended.append("stopped")

    played = PlayedUser(statuses=[429, 429], when_throttled="stop", expect_throttling=True, task=twice)
    played.live(20.0)
    assert ended == ["stopped", "stopped"]


def test_bursts_during_a_slow_answer_are_missed():
    """All but the one that is taken late."""
    phases = [
        {"name": "steady", "duration": "4 s", "users": 1},
        {"name": "bursts", "users": 1, "burst": {"times": 4, "every": "2 s"}},
    ]
    played = PlayedUser(phases=phases, takes_s=lambda number: 5.0 if number == 3 else 0.1)
    played.user.start(Group())
    played.time.advance_to(12.0)
    assert played.sent_s == [0.5, 2.5, 5.0, 10.0, 11.0]
    assert cells(played, 12.0)["health"][MISSED] == 1


def test_clients_use_the_accounts_in_the_target_file():
    """Without any, they use the reference API's."""
    target = TargetFacts(
        kind="own", base_url="http://127.0.0.1:1", limits={}, account_ids=[f"acc-{n}" for n in range(9)]
    )
    recorded = manifest(scenario()).model_copy(update={"target": target})
    work = Post(FakeTime().clock()).assign(recorded, rank=0, workers=1)
    client = work.clients.client(0)
    assert {client.read_account, *client.paying_accounts} <= set(target.account_ids)


def test_ids_differ_between_requests_and_between_runs():
    """But repeating a run with the same choices gives the same ids."""

    def ids(run_id: str) -> list[Any]:
        played = PlayedUser()
        played.work.run_id = run_id
        return [played.user.new_id() for _ in range(3)]

    assert ids("a") == ids("a")
    assert len({*ids("a"), *ids("b"), *ids("x" * 80 + "a"), *ids("x" * 80 + "b")}) == 12
