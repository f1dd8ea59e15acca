"""The reason for each unexpected answer, word for word: users read it in the report and act on it."""

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
from loadproof.scenario.target.operations import Endpoints
from loadproof.users.judging import UnexpectedAnswerError, checked


def reason_of(check, *, unread: str | None = None) -> tuple[str, Exception | None]:
    """The reason and error for a health check's answer with status 200."""
    operation = Api(Endpoints(), headers={}, webhook_secret="").ask_health().operation
    answer = Answer(200, {}, json.dumps({"status": "ok"}).encode())
    answer.unread = unread
    _, outcome, error = checked(Reply(answer, operation), check, "health")
    return str(outcome), error


@pytest.mark.parametrize("decided", [False, 0, "", []])
def test_a_check_that_returns_a_false_value_says_what_to_return(decided):
    """Whatever the false value."""
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
def test_a_check_that_returns_something_unrun_is_to_become_a_plain_function(check, kind):
    """It has decided nothing."""
    outcome, error = reason_of(check)
    assert outcome == Outcome.INVALID
    assert str(error) == f"the check returned a {kind}, which nobody runs: make it a plain function"


def test_a_coroutine_that_is_never_run_is_closed():
    """Otherwise Python would warn about it elsewhere."""
    made = []

    def check(reply):
        made.append(some_day(reply))
        return made[0]

    reason_of(check)
    assert inspect.getcoroutinestate(made[0]) == inspect.CORO_CLOSED


def test_a_body_that_contradicts_its_headers_is_reported_with_its_endpoint():
    """In the words of the body reader."""

    def check(_) -> None:
        raise WrongBodyError("no gzip")

    outcome, error = reason_of(check)
    assert (outcome, str(error)) == (Outcome.INVALID, "health: no gzip")


def test_a_body_beyond_our_limit_is_reported_with_its_endpoint():
    """Whatever the check made of it."""
    outcome, error = reason_of(lambda reply: reply.answer.json["none"], unread="longer than 8 MB")
    assert (outcome, type(error), str(error)) == (Outcome.INVALID, UnreadAnswerError, "health: longer than 8 MB")


@pytest.mark.parametrize("ends", [GreenletExit, gevent.Timeout, KeyboardInterrupt])
def test_a_check_cut_off_from_outside_has_not_failed(ends):
    """The user is to end."""

    def check(_) -> None:
        raise ends

    with pytest.raises(ends):
        reason_of(check)
