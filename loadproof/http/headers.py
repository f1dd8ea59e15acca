"""Header names and values by HTTP's rules; pure. No value is ever part of a message: it may be a secret."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNSENDABLE: Final = re.compile(r"[^\t\x20-\x7e\x80-\xff]")
"""Source: RFC 9110, section 5.5."""


class UnsendableHeaderError(ValueError):
    """A header that can't be sent as it is: our side's mistake, never the target's."""


def merged(*parts: Mapping[str, str]) -> dict[str, str]:
    """All headers, each name once however it is spelled; the last spelling and value hold, at the first one's place.

    Source: RFC 9110, section 5.1: names are compared without case.
    """
    by_name: dict[str, tuple[str, str]] = {}
    for part in parts:
        for name, value in part.items():
            by_name[name.lower()] = (name, value)
    return dict(by_name.values())


def unsendable(value: str) -> str | None:
    """What is in it that no header can hold; None if it can be sent."""
    found = _UNSENDABLE.search(value)
    if found is None:
        return None
    if found[0] in "\r\n":
        return "a line break"
    return "a control character" if found[0] < "\x80" else "a character that is not in Latin-1"


def check_sendable(headers: Mapping[str, str]) -> None:
    """UnsendableHeaderError, by the header's name only."""
    if _UNSENDABLE.search("".join((*headers, *headers.values()))) is None:
        return
    for name, value in headers.items():
        if what := unsendable(value):
            raise UnsendableHeaderError(f"header {ascii(name)[1:-1]}: there is {what} in its value")
    raise UnsendableHeaderError("the name of a header holds what no name can")
