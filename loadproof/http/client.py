"""A client's connections: sends a request on any of them, and follows redirects if asked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from loadproof.http.messages import Request, Timing
from loadproof.http.origin import Origin

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadproof.http.answers import Answer

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS: Final = 20
"""The limit that browsers use. Source: Fetch standard, HTTP-redirect fetch."""
_UNTOUCHED: Final = "!#$%&'()*+,/:;=?@[]~"
"""Characters that a Location may contain as they are; anything else, such as a line break, is escaped."""


class Exchanging(Protocol):
    """A connection, or something like it; see `Connection.exchange` for what is expected."""

    @property
    def origin(self) -> Origin: ...

    def exchange(self, request: Request, timing: Timing) -> Answer: ...


class ClientConnections:
    """The connections of one client: as many as it has requests in flight, each reused when free."""

    def __init__(self, make: Callable[[], Exchanging]) -> None:
        self._make = make
        self._free: list[Exchanging] = []

    @property
    def are_kept(self) -> bool:
        """Whether all free connections are still open, as far as they know."""
        return all(getattr(connection, "is_open", True) for connection in self._free)

    def exchange(self, request: Request, timing: Timing) -> Answer:
        """Like Connection.exchange, on a free connection or a new one; follows redirects if asked."""
        connection = self._free.pop() if self._free else self._make()
        try:
            answer = connection.exchange(request, timing)
            if request.follow_redirects and answer.status in _REDIRECTS:
                return self._follow(connection, request, answer, timing)
            return answer
        finally:
            self._free.append(connection)

    def _follow(self, connection: Exchanging, request: Request, answer: Answer, timing: Timing) -> Answer:
        """The final answer, or the one at which we give up; its time covers all steps."""
        for _ in range(_MOST_REDIRECTS):
            following = _redirected(request, answer, connection.origin)
            if following is None:
                return answer
            step = Timing()
            try:
                answer, request = connection.exchange(following, step), following
            finally:
                timing.connect_s += step.connect_s
                timing.ended_s = step.ended_s
                timing.is_repeated |= step.is_repeated
                timing.has_surplus |= step.has_surplus
                timing.is_marked |= step.is_marked
        return answer


def _redirected(request: Request, answer: Answer, origin: Origin) -> Request | None:
    """The request that this answer redirects to; None if it doesn't redirect, or redirects to another origin.

    Source: RFC 9110, section 15.4: 303 turns any method into GET; 301 and 302 turn POST into GET.
    """
    location = answer.headers.get("location")
    if answer.status not in _REDIRECTS or location is None:
        return None
    base = origin.base_path if request.is_below_base else ""
    try:
        url = urlsplit(urljoin(f"{origin.root}{base}{request.path}", location))
    except ValueError:
        # Not a valid address: the answer counts like any other.
        return None
    # A target addressed with another Host redirects to that name.
    host = next((value for name, value in request.headers.items() if name.lower() == "host"), None)
    if _root_of(f"{url.scheme}://{url.netloc}") not in {origin.root, _root_of(f"{origin.scheme}://{host}")}:
        return None
    path = urlunsplit(("", "", quote(url.path or "/", safe=_UNTOUCHED), quote(url.query, safe=_UNTOUCHED), ""))
    becomes_get = answer.status == 303 or (answer.status in {301, 302} and request.method == "POST")
    if becomes_get and request.method != "HEAD":
        return Request("GET", path, request.headers, follow_redirects=True, is_below_base=False)
    return replace(request, path=path, is_below_base=False)


def _root_of(url: str) -> str | None:
    """Scheme, host and port in one normal form; None for an invalid address, or one with a password."""
    try:
        return None if "@" in url else Origin.of(url).root
    except ValueError:
        return None
