"""Sends every request through one queue with a fixed service time: the same capacity on any machine. Off by default."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from payments_api.protection.options import MONITORING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


class BottleneckMiddleware:
    """As if a single database connection did all the work: first come, first served, `service_s` each.

    Queued work takes its time even if its client has disconnected.
    """

    def __init__(self, app: ASGIApp, service_s: float) -> None:
        self._app = app
        self._service_s = service_s
        self._free_s = 0.0
        """When every request received so far will have been served."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in MONITORING:
            now_s = asyncio.get_running_loop().time()
            # Computed rather than slept one after another, so that late timers don't reduce the capacity.
            self._free_s = max(self._free_s, now_s) + self._service_s
            await asyncio.sleep(self._free_s - now_s)
        await self._app(scope, receive, send)
