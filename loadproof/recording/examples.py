"""Keeps one example of each kind of error: the request, and the beginning of the answer, without secrets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from loadproof.http.messages import Request
    from loadproof.scenario.masking.masking import Masker

MOST_KINDS: Final = 50
"""Kinds of error with an example; a target that words each error differently must not fill the disk."""
_SHOWN_CHARACTERS: Final = 200
_READ_CHARACTERS: Final = 4_000
"""How much of a body is searched for secrets: one may begin in the part that is shown and end beyond it."""
_MOST_BYTES: Final = 4
"""The longest character in UTF-8."""
_HIDDEN: Final = "***"
_OPEN_HEADERS: Final = frozenset({"content-type", "accept", "accept-encoding", "user-agent"})
"""Headers whose values are not secret."""
_SHORTEST_SECRET: Final = 8
_PARTS: Final = re.compile(r"[\s,;=]+")
_BEARER: Final = re.compile(r"\b(bearer|basic)\s+[^\s\"',;]+", re.IGNORECASE)
_NAMED: Final = re.compile(
    r"((?:token|secret|passw|authori[sz]ation|cookie|signature|session|api[-_]?key)[\w-]{0,40}\\?[\"']?\s*[:=]\s*)"
    r"(\\?\"(?:[^\"\\]|\\.)*\\?\"?|[^\s,;&}]+)",
    re.IGNORECASE,
)
"""The value after a name typical of secrets: in JSON, in headers, in a query."""


class AnyAnswer(Protocol):
    """An answer, whichever client got it."""

    @property
    def status(self) -> int: ...

    @property
    def body(self) -> bytes: ...


class Example(NamedTuple):
    """The first request that ended in a certain kind of error; texts are shortened."""

    endpoint: str
    error: str
    request: str
    """Method and path."""
    status: int | None
    """None if there was no answer."""
    body: str
    """The beginning of the answer's body."""


class Examples:
    """One per process: the first request of each kind of error. `mask` removes what the target file keeps secret."""

    def __init__(self, mask: Masker) -> None:
        self._mask = mask
        self._seen: set[tuple[str, str]] = set()
        self._new: list[Example] = []

    def see(self, endpoint: str, request: Request, answer: AnyAnswer | None, error: BaseException) -> None:
        """Note a request that ended in an error."""
        kind = endpoint, str(error)
        if kind in self._seen or len(self._seen) >= MOST_KINDS:
            return
        self._seen.add(kind)
        asked, asked_for, _ = request.path.partition("?")
        path = self._mask(asked)[:_SHOWN_CHARACTERS] + ("?…" if asked_for else "")
        body = "" if answer is None else self._beginning(answer, request)
        self._new.append(Example(*kind, f"{request.method} {path}", answer.status if answer else None, body))

    def take(self) -> list[Example]:
        """The examples since the last call."""
        new, self._new = self._new, []
        return new

    def _beginning(self, answer: AnyAnswer, request: Request) -> str:
        try:
            read = answer.body[: _MOST_BYTES * (_READ_CHARACTERS + self._mask.reach)].decode("utf-8", "replace")
        except ValueError:
            return "a body that can't be decompressed"
        text, rest = self._mask.beginning(read, _READ_CHARACTERS)
        for secret in _sent_secrets(request):
            text = text.replace(secret, _HIDDEN)
        text = _NAMED.sub(rf"\1{_HIDDEN}", _BEARER.sub(rf"\1 {_HIDDEN}", text))
        return text if len(text) <= _SHOWN_CHARACTERS and not rest else f"{text[:_SHOWN_CHARACTERS]}…"


def _sent_secrets(request: Request) -> list[str]:
    """Secrets in the request's own headers, such as a signature, and their parts.

    The longest first: a shorter one that is a part of it would leave the rest of it.
    """
    values = [value for name, value in request.headers.items() if name.lower() not in _OPEN_HEADERS]
    parts = {part for value in values for part in (value, *_PARTS.split(value)) if len(part) >= _SHORTEST_SECRET}
    return sorted(parts, key=len, reverse=True)
