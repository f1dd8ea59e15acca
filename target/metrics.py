"""Requests as they pass to Prometheus metrics, and the process's own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psutil
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Metrics:
    """One a process, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        process = psutil.Process()
        threads = Gauge("process_threads", "Threads of the process.", registry=self._registry)
        threads.set_function(process.num_threads)
        self.requests = Counter(
            "http_requests",
            "Answers by route, method and status.",
            ["route", "method", "status"],
            registry=self._registry,
        )
        self.duration = Histogram(
            "http_request_duration_seconds", "Time to answer by route.", ["route"], registry=self._registry
        )
        self.limited = Counter(
            "limiter_decisions",
            "Requests that a limit was asked about.",
            ["endpoint", "decision"],
            registry=self._registry,
        )
        self.in_flight = Gauge("http_requests_in_flight", "Requests without an answer.", registry=self._registry)

    def page(self) -> bytes:
        return generate_latest(self._registry)


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
            # Paths that no route took share one label, or a scanner would grow the page without bound.
            route = getattr(scope.get("route"), "path", "none")
            self._metrics.requests.labels(route, scope["method"], str(status)).inc()
            self._metrics.duration.labels(route).observe(time.perf_counter() - began_s)
