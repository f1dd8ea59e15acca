"""A user's login: sends the login call, takes the token from the reply, and renews it with the same call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from loadproof.http.headers import unsendable
from loadproof.users.credentials import Credential
from loadproof.users.judging import expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadproof.api.calls import Call, Reply
    from loadproof.users.workload import Workload


class SendLogin(Protocol):
    """Sends the login call and checks its reply; a renewal counts as part of the setup."""

    def __call__(self, call: Call, check: Callable[[Reply], object], *, is_renewal: bool) -> Reply | None: ...


class Login(Credential):
    """The credential of one user, for its whole life."""

    def __init__(self, send: SendLogin, *, workload: Workload, header: str) -> None:
        of_all = workload.api.headers
        super().__init__(self._renew_by_call, now_s=workload.monotonic_s, of_all=of_all, header=header)
        self._send = send
        self._learn = workload.learn

    def obtain_by(self, call: Call, token: Callable[[Reply], str], scheme: str) -> Reply | None:
        """Send the call, and remember it for renewals; returns the reply if it contained a token."""
        self._how = call, token, scheme
        return self._obtain(is_renewal=False)

    def _renew_by_call(self) -> bool:
        return self._obtain(is_renewal=True) is not None

    def _obtain(self, *, is_renewal: bool) -> Reply | None:
        call, token, scheme = self._how
        tokens: list[str] = []

        def check(reply: Reply) -> None:
            value = token(reply)
            is_text = isinstance(value, str) and bool(value)
            expect(is_text, f"{call.name or 'login'}: no token")
            expect(not unsendable(value), f"{call.name or 'login'}: a token that can't be sent in a header")
            tokens.append(value)
            # Before any part of the reply is shown.
            self._learn(value)

        reply = self._send(call, check, is_renewal=is_renewal)
        if reply is not None:
            self.take(f"{scheme} {tokens[-1]}" if scheme else tokens[-1])
        return reply
