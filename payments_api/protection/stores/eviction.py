"""Watches whether Redis evicts counters when its memory is full, which would give clients a fresh quota."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from payments_api.protection.metrics import ProtectionMetrics
    from payments_api.protection.reporting import OnProblem

_EVERY_S: Final = 10.0
_SAFE: Final = "noeviction"
_REMEDY: Final = f"a client whose count is gone is admitted anew; set maxmemory-policy {_SAFE}"

Info = Mapping[str, str]
"""Fields of the answer to INFO, sections memory and stats."""


class EvictionWatch:
    """Polls INFO, which managed servers answer even if they refuse CONFIG; a server that refuses INFO isn't watched.

    A server that doesn't answer is ignored here: `FallbackStore` notices it.
    """

    def __init__(
        self, ask: Callable[[], Awaitable[Info]], *, metrics: ProtectionMetrics, on_problem: OnProblem
    ) -> None:
        self._ask = ask
        self._metrics = metrics
        self._on_problem = on_problem
        self._evicted: int | None = None
        self._reported = ""

    async def watch(self) -> None:
        """Run until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_EVERY_S)

    async def look(self) -> None:
        try:
            info = await self._ask()
            policy, is_bounded = info.get("maxmemory_policy", _SAFE), info.get("maxmemory", "0") != "0"
            evicted = int(info.get("evicted_keys", "0"))
        except Exception:  # noqa: BLE001 - Redis is lost, or refuses INFO
            return
        self._metrics.evicted.set(evicted)
        has_evicted = self._evicted is not None and evicted > self._evicted
        self._evicted = evicted
        if has_evicted:
            self._report("eviction-seen", f"Redis has evicted {evicted} keys ({policy}): {_REMEDY}")
        elif policy == _SAFE or not is_bounded:
            if self._reported:
                self._report("eviction-recovered", f"Redis evicts nothing: maxmemory-policy {policy}")
                self._reported = ""
        elif not self._reported:
            self._report("eviction-possible", f"Redis will evict keys when its memory is full ({policy}): {_REMEDY}")

    def _report(self, name: str, detail: str) -> None:
        """Report each state once, however long it lasts."""
        if name != self._reported:
            self._reported = name
            self._on_problem(name, detail)
