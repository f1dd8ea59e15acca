"""The messages between the master and the workers of a run, and how to send and receive them.

A broken connection is silently re-established, and messages in transit are lost. Reports are therefore numbered, and
one that arrives twice changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from locust.runners import MasterRunner, WorkerRunner


@dataclass(frozen=True)
class Begin:
    """Master to worker: its share of the run."""

    NAME: ClassVar = "loadproof-begin"
    manifest: str
    """As JSON."""
    start_unix_s: float
    """Unix time of second 0."""
    rank: int
    """The worker's, from 0."""
    workers: int
    """Number of workers."""
    digest: str
    """SHA-256 of the master's locustfiles."""


@dataclass(frozen=True)
class ClockTime:
    """Master to worker: the master's current time."""

    NAME: ClassVar = "loadproof-clock"
    unix_s: float


@dataclass(frozen=True)
class Measured:
    """Worker to master: what it has measured since its last report."""

    NAME: ClassVar = "loadproof-second"
    number: int
    """The report's number, from 1."""
    report: dict[str, Any]
    """The fields of a SecondReport."""
    now_unix_s: float
    """The worker's current time."""
    clock_took_s: float
    """The shortest time that a ClockTime seemed to take on its way; infinite before the first one."""


@dataclass(frozen=True)
class End:
    """Master to worker: finish what is in flight, and report."""

    NAME: ClassVar = "loadproof-end"
    plan_is_over: bool


@dataclass(frozen=True)
class Ended:
    """Worker to master: the last report was sent."""

    NAME: ClassVar = "loadproof-ended"
    reports: int
    """Number of reports sent."""


@dataclass(frozen=True)
class Refused:
    """Worker to master: it may not or can't take its share of the run, so it generates no load."""

    NAME: ClassVar = "loadproof-refused"
    why: str


Message = Begin | ClockTime | Measured | End | Ended | Refused
Kind = TypeVar("Kind", Begin, ClockTime, Measured, End, Ended, Refused)


def _anybody(_: str) -> bool:
    return True


def send(runner: MasterRunner | WorkerRunner, message: Message, client_id: str | None = None) -> None:
    """Send to the master, or to the worker with this id."""
    runner.send_message(message.NAME, vars(message), client_id)


def hear(
    runner: MasterRunner | WorkerRunner,
    kind: type[Kind],
    listener: Callable[[Kind, str], None],
    *,
    is_from_ours: Callable[[str], bool] = _anybody,
    concurrent: bool = False,
) -> None:
    """Call `listener` with each message of this kind and its sender's id, unless `is_from_ours` rejects the sender.

    Messages from rejected senders are not even parsed.
    """

    def take(msg: Any, **_: Any) -> None:
        if is_from_ours(msg.node_id):
            listener(kind(**msg.data), msg.node_id)

    runner.register_message(kind.NAME, take, concurrent=concurrent)
