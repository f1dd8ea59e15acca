"""What the protection decides, and where it counts, for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import REGISTRY, Counter, Gauge

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from prometheus_client import CollectorRegistry

STORES: Final = ("local", "redis", "slowapi")


class ProtectionMetrics:
    """Children are created once: looking labels up costs more than counting."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._decisions = Counter(
            "limiter_decisions", "Requests checked against a limit.", ["endpoint", "decision"], registry=registry
        )
        self._refusals = Counter(
            "protection_refusals", "Requests refused, by what refused them.", ["by"], registry=registry
        )
        self.denied = self._refusals.labels("deny-list")
        self.hidden = self._refusals.labels("private")
        self.bots = self._refusals.labels("bots")
        self._limit = self._refusals.labels("limit")
        self._penalty = self._refusals.labels("penalty")
        self.allowed = Counter("protection_allowed", "Requests that the allow list let through.", registry=registry)
        self._deferred = Counter(
            "protection_deferred",
            "Chunks and requests that waited because their client had had its share of the event loop.",
            registry=registry,
        )
        self.deferred: Callable[[int], None] = self._deferred.inc
        self._repeated = Counter(
            "protection_repeated", "Requests for monitoring answered with the latest answer.", registry=registry
        )
        self.repeated: Callable[[], None] = self._repeated.inc
        self._store = Gauge(
            "limiter_store",
            "Processes that count there; each one that counts locally applies its own limits.",
            ["store"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.store_failures = Counter("limiter_store_failures", "Queries that Redis did not answer.", registry=registry)
        self.fallbacks = Counter(
            "limiter_fallbacks", "Queries answered locally because Redis was lost.", registry=registry
        )
        self.evicted = Gauge(
            "limiter_store_evicted_keys",
            "Keys that Redis has evicted since it started; counts may be among them.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._windows = Gauge(
            "limiter_windows",
            "Clients and endpoints remembered locally.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.entries = Gauge(
            "protection_list_entries",
            "Networks and rules in use, by list.",
            ["list"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.list_failures = Counter(
            "protection_list_failures", "Versions of a list that could not be read.", ["list"], registry=registry
        )
        self._forgotten = Counter(
            "limiter_forgotten", "Clients forgotten within their window because memory was full.", registry=registry
        )
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
