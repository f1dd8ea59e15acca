"""Backups as Prometheus metrics: times rather than ages, which stay right when nobody updates them any more.

Source: https://prometheus.io/docs/practices/instrumentation/, 'Timestamps, not time since'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge

from payments_api.backups.manifest import FUTURE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from prometheus_client import CollectorRegistry


class BackupMetrics:
    """With several workers, the page shows the latest value written by any of them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._success = Gauge(
            "backup_last_success_timestamp_seconds",
            "When the API last took a good backup, in Unix time; 0 if it has taken none since its start.",
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self._newest = Gauge(
            "backup_newest_good_timestamp_seconds",
            "When the newest good backup that was there at the last look was taken, in Unix time; 0 if none was.",
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self._enabled = Gauge(
            "backup_enabled",
            "1 if the API takes backups by itself, else 0.",
            registry=registry,
            multiprocess_mode="max",
        )
        self._failures = Counter("backup_failures", "Backups that failed, counting every attempt.", registry=registry)

    def enabled(self) -> None:
        self._enabled.set(1)

    def taken(self, began: datetime, ended: datetime) -> None:
        self._success.set(ended.timestamp())
        self._newest.set(began.timestamp())

    def found(self, good: Iterable[datetime], now: datetime) -> None:
        """Record the good backups found; ones from the future don't count: they would hide that there are no others."""
        self._newest.set(max((at.timestamp() for at in good if at <= now + FUTURE), default=0))

    def failed(self) -> None:
        self._failures.inc()
