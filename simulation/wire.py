"""Carries messages between a master and its workers in one process, with stand-ins for Locust's runners.

Messages are serialized as in Locust and take time on the way. As in Locust, messages from one process to another never
overtake each other, and a message to a process that is gone is silently lost. Source: locust/runners.py and
locust/rpc/protocol.py 2.47.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import gevent
import msgpack  # type: ignore[import-untyped]
from gevent.queue import Queue

if TYPE_CHECKING:
    from simulation.clock import FakeTime, Waking

Fate = Callable[[], Sequence[float]]
"""Returns the delay of each copy of the next message, in seconds: usually one copy, none if the message is lost."""
MASTER: Final = "master"


class Wire:
    """Connects one master and its workers."""

    def __init__(self, time: FakeTime, fate: Fate = lambda: (0.0,)) -> None:
        self._time = time
        self._fate = fate
        self._ends: dict[str, FakeRunner] = {}
        self._last_s: dict[tuple[str, str], float] = {}
        self._cut: set[str] = set()
        self.log: list[tuple[str, str]] = []
        """Sender and kind of each message, in the order of sending."""
        self.failures: list[Exception] = []
        """Exceptions raised by listeners; Locust logs them and continues."""

    def master(self) -> FakeRunner:
        return FakeRunner(self, MASTER)

    def worker(self, client_id: str) -> FakeRunner:
        return FakeRunner(self, client_id)

    def workers(self) -> list[SimpleNamespace]:
        """The workers, as the master knows them."""
        return [SimpleNamespace(id=name) for name in self._ends if name != MASTER]

    def cut(self, client_id: str) -> None:
        """From now on, drop all messages to and from this process, including those on their way."""
        self._cut.add(client_id)

    def carry(self, sender: str, recipient: str, kind: str, content: Any) -> None:
        self.log.append((sender, kind))
        packed = msgpack.packb((kind, content, recipient if sender == MASTER else sender))
        way = sender, recipient
        for took_s in self._fate():
            at_s = self._ends[recipient].awake_s(self._time.now_s + took_s)
            at_s = max(at_s, math.nextafter(self._last_s.get(way, 0.0), math.inf))
            self._last_s[way] = at_s
            self._time.call_at(at_s, lambda: self._arrive(way, packed))

    def _arrive(self, way: tuple[str, str], packed: bytes) -> None:
        if self._cut.isdisjoint(way):
            self._ends[way[1]].inbox.put(msgpack.unpackb(packed))

    def close(self) -> None:
        """Stop all readers."""
        gevent.killall([end.reader for end in self._ends.values()])

    def connect(self, name: str, end: FakeRunner) -> None:
        self._ends[name] = end


class FakeRunner:
    """One end of the wire: a crew sees it as a MasterRunner or WorkerRunner."""

    awake_s: Waking = float

    def __init__(self, wire: Wire, name: str) -> None:
        self._wire = wire
        self._name = name
        self._listeners: dict[str, tuple[Callable[..., None], bool]] = {}
        self.user_count = 0
        self.exceptions: dict[str, Any] = {}
        self.has_stopped = self.has_quit = False
        self.inbox: Queue[list[Any]] = Queue()
        self.reader = gevent.spawn(self._read)
        wire.connect(name, self)

    @property
    def clients(self) -> SimpleNamespace:
        return SimpleNamespace(ready=self._wire.workers())

    @property
    def worker_count(self) -> int:
        return len(self._wire.workers())

    def register_message(self, kind: str, listener: Callable[..., None], concurrent: bool = False) -> None:
        self._listeners[kind] = listener, concurrent

    def send_message(self, kind: str, content: Any = None, client_id: str | None = None) -> None:
        if self._name != MASTER:
            self._wire.carry(self._name, MASTER, kind, content)
            return
        for recipient in [client_id] if client_id else [worker.id for worker in self._wire.workers()]:
            self._wire.carry(MASTER, recipient, kind, content)

    def _read(self) -> None:
        """Handle messages one by one, but run `concurrent` listeners in their own greenlet."""
        while True:
            kind, content, node_id = self.inbox.get()
            listener, concurrent = self._listeners.get(kind, (_nobody, False))
            message = SimpleNamespace(type=kind, data=content, node_id=node_id)
            if concurrent:
                gevent.spawn(self._hear, listener, message)
            else:
                self._hear(listener, message)

    def _hear(self, listener: Callable[..., None], message: SimpleNamespace) -> None:
        try:
            listener(environment=None, msg=message)
        except Exception as error:  # noqa: BLE001 - whatever a listener raises
            self._wire.failures.append(error)

    def stop(self) -> None:
        self.has_stopped = True

    def quit(self) -> None:
        self.has_quit = True

    def _send_stats(self) -> None:
        self.send_message("stats", {})


def _nobody(**_: Any) -> None:
    """Ignores Locust's own messages, which crews don't use."""
