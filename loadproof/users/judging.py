"""Turns a reply and a user's own check of it into the request's outcome."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from inspect import isasyncgen, isawaitable, isgenerator
from typing import TYPE_CHECKING

from gevent import Greenlet, Timeout
from greenlet import GreenletExit

from loadproof.http.bodies import WrongBodyError
from loadproof.http.messages import UnreadAnswerError
from loadproof.outcome import Outcome, classify

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadproof.api.calls import Reply


class UnexpectedAnswerError(Exception):
    """The answer is not as the user expects; the text is a reason without values, so that equal reasons add up."""


def expect(condition: object, reason: str) -> None:
    """Raise UnexpectedAnswerError unless the condition holds."""
    if not condition:
        raise UnexpectedAnswerError(reason)


def checked(
    reply: Reply, check: Callable[[Reply], object], endpoint: str
) -> tuple[Reply | None, Outcome, Exception | None]:
    """The reply, its outcome, and the reason if it is not as expected."""
    status = reply.answer.status
    try:
        if status not in reply.operation.statuses:
            expect(condition=False, reason=f"{endpoint}: status {status}")
        decided = check(reply)
        if decided is not None and decided is not True:
            _refuse_undecided(decided)
    except UnexpectedAnswerError as error:
        unexpected: Exception = error
    except WrongBodyError as error:
        unexpected = UnexpectedAnswerError(f"{endpoint}: {error}")
    except (GreenletExit, Timeout, KeyboardInterrupt):
        # Not an error in the check: it is being cut off.
        raise
    except BaseException as error:  # noqa: BLE001 - the check may fail in any way on what it reads
        unexpected = UnexpectedAnswerError(f"unreadable answer ({type(error).__name__})")
    else:
        return reply, Outcome.OK, None
    outcome = classify(status, as_expected=False, has_retry_after="retry-after" in reply.answer.headers)
    if outcome is not Outcome.INVALID:
        unexpected = UnexpectedAnswerError(f"{outcome}: status {status}")
    elif reply.answer.unread:
        # Whatever the check made of it: the answer uses something that loadproof doesn't read.
        unexpected = UnreadAnswerError(f"{endpoint}: {reply.answer.unread}")
    return reply, outcome, unexpected


def _refuse_undecided(decided: object) -> None:
    """UnexpectedAnswerError if the check returned a false value, or something never run, such as a coroutine."""
    is_unrun = isawaitable(decided) or isgenerator(decided) or isasyncgen(decided) or isinstance(decided, Greenlet)
    if isinstance(decided, Coroutine | Generator):
        decided.close()
    expect(not is_unrun, f"the check returned a {type(decided).__name__}, which nobody runs: make it a plain function")
    expect(decided, f"the check returned a {type(decided).__name__} that is not true; return None or True")
