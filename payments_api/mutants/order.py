"""Protection that runs its checks in the wrong order."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Final

from payments_api import app
from payments_api.ledgerfile import connect
from payments_api.mutants.mutant import Replace, mutant
from payments_api.protection.middleware import ProtectionMiddleware

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from payments_api.protection.protection import Protection

_VISITS: Final = """
CREATE TABLE IF NOT EXISTS visits (client TEXT, path TEXT); CREATE INDEX IF NOT EXISTS of_client ON visits (client)
"""


@mutant(8)
def lists_after_limits(replace: Replace) -> None:
    """Clients on a list get 429: limits are checked first, and lists only for what the limits admit."""

    class Lists(ProtectionMiddleware):
        async def _within_limits(self, _client: str, scope: Scope, receive: Receive, send: Send) -> None:
            await self._app(scope, receive, send)

    class LimitsFirst(ProtectionMiddleware):
        def __init__(self, inner: ASGIApp, protection: Protection) -> None:
            super().__init__(Lists(inner, protection), protection)

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            ours = self._protection
            if scope["type"] != "http" or ours.places.is_monitoring(scope["path"], scope["method"]):
                await self._app(scope, receive, send)
            else:
                await self._within_limits(ours.clients.of(scope).key, scope, receive, send)

    replace(app, "ProtectionMiddleware", LimitsFirst)


@mutant(8)
def bots_before_allow(replace: Replace) -> None:
    """Clients on the allow list are refused as bots: the User-Agent is checked before the list."""

    class BotsFirst(ProtectionMiddleware):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            ours = self._protection
            is_http = scope["type"] == "http" and not ours.places.is_monitoring(scope["path"], scope["method"])
            if is_http and ours.is_bot(scope["headers"]):
                await ours.bot.answer(scope, receive, send)
            else:
                await super().__call__(scope, receive, send)

    replace(app, "ProtectionMiddleware", BotsFirst)


@mutant(9)
def work_before_limit(replace: Replace) -> None:
    """A flood gets more expensive with each request: visits are recorded and counted before the limits."""
    true = app._Api.__call__

    async def call(self: app._Api, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            visit = scope["client"][0], scope["path"]
            with closing(connect(self.state.ledger._path)) as database:
                database.executescript(_VISITS)
                database.execute("INSERT INTO visits VALUES (?, ?)", visit)
                database.execute("SELECT COUNT(*) FROM visits WHERE client = ? AND path = ?", visit).fetchone()
        await true(self, scope, receive, send)

    replace(app._Api, "__call__", call)
