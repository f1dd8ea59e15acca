"""Backups as Prometheus metrics: times rather than ages, so they still help when nobody updates them any more.

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
    """Among several workers, the one with the lock writes; the page shows what was written last."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._success = Gauge(
            "backup_last_success_timestamp_seconds",
            "When the API last took a good backup, in Unix time; 0 if it has taken none since its start.",
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self._newest = Gauge(
            "backup_newest_good_timestamp_seconds",
            "When the newest good backup was taken, in Unix time; 0 if none is known.",
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self._failures = Counter("backup_failures", "Backups that failed, counting every attempt.", registry=registry)

    def taken(self, began: datetime, ended: datetime) -> None:
        self._success.set(ended.timestamp())
        self._newest.set(began.timestamp())

    def found(self, good: Iterable[datetime], now: datetime) -> None:
        """Backups from the future don't count: they would hide that there are no others."""
        newest = max((at for at in good if at <= now + FUTURE), default=None)
        if newest is not None:
            self._newest.set(newest.timestamp())

    def failed(self) -> None:
        self._failures.inc()
