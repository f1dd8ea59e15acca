"""Decides whether a client's request to an endpoint is admitted or how long it is refused."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from payments_api.protection.metrics import ProtectionMetrics
    from payments_api.protection.stores.stores import Standing, Store


class Decision(NamedTuple):
    is_admitted: bool
    is_penalty: bool
    remaining: int
    wait_s: int
    """Whole seconds, rounded up: until more quota is available, or until a refused client is admitted."""


class _Refusal(NamedTuple):
    until_s: float
    """Certainly not admitted before: the store may have decided as soon as it was asked."""
    free_s: float
    """Certainly admitted from then on: the store may have decided just before it answered."""
    is_penalty: bool


class Limits:
    """Applies the limits, whichever store counts.

    A refusal holds until its time is up, since nothing can end it sooner. So a flood is refused from memory, without
    asking the store about each request.
    """

    def __init__(
        self,
        store: Store,
        *,
        has_penalties: bool,
        most_clients: int,
        metrics: ProtectionMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._has_penalties = has_penalties
        self._most_clients = most_clients
        self._metrics = metrics
        self._clock = clock
        self._refusals: OrderedDict[tuple[str, str], _Refusal] = OrderedDict()

    async def decide(self, endpoint: str, client: str) -> Decision:
        """Admit and count a request, or refuse it; `endpoint` must have a limit."""
        refusal = self._refusals.get((endpoint, client))
        if refusal is not None:
            if (now_s := self._clock()) < refusal.until_s:
                return self._refused(endpoint, refusal.free_s - now_s, is_penalty=refusal.is_penalty)
            del self._refusals[endpoint, client]
        asked_s = self._clock()
        standing = await self._store.take(endpoint, client)
        if not standing.is_admitted:
            return self._refuse(endpoint, client, standing, asked_s)
        self._metrics.admitted(endpoint)
        return Decision(True, False, standing.remaining, math.ceil(standing.reset_s))

    def _refuse(self, endpoint: str, client: str, standing: Standing, asked_s: float) -> Decision:
        wait_s, is_penalty = standing.reset_s, standing.is_penalty
        until_s, free_s = asked_s + wait_s, self._clock() + wait_s
        self._refusals[endpoint, client] = _Refusal(until_s, free_s, is_penalty or self._has_penalties)
        if len(self._refusals) > self._most_clients:
            self._refusals.popitem(last=False)
        return self._refused(endpoint, wait_s, is_penalty=is_penalty)

    def _refused(self, endpoint: str, wait_s: float, *, is_penalty: bool) -> Decision:
        self._metrics.refused(endpoint, is_penalty=is_penalty)
        return Decision(False, is_penalty, 0, max(1, math.ceil(wait_s)))
