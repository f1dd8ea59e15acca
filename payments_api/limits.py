"""Requests per client and endpoint to admitted ones and honest refusals, ahead of routing and of body validation.

The counting is that of `limits`, the library under slowapi, in its asynchronous form. slowapi's own
middleware and decorators are left out: they skip routes of included routers (FastAPI 0.137 and later),
keep a bucket per path, and check only after the body was validated. The moving window admits exactly N;
a fixed one up to 2N - 1.
"""

from __future__ import annotations

import ipaddress
import math
import time
from typing import TYPE_CHECKING, Final

from limits import parse
from limits.aio.strategies import MovingWindowRateLimiter

from payments_api.problems import problem_answer
from payments_api.tidystorage import TidyStorage

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from payments_api.metrics import Metrics
    from payments_api.settings import Settings

_PERIODS: Final = {"s": "second", "min": "minute", "h": "hour"}


def endpoint_of(path: str) -> str | None:
    """The endpoint whose limit and faults a path falls under; /health/ready and /metrics have none."""
    first, _, rest = path.removeprefix("/").partition("/")
    if first == "health":
        return None if rest else "health"
    return first if first in {"balance", "transactions", "webhooks"} else None


def client_address(scope: Scope, settings: Settings) -> str:
    """The peer's address, or what a trusted proxy says in the named header."""
    peer: str = scope["client"][0] if scope.get("client") else "unknown"
    if settings.client_header and _is_trusted(peer, settings):
        wanted = settings.client_header.encode("latin-1")
        named = next((value for name, value in scope["headers"] if name == wanted), b"")
        return named.decode("latin-1")[:100] or peer
    return peer


def _is_trusted(peer: str, settings: Settings) -> bool:
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    return any(address in network for network in settings.trusted_networks)


class LimitMiddleware:
    """429 with Retry-After for a client that has used up an endpoint's limit."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics
        self._limiter = MovingWindowRateLimiter(TidyStorage())
        self._limits = {}
        for endpoint, text in settings.limits.items():
            amount, _, period = text.partition("/")
            self._limits[endpoint] = parse(f"{amount}/{_PERIODS[period]}")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = endpoint_of(scope["path"]) if scope["type"] == "http" else None
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        limit, client = self._limits[endpoint], client_address(scope, self._settings)
        if await self._limiter.hit(limit, endpoint, client):
            self._metrics.limited.labels(endpoint, "admitted").inc()
            await self._app(scope, receive, send)
            return
        self._metrics.limited.labels(endpoint, "throttled").inc()
        stats = await self._limiter.get_window_stats(limit, endpoint, client)
        # Rounded up: a client that waits so long must be admitted.
        wait_s = max(1, math.ceil(stats.reset_time - time.time()))
        answer = problem_answer(
            429,
            "too-many-requests",
            f"More than {self._settings.limits[endpoint]} of {endpoint}.",
            headers={"Retry-After": str(wait_s)},
        )
        await answer(scope, receive, send)
