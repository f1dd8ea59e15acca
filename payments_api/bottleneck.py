"""Gives every request the same time in one queue: a known capacity on any machine; off by default."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from payments_api.protection.options import MONITORING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


class BottleneckMiddleware:
    """As if one connection to a database did all the work: first come, first served, `service_s` each.

    Work that has begun is done, also for a client that is gone by then.
    """

    def __init__(self, app: ASGIApp, service_s: float) -> None:
        self._app = app
        self._service_s = service_s
        self._free_s = 0.0
        """When all that has come so far will have been served."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in MONITORING:
            now_s = asyncio.get_running_loop().time()
            # Reckoned, not slept one after another: a late timer takes nothing from the capacity.
            self._free_s = max(self._free_s, now_s) + self._service_s
            await asyncio.sleep(self._free_s - now_s)
        await self._app(scope, receive, send)
