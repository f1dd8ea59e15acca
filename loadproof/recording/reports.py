"""What a worker reports once a second, and what it observed during bursts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class SecondReport:
    """What a worker has measured since its last report: only lists and plain values, to be sent between machines."""

    worker: str
    now_s: float
    users: int
    in_flight: int
    errors: int
    throttled: int
    cells: Sequence[Sequence[Any]]
    """Rows of `IntervalRow`."""
    generator: Sequence[Any] | None
    """A row of `GeneratorRow`; None before second 0 is over."""
    bursts: Sequence[Sequence[Any]]
    """Fields of `BurstSeen`, one row per burst; only in the last report."""
    failures: Sequence[Sequence[Any]] = field(default_factory=list)
    """Fields of `Example`: the first request of each kind of error."""
    journal: bytes = b""
    """A gzip member of journal.csv.gz; empty if no request ended, or the run doesn't record its requests."""
    unjournalled: int = 0
    """Requests missing from it, because more ended than a process can hold."""


@dataclass
class BurstSeen:
    """One burst as its senders observed it, merged over several workers."""

    burst: int
    first_s: float = math.inf
    last_s: float = -math.inf
    sent: int = 0
    late: int = 0
    peak_in_flight: int = 0
    last_free_s: float = -math.inf
    """Like `last_s`, of users that no earlier answer kept waiting."""

    def saw(self, began_s: float, *, late: bool) -> None:
        """A request began to connect or to send then."""
        self.first_s = min(self.first_s, began_s)
        self.last_s = max(self.last_s, began_s)
        self.sent += 1
        self.late += late
        if not late:
            self.last_free_s = max(self.last_free_s, began_s)

    def merge(self, other: BurstSeen) -> None:
        """Add another worker's view. The sum of peaks is an upper bound: workers peak at nearly the same time."""
        self.first_s = min(self.first_s, other.first_s)
        self.last_s = max(self.last_s, other.last_s)
        self.last_free_s = max(self.last_free_s, other.last_free_s)
        self.sent += other.sent
        self.late += other.late
        self.peak_in_flight += other.peak_in_flight
