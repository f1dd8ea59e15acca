r"""Undoes the escapes that servers and logs write text with, and remembers where each character came from; pure.

HTML's `&amp;`, `&#39;` and `&#x27;`, percent-encoding, JSON's and Python's `\/`, `\"`, `\u0041` and `\x41`.
"""

from __future__ import annotations

import html
import re
from bisect import bisect_right
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_ESCAPES: Final = (
    re.compile(r"&(?:#[0-9]{1,7};?|#x[0-9a-f]{1,6};?|[a-z][a-z0-9]{1,31};)", re.IGNORECASE),
    re.compile(r"%(?:u[0-9a-f]{4}|[0-9a-f]{2})", re.IGNORECASE),
    re.compile(r"\\(?:u\{[0-9a-f]{1,6}\}|u[0-9a-f]{4}|x[0-9a-f]{2}|U[0-9a-f]{8}|.)", re.IGNORECASE | re.DOTALL),
)
"""One pattern per kind: a writer that uses one kind leaves the others as they are."""
_HEXADECIMAL: Final = re.compile(r"[%\\][uUx]?\{?([0-9a-fA-F]{2,8})\}?")
_NAMED: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_LAST_CHARACTER: Final = 0x10FFFF


class _Escape(NamedTuple):
    start: int
    """In the escaped text."""
    end: int
    meaning: str


class Unescaped:
    """A text without its outermost escapes."""

    def __init__(self, escapes: list[_Escape], escaped: str) -> None:
        self._escapes = escapes
        self._starts: list[int] = []
        """Of each escape's meaning, in this text."""
        pieces, length, before = [], 0, 0
        for escape in escapes:
            length += escape.start - before
            self._starts.append(length)
            pieces += [escaped[before : escape.start], escape.meaning]
            length += len(escape.meaning)
            before = escape.end
        self.text = "".join([*pieces, escaped[before:]])

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """Where the characters from `start` up to `end` were in the escaped text, including whole escapes."""
        return self._place(start)[0], self._place(end - 1)[1]

    def _place(self, index: int) -> tuple[int, int]:
        number = bisect_right(self._starts, index) - 1
        if number < 0:
            return index, index + 1
        escape = self._escapes[number]
        beyond = index - self._starts[number] - len(escape.meaning)
        return (escape.start, escape.end) if beyond < 0 else (escape.end + beyond, escape.end + beyond + 1)


def unescaped(text: str) -> Iterator[Unescaped]:
    """The text without the escapes of one kind, for each kind that it has."""
    for kind in _ESCAPES:
        if escapes := list(_escapes_in(text, kind)):
            yield Unescaped(escapes, text)


def _escapes_in(text: str, kind: re.Pattern[str]) -> Iterator[_Escape]:
    for match in kind.finditer(text):
        meaning = _meaning(match[0])
        if meaning != match[0]:
            yield _Escape(match.start(), match.end(), meaning)


def _meaning(escape: str) -> str:
    if escape.startswith("&"):
        return html.unescape(escape)
    if number := _HEXADECIMAL.fullmatch(escape):
        code = int(number[1], 16)
        return chr(code) if code <= _LAST_CHARACTER else escape
    return _NAMED.get(escape[1:], escape[1:])
