"""Decides whether a client's request to an endpoint is admitted, or until when it is refused."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from payments_api.protection.metrics import ProtectionMetrics
    from payments_api.protection.stores import Store


class Decision(NamedTuple):
    is_admitted: bool
    is_penalty: bool
    remaining: int
    wait_s: int
    """Whole seconds, rounded up: until more quota is available, or until a refused client is admitted."""


class _Refusal(NamedTuple):
    until_s: float
    is_penalty: bool


class Limits:
    """The limits' rule, whichever store counts.

    A refusal holds until its time is up: nothing in between could end it sooner, so a flood is refused from memory,
    without asking the store for each of its requests.
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
        refusal = self._refusals.get((endpoint, client))
        if refusal is not None:
            if (wait_s := refusal.until_s - self._clock()) > 0:
                return self._refused(endpoint, wait_s, is_penalty=refusal.is_penalty)
            del self._refusals[endpoint, client]
        standing = await self._store.take(endpoint, client)
        if not standing.is_admitted:
            return self._refuse(endpoint, client, standing.reset_s, is_penalty=standing.is_penalty)
        self._metrics.admitted(endpoint)
        return Decision(True, False, standing.remaining, math.ceil(standing.reset_s))

    def _refuse(self, endpoint: str, client: str, wait_s: float, *, is_penalty: bool) -> Decision:
        self._refusals[endpoint, client] = _Refusal(self._clock() + wait_s, is_penalty or self._has_penalties)
        if len(self._refusals) > self._most_clients:
            self._refusals.popitem(last=False)
        return self._refused(endpoint, wait_s, is_penalty=is_penalty)

    def _refused(self, endpoint: str, wait_s: float, *, is_penalty: bool) -> Decision:
        self._metrics.refused(endpoint, is_penalty=is_penalty)
        return Decision(False, is_penalty, 0, max(1, math.ceil(wait_s)))
