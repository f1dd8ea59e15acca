"""What a journal says of a request besides its times and its outcome: what its user and its answer tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from loadproof.rundir.journal import LONGEST, cut

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loadproof.api.calls import Call, Reply

_LIMITS: Final = (("ratelimit", "rate_limit"), ("ratelimit-policy", "rate_limit_policy"))
"""Headers, and the words for them. Source: draft-ietf-httpapi-ratelimit-headers-11."""


def noted(call: Call, reply: Reply | None) -> dict[str, Any]:
    """The call's note with what its functions find in the reply, and what the answer says of limits.

    What isn't there, or can't be found or written, is left out.
    """
    words: dict[str, Any] = {}
    for word, value in (call.note or {}).items():
        try:
            if callable(value):
                value = None if reply is None else value(reply)  # noqa: PLW2901 - what it stands for
            if value is not None:
                words[word] = cut(value)
        except Exception:  # noqa: BLE001, S112 - a user's function, or a value's own `str`, can do anything
            continue
    if reply is not None:
        _note_limits(words, reply.answer.headers)
    return words


def _note_limits(words: dict[str, Any], headers: Mapping[str, str]) -> None:
    for header, word in _LIMITS:
        if header in headers:
            words[word] = headers[header][:LONGEST]
