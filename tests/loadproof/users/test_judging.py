"""The reason of each answer that was not as expected, word for word: users read it in the report and act on it."""

from __future__ import annotations

import inspect
import json

import gevent
import pytest
from greenlet import GreenletExit

from tests import unpatched  # noqa: F401 - before locust

from loadproof.api.api import Api  # isort: skip
from loadproof.api.calls import Reply  # isort: skip
from loadproof.http.answers import Answer
from loadproof.http.bodies import WrongBodyError
from loadproof.http.messages import UnreadAnswerError
from loadproof.outcome import Outcome
from loadproof.scenario.operations import Endpoints
from loadproof.users.judging import UnexpectedAnswerError, checked


def reason_of(check, *, unread: str | None = None) -> tuple[str, Exception | None]:
    """Of a health check's answer with status 200."""
    operation = Api(Endpoints(), headers={}, webhook_secret="").ask_health().operation
    answer = Answer(200, {}, json.dumps({"status": "ok"}).encode())
    answer.unread = unread
    _, outcome, error = checked(Reply(answer, operation), check, "health")
    return str(outcome), error


@pytest.mark.parametrize("decided", [False, 0, "", []])
def test_a_check_that_says_no_is_told_what_to_return(decided):
    """Whatever it says it with."""
    outcome, error = reason_of(lambda _: decided)
    kind = type(decided).__name__
    assert (outcome, type(error)) == (Outcome.INVALID, UnexpectedAnswerError)
    assert str(error) == f"the check returned a {kind} that is not true; return None or True"


async def some_day(_) -> None:
    pass


def step_by_step(_):
    yield


async def some_day_step_by_step(_):
    yield


def in_its_own_time(_) -> gevent.Greenlet:
    return gevent.Greenlet(print)


@pytest.mark.parametrize(
    ("check", "kind"),
    [
        (some_day, "coroutine"),
        (step_by_step, "generator"),
        (some_day_step_by_step, "async_generator"),
        (in_its_own_time, "Greenlet"),
    ],
)
def test_a_check_that_nobody_runs_is_told_to_be_a_plain_function(check, kind):
    """It has decided nothing."""
    outcome, error = reason_of(check)
    assert outcome == Outcome.INVALID
    assert str(error) == f"the check returned a {kind}, which nobody runs: make it a plain function"


def test_a_coroutine_that_nobody_runs_is_closed():
    """Or Python would warn of it at some other place."""
    made = []

    def check(reply):
        made.append(some_day(reply))
        return made[0]

    reason_of(check)
    assert inspect.getcoroutinestate(made[0]) == inspect.CORO_CLOSED


def test_a_body_that_is_not_what_its_headers_say_is_told_with_its_endpoint():
    """As the reader of bodies has it."""

    def check(_) -> None:
        raise WrongBodyError("no gzip")

    outcome, error = reason_of(check)
    assert (outcome, str(error)) == (Outcome.INVALID, "health: no gzip")


def test_a_body_beyond_a_limit_of_ours_is_told_with_its_endpoint():
    """Whatever the check made of it."""
    outcome, error = reason_of(lambda reply: reply.answer.json["none"], unread="longer than 8 MB")
    assert (outcome, type(error), str(error)) == (Outcome.INVALID, UnreadAnswerError, "health: longer than 8 MB")


@pytest.mark.parametrize("ends", [GreenletExit, gevent.Timeout, KeyboardInterrupt])
def test_what_ends_a_check_from_outside_is_no_error_of_the_check(ends):
    """Somebody wants the user to end."""

    def check(_) -> None:
        raise ends

    with pytest.raises(ends):
        reason_of(check)
