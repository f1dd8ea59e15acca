"""Counts requests with slowapi while avoiding its pitfalls."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from limits import parse
from redis.backoff import NoBackoff
from redis.retry import Retry
from slowapi import Limiter
from slowapi.errors import RateLimitExceeded
from starlette.requests import Request

from payments_api.protection.stores.stores import Standing, parsed_limits, refused, take_or_punish, until_s

if TYPE_CHECKING:
    from payments_api.protection.options import Options
    from payments_api.protection.penalties import LocalPenalties

_PROBE: Final = parse("1000000/second")
_THREADS: Final = 4
"""More threads would only wait for each other in the interpreter."""


class SlowapiStore:
    """slowapi's limiter and decorators, called ahead of routing.

    slowapi 0.1.10's usual hooks don't work: its middleware doesn't find routes of an included router (FastAPI 0.137 and
    later), and its decorators only run after the body was validated, so malformed requests are free. Here one function
    per endpoint is decorated, and called by this package's middleware. Of slowapi's options:

    - `shared_limit` with the endpoint as scope, because `key_style="url"` (the default) has a bucket per path;
    - `strategy="moving-window"`, because the default fixed window admits 2N - 1 around its edge;
    - `headers_enabled=False`: it needs a `response: Response` in each route, and writes X-RateLimit-*;
    - neither `in_memory_fallback_enabled` nor `swallow_errors`: the first only covers counting, so reading the
      remaining quota still raises, and the second admits everybody. Errors from Redis are raised instead, so that
      `FallbackStore` decides, as with LIMITER=redis;
    - socket timeouts, without which a hanging Redis stops the event loop; queries run in a few threads, so that the
      loop stays free.

    Its memory isn't bounded by clients. Penalties are ours, not slowapi's, and local to the process.
    """

    def __init__(self, options: Options, penalties: LocalPenalties | None) -> None:
        self._is_remote = bool(options.redis_url)
        self._penalties = penalties
        self._limits = parsed_limits(options.limits)
        self._timeout_s = options.redis_timeout_s
        remote: dict[str, Any] = {
            "socket_timeout": self._timeout_s,
            "socket_connect_timeout": self._timeout_s,
            "retry": Retry(NoBackoff(), 0),
        }
        self._limiter = Limiter(
            key_func=_client_of,
            strategy="moving-window",
            headers_enabled=False,
            key_style="endpoint",
            storage_uri=options.redis_url or "memory://",
            storage_options=remote if self._is_remote else {},
            in_memory_fallback_enabled=False,
            swallow_errors=False,
        )
        # slowapi reads RATELIMIT_ENABLED from the environment and from a file .env in the working directory.
        self._limiter.enabled = True
        self._counters = {name: self._counter(name, limit) for name, limit in self._texts().items()}
        self._failures = 0
        self._open_threads()

    async def take(self, endpoint: str, client: str) -> Standing:
        return await take_or_punish(self, self._penalties, endpoint, client)

    async def count(self, endpoint: str, client: str) -> Standing:
        return await self._ask(self._count, endpoint, client) if self._is_remote else self._count(endpoint, client)

    async def look(self, endpoint: str, client: str) -> Standing:
        return await self._ask(self._look, endpoint, client) if self._is_remote else self._look(endpoint, client)

    async def probe(self, timeout_s: float) -> None:
        """Writes like a request: a server that answers but can't write is not back."""
        async with asyncio.timeout(timeout_s):
            await asyncio.to_thread(self._limiter.limiter.hit, _PROBE, "probe")

    async def info(self) -> dict[str, str]:
        """The server's INFO."""
        storage: Any = self._limiter.limiter.storage
        return {name: str(value) for name, value in (await asyncio.to_thread(storage.storage.info)).items()}

    async def aclose(self) -> None:
        """Close connections; a call that still runs in a thread ends with its socket timeout."""
        if self._is_remote:
            storage: Any = self._limiter.limiter.storage
            storage.storage.connection_pool.disconnect()
            self._threads.shutdown(wait=False)
            self._open_threads()

    def _open_threads(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, "slowapi")
        self._free = asyncio.Semaphore(_THREADS)

    async def _ask(self, question: Callable[[str, str], Standing], endpoint: str, client: str) -> Standing:
        """Ask in a thread, within the timeout; waiting for a thread isn't counted, and ends if another call fails."""
        failures = self._failures
        async with self._free:
            if self._failures != failures:
                raise ConnectionError("it failed to answer others meanwhile")
            call = asyncio.get_running_loop().run_in_executor(self._threads, question, endpoint, client)
            try:
                # A question takes several commands, each with its own timeout, so this limits the whole.
                answered, _ = await asyncio.wait([call], timeout=self._timeout_s)
            finally:
                call.cancel()
            if not answered or call.exception() is not None:
                self._failures += 1
            if not answered:
                raise TimeoutError("no answer in time")
            return call.result()

    def _texts(self) -> dict[str, str]:
        return {name: str(limit) for name, limit in self._limits.items()}

    def _counter(self, endpoint: str, limit: str) -> Callable[[Request], None]:
        def count(request: Request) -> None:  # slowapi finds the request by this name.
            """Does nothing but give the decorator a target."""

        # slowapi identifies functions by module and name: two with the same name would share their limits.
        count.__name__ = f"count_{endpoint}"
        decorated: Callable[[Request], None] = self._limiter.shared_limit(limit, scope=endpoint)(count)
        return decorated

    def _count(self, endpoint: str, client: str) -> Standing:
        request = Request({"type": "http", "path": f"/{endpoint}", "headers": [], "client": (client, 0), "state": {}})
        try:
            self._counters[endpoint](request)
        except RateLimitExceeded:
            return refused(self._look(endpoint, client))
        return self._look(endpoint, client)._replace(is_admitted=True)

    def _look(self, endpoint: str, client: str) -> Standing:
        limit = self._limits[endpoint]
        stats = self._limiter.limiter.get_window_stats(limit, client, endpoint)
        remaining = max(0, stats.remaining)
        return Standing(remaining > 0, remaining, until_s(stats.reset_time, time.time(), limit))


def _client_of(request: Request) -> str:
    """The client that `Clients` determined; slowapi's `get_remote_address` returns the peer, even if it is a proxy."""
    assert request.client is not None  # noqa: S101 - set in `_count`
    return request.client.host
