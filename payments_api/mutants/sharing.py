"""Counters that aren't shared in Redis, and wrong behaviour when Redis hangs or is down."""

from __future__ import annotations

from typing import Any, Final

from payments_api.mutants.mutant import Replace, mutant
from payments_api.protection import protection
from payments_api.protection.stores.fallback import FallbackStore, SharedStore
from payments_api.protection.stores.redisconnection import RedisConnection
from payments_api.protection.stores.stores import Standing, Store

_DAY_S: Final = 86_400.0


@mutant(6, also={10: "two processes admit twice the limit, even while Redis is up"})
def memory_on_two_processes(replace: Replace) -> None:
    """Each process counts separately: Redis's address is read, but the counters are in memory."""

    async def take(self: FallbackStore, endpoint: str, client: str) -> Standing:
        return await self._local.take(endpoint, client)

    replace(FallbackStore, "take", take)


@mutant(10)
def redis_no_timeout(replace: Replace) -> None:
    """When Redis hangs, so does every request: queries have no timeout."""
    true = RedisConnection.ask

    async def ask(self: RedisConnection, *command: str | float, timeout_s: float) -> Any:  # noqa: ARG001
        return await true(self, *command, timeout_s=_DAY_S)

    replace(RedisConnection, "ask", ask)


@mutant(10)
def redis_fail_open(replace: Replace) -> None:
    """When Redis is down, there are no limits: an error in the limiter lets the request through."""

    class Open:
        async def take(self, _endpoint: str, _client: str) -> Standing:
            return Standing(True, 1, 0.0)

    class FailsOpen(FallbackStore):
        def __init__(self, shared: SharedStore, _: Store, **options: Any) -> None:
            super().__init__(shared, Open(), **options)

    replace(protection, "FallbackStore", FailsOpen)
