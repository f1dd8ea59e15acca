"""Prometheus metrics of the requests served and of the process itself."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final, NamedTuple

import psutil
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from payments_api.alerts.metrics import AlertMetrics
from payments_api.backups.metrics import BackupMetrics
from payments_api.protection.metrics import ProtectionMetrics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


SHARED_DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Makes prometheus_client add up the metrics of several processes; it reads this variable when imported."""


class ProcessCollector(Collector):
    """Memory, descriptors, threads and CPU time of all worker processes together."""

    def collect(self) -> Iterator[Metric]:
        workers = [_Vitals.of(process) for process in _workers()]
        memory = sum(vitals.memory_bytes for vitals in workers)
        yield GaugeMetricFamily("process_resident_memory_bytes", "Resident memory.", memory)
        yield GaugeMetricFamily("process_open_fds", "Open descriptors.", sum(vitals.fds for vitals in workers))
        yield GaugeMetricFamily("process_threads", "Threads.", sum(vitals.threads for vitals in workers))
        cpu_s = sum(vitals.cpu_s for vitals in workers)
        yield CounterMetricFamily("process_cpu_seconds", "CPU time, user and system.", cpu_s)


class _Vitals(NamedTuple):
    memory_bytes: int
    fds: int
    threads: int
    cpu_s: float

    @classmethod
    def of(cls, process: psutil.Process) -> _Vitals:
        try:
            with process.oneshot():
                times = process.cpu_times()
                return cls(
                    process.memory_info().rss, process.num_fds(), process.num_threads(), times.user + times.system
                )
        except psutil.NoSuchProcess:
            return cls(0, 0, 0, 0.0)


def _workers() -> list[psutil.Process]:
    """This process, or if it is a worker, all children of its supervisor."""
    own = psutil.Process()
    return psutil.Process(own.ppid()).children() if SHARED_DIRECTORY in os.environ else [own]


class Metrics:
    """One per process, in its own registry; with several workers each page shows the sums over all of them."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._process = ProcessCollector()
        self.requests = Counter(
            "http_requests",
            "Answers by route, method and status.",
            ["route", "method", "status"],
            registry=self._registry,
        )
        self.duration = Histogram(
            "http_request_duration_seconds", "Time to answer by route.", ["route"], registry=self._registry
        )
        self.protection = ProtectionMetrics(self._registry)
        self._by_answer: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self.in_flight = Gauge(
            "http_requests_in_flight",
            "Requests not answered yet.",
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self.alerts = AlertMetrics(self._registry)
        self.backups = BackupMetrics(self._registry)
        self._page_registry = CollectorRegistry() if SHARED_DIRECTORY in os.environ else self._registry
        if self._page_registry is not self._registry:
            MultiProcessCollector(self._page_registry)  # type: ignore[no-untyped-call]
        self._page_registry.register(self._process)
        self._page_registry.register(self.alerts)

    def answered(self, route: str, method: str, status: int, *, duration_s: float) -> None:
        """Count an answer. Label lookups are cached: they cost more than counting, and floods are counted too."""
        counting = self._by_answer.get((route, method, status))
        if counting is None:
            counting = self.requests.labels(route, method, str(status)), self.duration.labels(route)
            self._by_answer[route, method, status] = counting
        counting[0].inc()
        counting[1].observe(duration_s)

    def page(self) -> bytes:
        return generate_latest(self._page_registry)

    def answers_and_errors(self) -> tuple[int, int]:
        """Answers of this process so far, and how many of them were 5xx."""
        answers = errors = 0.0
        for family in self.requests.collect():
            for sample in family.samples:
                if sample.name.endswith("_total"):
                    answers += sample.value
                    errors += sample.value if sample.labels["status"].startswith("5") else 0.0
        return round(answers), round(errors)


class MetricsMiddleware:
    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        began_s = time.perf_counter()

        async def noting_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self._metrics.in_flight.inc()
        try:
            await self._app(scope, receive, noting_status)
        finally:
            self._metrics.in_flight.dec()
            # Paths that no route matched share one label; otherwise a scanner would grow the page without bound.
            route = getattr(scope.get("route"), "path", "none")
            self._metrics.answered(route, scope["method"], status, duration_s=time.perf_counter() - began_s)
