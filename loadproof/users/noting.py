"""Extracts from an answer what the journal records in addition to times and outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loadproof.rundir.journal import cut
from loadproof.rundir.rows import ANSWER_DATE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loadproof.api.calls import Call, Reply


def found_in(reply: Reply, call: Call, longest: int) -> dict[str, Any]:
    """What the call's `finds` extract from its reply, and the reply's rate-limit headers; nothing else is kept.

    Texts are cut to `longest` characters; whatever is missing, or can't be extracted or written, is left out.
    """
    noted: dict[str, Any] = {}
    for word, find in call.finds.items() if call.finds else ():
        try:
            noted[word] = cut(find(reply), longest)
        except Exception:  # noqa: BLE001, S112 - a user's own function, or what it finds, can do anything
            continue
    return noted | said_of_limits(reply.answer.headers, longest)


def said_of_limits(headers: Mapping[str, str], longest: int) -> dict[str, str]:
    """What these headers, with names in lower case, say about limits; up to `longest` characters of each.

    Source: draft-ietf-httpapi-ratelimit-headers-11.
    """
    noted: dict[str, str] = {}
    if "ratelimit" in headers:
        noted["rate_limit"] = headers["ratelimit"][:longest]
    if "ratelimit-policy" in headers:
        noted["rate_limit_policy"] = headers["ratelimit-policy"][:longest]
    if "date" in headers and "age" not in headers and headers.get("retry-after", "0")[:1].isalpha():
        # A date in Retry-After is by the target's clock, which Date shows, unless the answer comes from a cache.
        noted[ANSWER_DATE] = headers["date"][:longest]
    return noted
