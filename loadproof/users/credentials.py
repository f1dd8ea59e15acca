"""What a user proves who it is with, once it was obtained: put into its requests, and renewed after a 401.

A 401 renews it once. The request itself is not repeated: it counts as `rejected`, and the next one has the new
credential. If that is refused as well, nothing is renewed until something has been accepted again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from loadproof.scenario.targetauth import AUTHORIZATION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from loadproof.api.calls import Call

NOT_OURS: Final = -1
"""The number of a credential that a call had already."""
_APART_S: Final = 5.0
"""From one renewal after a 401 to the next, for targets that accept and refuse the same credential in turn."""


class Credential:
    """One, and those that take its place; shared by everybody who sends with it."""

    def __init__(
        self,
        renew: Callable[[], bool],
        *,
        now_s: Callable[[], float],
        of_all: Mapping[str, str],
        header: str = AUTHORIZATION,
    ) -> None:
        """`renew` obtains another one and calls `take`; it returns False if there was none.

        `of_all` are the headers that all requests have by the target file, whose place it takes.
        """
        self._renew = renew
        self._now_s = now_s
        self.header = header
        self._beneath = of_all.get(_spelled_in(of_all, header) or "")
        self._value = ""
        self.number = 0
        """How many there have been."""
        self._last: tuple[Call, Call] | None = None
        """The last call, without and with it: whoever sends one again and again has it encoded once."""
        self._is_renewing = False
        self._has_worked = True
        """Something was accepted since the last renewal after a 401."""
        self._refused: set[str] = set()
        """Names of requests that led to a renewal and were not accepted since."""
        self._not_before_s = 0.0

    @property
    def value(self) -> str:
        """What is sent now; empty before the first one."""
        return self._value

    def take(self, value: str) -> None:
        """What is sent from now on."""
        self._value, self.number, self._last = value, self.number + 1, None

    def on(self, call: Call) -> tuple[Call, int]:
        """The call with the credential, and the credential's number; a header of the call's own stays."""
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
        """A request of this name, with the credential of this number, was answered as it should be."""
        if number == self.number:
            self._has_worked = True
            self._refused.discard(name)

    def refused(self, name: str, number: int) -> None:
        """It was answered by a 401: renew it if that can help, and return when the new one is there."""
        if number != self.number:
            # Not ours, or another one has taken its place meanwhile.
            return
        if self._is_renewing:
            self.await_renewal()
        elif self._has_worked and name not in self._refused and self._now_s() >= self._not_before_s:
            self._renew_for(name)

    def await_renewal(self) -> None:
        """Which somebody else has begun; at once if only one user is concerned."""

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
    """As this name is written there, if it is there at all."""
    if name in headers:
        return name
    lower = name.lower()
    for other in headers:
        if other.lower() == lower:
            return other
    return None
