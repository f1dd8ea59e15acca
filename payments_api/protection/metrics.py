"""Prometheus metrics of the protection's decisions and of the store in use."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

from prometheus_client import REGISTRY, Counter, Gauge

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from prometheus_client import CollectorRegistry

STORES: Final = ("local", "redis", "slowapi")


class ProtectionMetrics:
    """Creates labelled metrics once: looking labels up costs more than counting."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        counter, gauge = functools.partial(Counter, registry=registry), functools.partial(Gauge, registry=registry)
        self._decisions = counter("limiter_decisions", "Requests checked against a limit.", ["endpoint", "decision"])
        self._refusals = counter("protection_refusals", "Requests refused, by what refused them.", ["by"])
        self.denied = self._refusals.labels("deny-list")
        self.hidden = self._refusals.labels("private")
        self.bots = self._refusals.labels("bots")
        self._limit = self._refusals.labels("limit")
        self._penalty = self._refusals.labels("penalty")
        self.allowed = counter("protection_allowed", "Requests that the allow list let through.")
        waited = "Chunks and requests that waited because their client had had its share of the event loop."
        self.deferred: Callable[[int], None] = counter("protection_deferred", waited).inc
        repeated = "Requests for monitoring answered with the latest answer."
        self.repeated: Callable[[], None] = counter("protection_repeated", repeated).inc
        stores = "Processes that count there; each one that counts locally applies its own limits."
        self._store = gauge("limiter_store", stores, ["store"], multiprocess_mode="livesum")
        self.store_failures = counter("limiter_store_failures", "Queries that Redis did not answer.")
        self.fallbacks = counter("limiter_fallbacks", "Queries answered locally because Redis was lost.")
        evicted = "Keys that Redis has evicted since it started; counts may be among them."
        self.evicted = gauge("limiter_store_evicted_keys", evicted, multiprocess_mode="livemax")
        windows = "Clients and endpoints remembered locally."
        self._windows = gauge("limiter_windows", windows, multiprocess_mode="livesum")
        entries = "Networks and rules in use, by list."
        self.entries = gauge("protection_list_entries", entries, ["list"], multiprocess_mode="livemax")
        unread = "Versions of a list that could not be read."
        self.list_failures = counter("protection_list_failures", unread, ["list"])
        forgotten = "Clients forgotten within their window because memory was full."
        self._forgotten = counter("limiter_forgotten", forgotten)
        self._by_endpoint: dict[tuple[str, str], Counter] = {}

    def prepare(self, endpoints: Collection[str]) -> None:
        for endpoint in endpoints:
            for decision in ("admitted", "throttled", "penalised"):
                self._by_endpoint[endpoint, decision] = self._decisions.labels(endpoint, decision)

    def admitted(self, endpoint: str) -> None:
        self._by_endpoint[endpoint, "admitted"].inc()

    def refused(self, endpoint: str, *, is_penalty: bool) -> None:
        self._by_endpoint[endpoint, "penalised" if is_penalty else "throttled"].inc()
        (self._penalty if is_penalty else self._limit).inc()

    def remembers(self, windows: int, forgotten: int) -> None:
        self._windows.set(windows)
        if forgotten:
            self._forgotten.inc(forgotten)

    def uses_store(self, used: str) -> None:
        for store in STORES:
            self._store.labels(store).set(store == used)
