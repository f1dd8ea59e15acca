"""Faults in identifying clients: mixed up, forgotten or believed; and requests counted under the wrong key."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from payments_api.mutants.mutant import Replace, mutant
from payments_api.protection.client import Client, Clients
from payments_api.protection.limits import Decision, Limits
from payments_api.protection.middleware import ProtectionMiddleware
from payments_api.protection.stores.localwindows import LocalWindows

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

_FORWARDED_FOR: Final = b"x-forwarded-for"
_BYPASS: Final = dict.fromkeys((1, 2, 9, 10), "whoever sends such requests is admitted beyond the limit")


@mutant(
    3,
    also=dict.fromkeys((1, 4, 5, 6, 7, 8, 9, 10), "clients are refused, and wait in vain, because of others"),
)
def key_global(replace: Replace) -> None:
    """One client's requests spend everyone's quota: the counter's key leaves out the client."""
    true = Limits.decide

    async def decide(self: Limits, endpoint: str, client: str) -> Decision:
        return await true(self, endpoint, "client" if client else client)

    replace(Limits, "decide", decide)


@mutant(3, also=dict.fromkeys((1, 2, 4, 5, 7, 9, 10), "a forgotten client is admitted again"), number=1_000)
def clients_forgotten(replace: Replace, most: int) -> None:
    """A client that has spent its quota gets a new one: beyond a thousand keys, each new one evicts any other."""
    true = LocalWindows.acquire_entry

    async def acquire_entry(self: LocalWindows, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        if len(self._windows) >= most and key not in self._windows:
            del self._windows[random.choice(list(self._windows))]
        return await true(self, key, limit, expiry, amount)

    replace(LocalWindows, "acquire_entry", acquire_entry)


@mutant(4, also=_BYPASS)
def key_by_url(replace: Replace) -> None:
    """Each spelling of a path and each query string has its own quota: the counter's key is the URL."""
    true = ProtectionMiddleware._within_limits

    async def within_limits(
        self: ProtectionMiddleware, client: str, scope: Scope, receive: Receive, send: Send
    ) -> None:
        url = f"{scope['path']}?{scope['query_string'].decode('latin-1')}"
        await true(self, f"{client} {url}", scope, receive, send)

    replace(ProtectionMiddleware, "_within_limits", within_limits)


@mutant(4, also=_BYPASS)
def head_not_counted(replace: Replace) -> None:
    """HEAD is free: for monitoring, it is answered like GET before the limits, because it "reads nothing"."""
    true = ProtectionMiddleware._within_limits

    async def within_limits(
        self: ProtectionMiddleware, client: str, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if scope.get("method") == "HEAD":
            await self._app({**scope, "method": "GET"}, receive, send)
        else:
            await true(self, client, scope, receive, send)

    replace(ProtectionMiddleware, "_within_limits", within_limits)


@mutant(5, also={**_BYPASS, 4: _BYPASS[1], 8: "a client on the deny list claims to be another one"})
def leftmost_forwarded(replace: Replace) -> None:
    """Clients can claim to be anyone: the first address in X-Forwarded-For counts, which the client itself writes."""
    true = Clients.of

    def of(self: Clients, scope: Scope) -> Client:
        forwarded = next((value for name, value in scope["headers"] if name == _FORWARDED_FOR), b"")
        first = forwarded.decode("latin-1").partition(",")[0].strip()
        return true(self, {**scope, "client": (first, 0)} if first else scope)

    replace(Clients, "of", of)
