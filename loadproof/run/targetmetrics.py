"""The target's /metrics once a second to target.csv: its memory, descriptors, threads and CPU time."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

import requests
from prometheus_client.parser import text_string_to_metric_families

from loadproof.rundir import files
from loadproof.rundir.rows import TargetRow

if TYPE_CHECKING:
    from pathlib import Path

_EVERY_S: Final = 1.0
_TIMEOUT_S: Final = 2.0
_PREFIX: Final = "process_"
"""Process metrics that every Prometheus client library exports; the rest of the page would be thousands of rows."""


class MetricsSampler(threading.Thread):
    """Samples until stopped; a target without /metrics, or a dead one, simply leaves no rows."""

    def __init__(self, base_url: str, run: Path, start_unix_s: float) -> None:
        super().__init__(name="metrics-sampler", daemon=True)
        self._url = f"{base_url}/metrics"
        self._path = run / files.TARGET
        self._start_unix_s = start_unix_s
        self._stopped = threading.Event()

    def run(self) -> None:
        with requests.Session() as session:
            while not self._stopped.wait(_EVERY_S):
                rows = self._sample(session)
                try:
                    files.append_rows(self._path, rows)
                except OSError:
                    # A full disk is told by the recorder, whose files decide.
                    return

    def stop(self) -> None:
        self._stopped.set()
        self.join(_TIMEOUT_S + 1)

    def _sample(self, session: requests.Session) -> list[TargetRow]:
        try:
            answer = session.get(self._url, timeout=_TIMEOUT_S)
            answer.raise_for_status()
            time_s = time.time() - self._start_unix_s
            return [
                TargetRow(time_s, sample.name, sample.value)
                for family in text_string_to_metric_families(answer.text)
                for sample in family.samples
                if sample.name.startswith(_PREFIX) and not sample.labels
            ]
        except (requests.RequestException, ValueError):
            return []
