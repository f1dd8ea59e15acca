"""Incidents, messages and channels as Prometheus metrics, the same from every worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client.metrics_core import Metric

_RESULTS: Final = ("sent", "failed", "dropped", "postponed")


class AlertMetrics(Collector):
    """Counters are sums over the workers; open incidents are read from the file that they share.

    Separate gauges would count each incident once per worker.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.opened = Counter("alert_incidents", "Incidents that began.", ["incident"], registry=registry)
        self.messages = Counter(
            "alert_messages",
            "Alerts by result; postponed: failed attempts to read the queue.",
            ["result"],
            registry=registry,
        )
        for result in _RESULTS:
            self.messages.labels(result)
        self.open_incidents: Callable[[], dict[str, float]] = dict
        """Seconds that each has been open, by name."""
        self.channels: dict[str, bool] = {}
        """Whether each is configured, by name."""

    def collect(self) -> Iterator[Metric]:
        open_s_by_name = self.open_incidents()
        count = GaugeMetricFamily("alert_incidents_open", "Open incidents.", len(open_s_by_name))
        yield count
        durations = GaugeMetricFamily("alert_incident_open_seconds", "How long it has been open.", labels=["incident"])
        for name, open_s in open_s_by_name.items():
            durations.add_metric([name], open_s)
        yield durations
        channels = GaugeMetricFamily("alert_channel_enabled", "1 if it is set up.", labels=["channel"])
        for name, is_on in self.channels.items():
            channels.add_metric([name], float(is_on))
        yield channels
