"""Which of a user's requests are reported to Locust, and which are in the plan."""

from __future__ import annotations

import gevent
import pytest

from tests import unpatched  # noqa: F401 - before locust

from loadproof.plan.pacing import Due  # isort: skip
from loadproof.scenario.masking.masking import Masker
from loadproof.users.judging import UnexpectedAnswerError
from loadproof.users.user import api_users, expect, sets_up
from simulation.playeduser import PlayedUser, Waiting, ask


def told_of(played: PlayedUser, task) -> list[dict]:
    """Locust's events for one task's requests."""
    told: list[dict] = []
    played.user.environment.events.request.add_listener(lambda **event: told.append(event))
    played.time.advance_to(1.0)
    performing = gevent.spawn(task, played.user)
    played.time.advance_to(5.0)
    performing.get()
    return told


def test_each_request_is_reported_to_locust_unless_its_statistics_are_fed_in_bulk():
    """With its response time in ms, its length and its answer."""
    played = PlayedUser(takes_s=lambda _: 0.25)
    (event,) = told_of(played, ask)
    assert event["response_time"] == pytest.approx(250)
    assert event["start_time"] == pytest.approx(played.clock.unix_s() - 4.0, abs=0.01)
    assert {name: event[name] for name in ("request_type", "name", "response_length", "exception", "url")} == {
        "request_type": "GET",
        "name": "health",
        "response_length": 16,
        "exception": None,
        "url": "/health",
    }
    assert event["response"].status == 200
    assert event["context"] == {}


def test_with_bulk_statistics_only_failures_are_reported():
    """And a failure is kept as an example."""
    played = PlayedUser()
    played.recorder.feeds_locust = True
    failed: list[tuple] = []
    played.recorder.failed = lambda *what: failed.append(what)
    assert told_of(played, ask) == []
    assert failed == []

    def wrong(user) -> None:
        assert user.send(user.api.ask_health(), lambda _: expect(condition=False, reason="no")) is None

    played = PlayedUser()
    played.recorder.feeds_locust = True
    played.recorder.failed = lambda *what: failed.append(what)
    (event,) = told_of(played, wrong)
    assert isinstance(event["exception"], UnexpectedAnswerError)
    ((endpoint, request, answer, error),) = failed
    assert (endpoint, request.path, answer.status, str(error)) == ("health", "/health", 200, "no")


def test_a_secret_quoted_by_a_check_is_masked():
    """In Locust's event and in the example."""
    played = PlayedUser()
    played.user.workload.mask = Masker({"TOKEN": "t0ken-t0ken"})
    failed: list[Exception] = []
    played.recorder.failed = lambda *what: failed.append(what[-1])

    def quoting(user) -> None:
        user.send(user.api.ask_health(), lambda _: expect(condition=False, reason="unexpected 't0ken-t0ken'"))

    (event,) = told_of(played, quoting)
    assert failed == [event["exception"]]
    assert repr(event["exception"]) == "UnexpectedAnswerError(\"unexpected '${TOKEN}'\")"


def test_each_task_gets_turns():
    """Chosen by the user's own seeded generator."""
    seen: list[str] = []
    played = PlayedUser()
    type(played.user).tasks = [lambda _: seen.append("first"), lambda _: seen.append("second")]
    for _ in range(20):
        played.user._choose_task()(played.user)
    assert set(seen) == {"first", "second"}


def test_requests_before_the_first_turn_and_after_the_last_are_setup():
    """They are due when they are sent, and outside the plan; all requests in between are in it."""
    played = PlayedUser(statuses=[200, 429], when_throttled="stop", expect_throttling=True)
    user = played.user
    assert user._take_due("health").is_setup
    user._turn.sent.clear()
    user._pacer.due = Due(0.0)
    dues: list[Due] = []
    take = user._take_due
    user._take_due = lambda name, **how: dues.append(take(name, **how)) or dues[-1]

    living = gevent.spawn(user._take_turns)
    played.time.advance_to(10.0)
    living.kill(block=False)
    played.time.advance_to(10.1)
    assert [(round(due.at_s, 3), due.is_setup) for due in dues] == [(0.5, False), (2.5, False)]
    assert take("health").is_setup


def test_a_tasks_second_request_is_due_when_it_is_sent():
    """Its first request serves the turn."""
    played = PlayedUser()
    dues: list[Due] = []
    take = played.user._take_due
    played.user._take_due = lambda name, **how: dues.append(take(name, **how)) or dues[-1]
    performing = gevent.spawn(played.user.perform, Due(-1.0, burst=3))
    played.time.advance_to(1.0)
    performing.get()
    assert dues == [Due(-1.0, burst=3)]
    assert take("health") == Due(pytest.approx(1.0), is_setup=False)


def test_our_users_are_recognized_and_those_with_a_setup():
    """Among all the classes that Locust found."""
    played = PlayedUser()

    class Starting(Waiting):
        abstract = True

        def on_start(self) -> None:
            pass

    environment = played.user.environment
    environment.user_classes = [*environment.user_classes, object]
    assert api_users(environment) == [type(played.user)]
    assert (sets_up(Starting), sets_up(type(played.user))) == (True, False)
