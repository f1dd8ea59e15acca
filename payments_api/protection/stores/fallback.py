"""Uses a shared store while it answers in time, and switches to local counters as soon as it doesn't."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

from payments_api.protection.stores.stores import Standing, Store

if TYPE_CHECKING:
    from payments_api.protection.metrics import ProtectionMetrics
    from payments_api.protection.reporting import OnProblem
    from payments_api.protection.stores.eviction import Info

_PROBE_EVERY_S: Final = 0.5
_START_TIMEOUT_S: Final = 2.0
"""Timeout for the first connection, while the process is busy starting."""
_CALM_S: Final = 10.0
"""Time without failures before Redis counts as recovered; otherwise a flapping one would cause an alert per second."""


class SharedStore(Store, Protocol):
    """Enforces its own timeouts: a timer around each request would cost a good part of the request."""

    async def probe(self, timeout_s: float) -> None:
        """Raises within this time unless the store is usable again."""

    async def info(self) -> Info:
        """The fields of the server's INFO; raises within the store's timeout if there is no answer."""

    async def aclose(self) -> None: ...


class FallbackStore:
    """A circuit breaker: after one failure no request uses the shared store until a background probe has succeeded.

    Only requests in flight when the store fails have to wait, and only until it fails. Whatever goes wrong there, the
    local store decides: a request is never admitted uncounted or answered with a 5xx. The shared store is used again as
    soon as it is back, and reported as recovered after `calm_s`.
    """

    def __init__(
        self,
        shared: SharedStore,
        local: Store,
        *,
        timeout_s: float,
        metrics: ProtectionMetrics,
        on_problem: OnProblem,
        name: str = "redis",
        probe_every_s: float = _PROBE_EVERY_S,
        calm_s: float = _CALM_S,
    ) -> None:
        """`timeout_s` is for probes; `on_problem` must not block or raise; `name` is the shared store's in metrics."""
        self._shared = shared
        self._local = local
        self._timeout_s = timeout_s
        self._metrics = metrics
        self._on_problem = on_problem
        self._name = name
        self._probe_every_s = probe_every_s
        self._calm_s = calm_s
        self._probing: asyncio.Task[None] | None = None
        self._calming: asyncio.Task[None] | None = None
        """Set while the store is used again but not reported as recovered yet."""
        metrics.uses_store(self._name)

    @property
    def is_shared(self) -> bool:
        return self._probing is None

    async def try_out(self) -> None:
        """Probe the store at startup, so that a missing one is reported at once and not by the first request."""
        try:
            await self._shared.probe(max(self._timeout_s, _START_TIMEOUT_S))
        except Exception as error:  # noqa: BLE001 - local limits apply in any case
            self._lose(error)
        else:
            self._metrics.uses_store(self._name)

    async def take(self, endpoint: str, client: str) -> Standing:
        if self._probing is None:
            try:
                return await self._shared.take(endpoint, client)
            except Exception as error:  # noqa: BLE001 - the request must be decided in any case
                self._lose(error)
        self._metrics.fallbacks.inc()
        return await self._local.take(endpoint, client)

    async def aclose(self) -> None:
        for task in (self._probing, self._calming):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        # After a restart, as in tests, the store is tried again.
        self._probing = self._calming = None
        with suppress(Exception):
            await asyncio.wait_for(self._shared.aclose(), self._timeout_s)

    def _lose(self, error: Exception) -> None:
        self._metrics.store_failures.inc()
        if self._probing is not None:
            return
        self._probing = asyncio.create_task(self._probe_until_back())
        self._metrics.uses_store("local")
        if self._calming is not None:
            # It hadn't recovered in between: this is still the same incident.
            self._calming.cancel()
            self._calming = None
            return
        self._on_problem("redis-lost", f"{_what(error)}: each process keeps its own limits until it is back")

    async def _probe_until_back(self) -> None:
        while True:
            await asyncio.sleep(self._probe_every_s)
            try:
                await self._shared.probe(self._timeout_s)
            except Exception:  # noqa: BLE001 - not yet
                self._metrics.store_failures.inc()
            else:
                self._probing = None
                self._metrics.uses_store(self._name)
                self._calming = asyncio.create_task(self._tell_when_calm())
                return

    async def _tell_when_calm(self) -> None:
        await asyncio.sleep(self._calm_s)
        self._calming = None
        self._on_problem("redis-recovered", "limits are shared again")


def _what(error: Exception) -> str:
    # Imported here because the library is only needed for counting in Redis.
    from redis.exceptions import AskError, ClusterCrossSlotError, ClusterDownError, TryAgainError

    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, (AskError, ClusterCrossSlotError, ClusterDownError, TryAgainError)):
        return f"REDIS_URL is a Redis Cluster, which is not supported; name a server that has all keys ({what})"
    return what
