"""Adds an obtained credential to requests, and renews it after a 401.

A 401 triggers one renewal. The request itself is not repeated: it counts as `rejected`, and the next one carries the
new credential. If that is refused as well, there are no more renewals until a request has been accepted again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from loadproof.scenario.target.auth import AUTHORIZATION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from loadproof.api.calls import Call

NOT_OURS: Final = -1
"""Instead of a credential's number, for a call that already had its own."""
_APART_S: Final = 5.0
"""Minimum time between renewals, for targets that alternately accept and refuse the same credential."""


class Credential:
    """A credential and its successors; shared by all users that send it."""

    def __init__(
        self,
        renew: Callable[[], bool],
        *,
        now_s: Callable[[], float],
        of_all: Mapping[str, str],
        header: str = AUTHORIZATION,
    ) -> None:
        """`renew` obtains a new credential and calls `take`; it returns False if there was none.

        `of_all` are the target file's headers for all requests; the credential replaces the one named `header`.
        """
        self._renew = renew
        self._now_s = now_s
        self.header = header
        self._beneath = of_all.get(_spelled_in(of_all, header) or "")
        self._value = ""
        self.number = 0
        """How many there have been; 0 before the first."""
        self._last: tuple[Call, Call] | None = None
        """The last call, without and with the credential, so that a call sent repeatedly is encoded once."""
        self._is_renewing = False
        self._has_worked = True
        """A request has been accepted since the last renewal after a 401."""
        self._refused: set[str] = set()
        """Names of requests that led to a renewal and have not been accepted since."""
        self._not_before_s = 0.0

    @property
    def value(self) -> str:
        """The value sent now; empty before the first one."""
        return self._value

    def take(self, value: str) -> None:
        """Send this value from now on."""
        self._value, self.number, self._last = value, self.number + 1, None

    def on(self, call: Call) -> tuple[Call, int]:
        """The call with the credential, and the credential's number; a header that the call sets itself stays."""
        if self._last is not None and self._last[0] is call:
            return self._last[1], self.number
        headers = call.request.headers
        own = _spelled_in(headers, self.header)
        if own is not None and headers[own] != self._beneath:
            return call, NOT_OURS
        if not self.number:
            return call, self.number
        with_it = call.with_headers({**headers, own or self.header: self._value})
        self._last = call, with_it
        return with_it, self.number

    def accepted(self, name: str, number: int) -> None:
        """A request of this name, sent with the credential of this number, was answered as expected."""
        if number == self.number:
            self._has_worked = True
            self._refused.discard(name)

    def refused(self, name: str, number: int) -> None:
        """Such a request was answered with a 401: renew if that can help, and return once the renewal has ended."""
        if number != self.number:
            # Not ours, or replaced in the meantime.
            return
        if self._is_renewing:
            self.await_renewal()
        elif self._has_worked and name not in self._refused and self._now_s() >= self._not_before_s:
            self._renew_for(name)

    def await_renewal(self) -> None:
        """Wait for a renewal begun by another user; returns at once where users don't share the credential."""

    def _renew_for(self, name: str) -> None:
        self._not_before_s = self._now_s() + _APART_S
        self._is_renewing = True
        try:
            if self._renew():
                self._has_worked = False
                self._refused.add(name)
        finally:
            self._is_renewing = False


def _spelled_in(headers: Mapping[str, str], name: str) -> str | None:
    """The header's name as it is spelled there, in whatever case; None if it is missing."""
    if name in headers:
        return name
    lower = name.lower()
    for other in headers:
        if other.lower() == lower:
            return other
    return None
