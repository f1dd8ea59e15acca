"""Samples the target's /metrics once a second into target.csv: memory, descriptors, threads, CPU time, lost Redis."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from prometheus_client.parser import text_string_to_metric_families

from loadproof.http.messages import TransportError
from loadproof.run.target.ownclient import OwnClient
from loadproof.run.target.tokens import NoAccessError
from loadproof.rundir import files
from loadproof.rundir.rows import TargetRow

if TYPE_CHECKING:
    from pathlib import Path

    from loadproof.rundir.manifest import Manifest

_EVERY_S: Final = 1.0
_TIMEOUT_S: Final = 2.0
_PATH: Final = "/metrics"
_OK: Final = 200
_PREFIX: Final = "process_"
"""Process metrics, which every Prometheus client library exports; other metrics could be thousands of rows."""


class MetricsSampler(threading.Thread):
    """Samples until stopped; a target without /metrics, or a dead one, simply leaves no rows."""

    def __init__(self, run: Path, manifest: Manifest) -> None:
        super().__init__(name="metrics-sampler", daemon=True)
        self._client = OwnClient(manifest.target, manifest.scenario, longest_s=_TIMEOUT_S)
        self._path = run / files.TARGET
        self._zero_s = time.monotonic() - (time.time() - manifest.start_unix_s)
        """Second 0 by the monotonic clock: the wall clock may be set during the run."""
        self._stopped = threading.Event()
        self.trouble: str | None = None
        """Why sampling ended early: its file could not be written."""

    def run(self) -> None:
        with self._client:
            is_last = False
            while not is_last:
                # The last sample is taken after the last request.
                is_last = self._stopped.wait(_EVERY_S)
                try:
                    files.append_rows(self._path, self._sample())
                except OSError as error:
                    self.trouble = f"{self._path.name}: {error.strerror or error}"
                    return

    def stop(self) -> None:
        self._stopped.set()
        self.join(_TIMEOUT_S + 1)

    def _sample(self) -> list[TargetRow]:
        try:
            answer = self._client.ask("GET", _PATH, follow_redirects=True)
            if answer.status != _OK:
                return []
            time_s = time.monotonic() - self._zero_s
            return [
                TargetRow(time_s, sample.name, sample.value)
                for family in text_string_to_metric_families(answer.body.decode())
                for sample in family.samples
                if (sample.name.startswith(_PREFIX) or sample.name == files.FALLBACKS) and not sample.labels
            ]
        except (NoAccessError, TransportError, ValueError):
            return []
