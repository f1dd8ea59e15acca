"""Turns an audit's question and its answer into an observation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from loadproof.outcome import Outcome
from loadproof.run.audits.inquiry import UnaskedError
from loadproof.rundir.observations import Observation

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadproof.api.calls import Call, Reply
    from loadproof.run.audits.inquiry import Inquired, Inquirer
    from loadproof.rundir.observations import Kind, When

UNREADABLE: Final = (LookupError, TypeError, ValueError, ArithmeticError)


def read(
    inquirer: Inquirer,
    call: Call,
    kind: Kind,
    when: When,
    asked: dict[str, Any],
    content_of: Callable[[Reply], dict[str, Any]],
) -> Observation:
    """Ask as soon as the target's limits allow; a question that can't be asked is an observation, too, and says why."""
    try:
        return observed(kind, when, asked, inquirer.ask(call), content_of)
    except UnaskedError as error:
        return unasked(kind, when, asked, str(error))


def observed(
    kind: Kind, when: When, asked: dict[str, Any], inquired: Inquired, content_of: Callable[[Reply], dict[str, Any]]
) -> Observation:
    """An observation with the content of the reply; an answer that can't be read is `invalid`."""
    said: dict[str, Any] = {}
    outcome = inquired.outcome
    if outcome == Outcome.OK and inquired.reply is not None:
        try:
            said = content_of(inquired.reply)
        except UNREADABLE:
            outcome = Outcome.INVALID
    times = inquired.sent_us, inquired.ended_us
    return Observation(kind, when, inquired.client, *times, inquired.status, str(outcome), asked, said)


def unasked(kind: Kind, when: When, asked: dict[str, Any], why: str = "") -> Observation:
    """An observation of a question that was not asked or not answered."""
    return Observation(kind, when, "", 0, 0, 0, "", asked, trouble=why)
