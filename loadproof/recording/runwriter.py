"""Writes the reports of all workers to the files of the run directory, and announces progress."""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import TYPE_CHECKING, Final

from loadproof import variables
from loadproof.histogram import MIDPOINT_US
from loadproof.plan.phases import phase_at
from loadproof.recording.announcements import Tick, line_of
from loadproof.recording.examples import MOST_KINDS, Example
from loadproof.recording.reports import BurstSeen
from loadproof.rundir import files
from loadproof.rundir.intervals import append_intervals
from loadproof.rundir.journal import append_journal
from loadproof.rundir.rows import EventRow, GeneratorRow, IntervalRow

if TYPE_CHECKING:
    from pathlib import Path

    from loadproof.recording.announcements import Announcement
    from loadproof.recording.reports import SecondReport
    from loadproof.rundir.manifest import Manifest

_QUANTILE: Final = 0.95


class RunWriter:
    """One per run. Reports may come from any worker in any order: cells with equal keys add up."""

    def __init__(self, run: Path, manifest: Manifest) -> None:
        self.path = run
        self._spans = manifest.phases
        self._is_open = manifest.scenario.model == "open"
        self._phase = ""
        self._bursts: dict[int, BurstSeen] = {}
        self._users: dict[str, int] = {}
        self._in_flight: dict[str, int] = {}
        self._counts: Counter[str] = Counter()
        self._response_buckets: Counter[int] = Counter()
        self._failures: set[tuple[str, str]] = set()
        self._progress_fd = os.environ.get(variables.PROGRESS_FD)

    def write(self, report: SecondReport) -> None:
        """Append a worker's measurements; OSError if the disk is full."""
        if report.cells:
            append_intervals(self.path / files.INTERVALS, report.cells)
        if report.journal:
            append_journal(self.path / files.JOURNAL, report.journal)
        if report.unjournalled:
            detail = f"{report.unjournalled} requests of worker {report.worker}"
            self.event(report.now_s, files.UNJOURNALLED, detail)
        if report.generator is not None:
            row = GeneratorRow(*report.generator)
            files.append_rows(self.path / files.GENERATOR, [row])
            self._counts.update(sent=row.sent, dropped=row.dropped)
        self._counts.update(errors=report.errors, throttled=report.throttled)
        self._users[report.worker] = report.users
        self._in_flight[report.worker] = report.in_flight
        for cell in map(IntervalRow._make, report.cells):
            if cell.series == "response":
                self._response_buckets[cell.bucket] += cell.count
        for fields in report.bursts:
            burst = BurstSeen(*fields)
            self._bursts.setdefault(burst.burst, BurstSeen(burst.burst)).merge(burst)
        for example in map(Example._make, report.failures):
            self._keep_example(report.now_s, example)

    def _keep_example(self, now_s: float, example: Example) -> None:
        """Keep only the first example of each kind, whichever worker it is from."""
        kind = example.endpoint, example.error
        if kind in self._failures or len(self._failures) >= MOST_KINDS:
            return
        self._failures.add(kind)
        self.event(now_s, "failure", json.dumps(example._asdict()))

    def tick(self, now_s: float) -> None:
        """Once a second: note a new phase, and announce progress."""
        phase = phase_at(self._spans, now_s).name
        if now_s >= 0 and phase != self._phase:
            self._phase = phase
            self.event(now_s, "phase", phase)
        counts, self._counts = self._counts, Counter()
        buckets, self._response_buckets = self._response_buckets, Counter()
        self.announce(
            Tick(
                now_s=now_s,
                phase=self._phase,
                users=None if self._is_open else sum(self._users.values()),
                in_flight=sum(self._in_flight.values()),
                sent=counts["sent"],
                p95_s=_quantile_s(buckets),
                errors=counts["errors"],
                throttled=counts["throttled"],
                dropped=counts["dropped"],
            )
        )

    def close(self) -> None:
        """Write the observed bursts."""
        for _, burst in sorted(self._bursts.items()):
            detail = {
                "burst": burst.burst,
                "sent": burst.sent,
                "spread_s": round(burst.last_s - burst.first_s, 6),
                "free_spread_s": round(max(0.0, burst.last_free_s - burst.first_s), 6),
                "peak_in_flight": burst.peak_in_flight,
                "late": burst.late,
            }
            self.event(burst.first_s, "burst", json.dumps(detail))

    def event(self, time_s: float, kind: str, detail: str = "") -> None:
        files.append_rows(self.path / files.EVENTS, [EventRow(time_s, kind, detail)])

    def announce(self, announcement: Announcement) -> None:
        """Tell the parent process, if it still listens."""
        if self._progress_fd is None:
            return
        try:
            os.write(int(self._progress_fd), line_of(announcement))
        except OSError:
            # Nobody listens any more; only the files matter.
            self._progress_fd = None


def _quantile_s(buckets: Counter[int]) -> float:
    """The 95th percentile of a sparse histogram; 0 if it is empty."""
    left = _QUANTILE * buckets.total()
    for bucket in sorted(buckets):
        left -= buckets[bucket]
        if left <= 0:
            return float(MIDPOINT_US[bucket]) * 1e-6
    return 0.0
