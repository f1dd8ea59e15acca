"""Messages from the process that writes the run directory to its parent: one line of JSON each, on a pipe."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Final, get_args


@dataclass(frozen=True)
class Begun:
    """Second 0 is set, and each worker has its share of the plan."""

    start_unix_s: float
    """Unix time of second 0."""
    workers: int
    """Number of workers with a share."""


@dataclass(frozen=True)
class Tick:
    """One second of the run."""

    now_s: float
    """Seconds since the run's start."""
    phase: str
    users: int | None
    """None in the open model."""
    in_flight: int
    sent: int
    p95_s: float
    """95th percentile of response times; 0 if nothing was answered."""
    errors: int
    throttled: int
    dropped: int


@dataclass(frozen=True)
class PlanIsOver:
    """Everything was sent and answered; only the shutdown follows."""


@dataclass(frozen=True)
class StopAsked:
    """The run was stopped at the generator itself, which ends cleanly."""

    where: str


@dataclass(frozen=True)
class DiskFull:
    """The disk of the run directory is full, and the generator ends."""

    reason: str


@dataclass(frozen=True)
class WorkerLost:
    """A worker, or some of its measurements, is missing."""

    detail: str


@dataclass(frozen=True)
class StrangerRefused:
    """A connection to the master's port was refused."""


Announcement = Begun | Tick | PlanIsOver | StopAsked | DiskFull | WorkerLost | StrangerRefused
_KINDS: Final = {kind.__name__: kind for kind in get_args(Announcement)}


def line_of(announcement: Announcement) -> bytes:
    """Including its newline; the inverse of `announcement_of`."""
    return json.dumps({"kind": type(announcement).__name__, **asdict(announcement)}).encode() + b"\n"


def announcement_of(line: bytes) -> Announcement:
    """The announcement in a complete line, written by the same version's `line_of`."""
    fields = json.loads(line)
    announcement: Announcement = _KINDS[fields.pop("kind")](**fields)
    return announcement
