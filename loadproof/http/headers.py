"""Header names and values by HTTP's rules; pure. No message contains a value: it may be a secret."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNSENDABLE: Final = re.compile(r"[^\t\x20-\x7e\x80-\xff]")
"""Source: RFC 9110, section 5.5."""
_SENDABLE: Final = bytes({9, *range(32, 127), *range(128, 256)})
_LINE_BREAK: Final = b"\r\n"


class UnsendableHeaderError(ValueError):
    """A header that can't be sent as given: our side's mistake, never the target's."""


class FixedHeaders(dict[str, str]):
    """Headers that several requests or answers share: changing them raises TypeError.

    As quick to copy as any dictionary, which a MappingProxyType isn't.
    """

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("these headers are shared and can't be changed: make a copy, `dict(headers)`")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse


def merged(*parts: Mapping[str, str]) -> dict[str, str]:
    """All headers, each name once regardless of case; the last spelling and value win, in the position of the first.

    Source: RFC 9110, section 5.1: names are compared without case.
    """
    plain: dict[str, str] = {}
    for part in parts:
        plain |= part
    if _are_different(tuple(plain)):
        # The usual case: no name is spelled in two ways. This runs for each request.
        return plain
    by_name: dict[str, tuple[str, str]] = {}
    for part in parts:
        for name, value in part.items():
            by_name[name.lower()] = (name, value)
    return dict(by_name.values())


@functools.lru_cache(1024)
def _are_different(names: tuple[str, ...]) -> bool:
    return len(set(map(str.lower, names))) == len(names)


def encoded_head(request_line: str, headers: Mapping[str, str]) -> bytes:
    """Request line and headers with the empty line, as sent; UnsendableHeaderError if they can't be sent."""
    lines = [request_line, *[f"{name}: {value}" for name, value in headers.items()]]
    lines += ("", "")
    try:
        head = "\r\n".join(lines).encode("latin-1")
    except UnicodeEncodeError:
        head = b""
    # One check for all of it, because this runs for each request: only our own line breaks may be in it.
    if head.translate(None, _SENDABLE) == _LINE_BREAK * (len(lines) - 1):
        return head
    check_sendable(headers)
    raise UnsendableHeaderError("the path of a request has characters that no path can have")


def unsendable(value: str) -> str | None:
    """What makes the value unfit for a header; None if it can be sent."""
    first = _UNSENDABLE.search(value)
    if first is None:
        return None
    if first[0] in "\r\n":
        return "a line break"
    return "a control character" if first[0] < "\x80" else "a character that is not in Latin-1"


def check_sendable(headers: Mapping[str, str]) -> None:
    """Raise UnsendableHeaderError, which names the header but not its value."""
    if _UNSENDABLE.search("".join((*headers, *headers.values()))) is None:
        return
    for name, value in headers.items():
        if what := unsendable(value):
            raise UnsendableHeaderError(f"header {ascii(name)[1:-1]}: there is {what} in its value")
    raise UnsendableHeaderError("the name of a header has characters that no name can have")
