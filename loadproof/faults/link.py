"""One direction of a proxied connection: passes bytes on as soon as the current faults allow."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

from loadproof.scenario.faults import Latency, LimitData, LowBandwidth, ResetPeer, SlowClose, Timeout

if TYPE_CHECKING:
    from asyncio import Transport
    from random import Random

    from loadproof.scenario.faults import NetworkFault

_MOST_WAITING_BYTES: Final = 1 << 20
"""Per link; beyond that, reading from its sender pauses, as if the network were full."""


class Closing(Protocol):
    """A connection, as seen by its links."""

    def close(self) -> None:
        """Close both sides normally."""

    def reset(self) -> None:
        """Reset both sides at once."""

    def close_if_over(self) -> None:
        """Close if both sides have ended their streams."""


class Link:
    """One direction of a connection: bytes wait in order until they may pass."""

    def __init__(self, connection: Closing, chance: Random) -> None:
        """`chance` draws the jitter."""
        self._connection = connection
        self._chance = chance
        self._loop = asyncio.get_running_loop()
        self._faults: dict[int, NetworkFault] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._passed: dict[int, int] = {}
        """Bytes passed so far, by the number of the fault that limits them."""
        self._waiting: deque[tuple[float, bytes | None]] = deque()
        """Chunks and when they may pass, by the event loop's clock; b"" is the stream's end, None the connection's."""
        self._waiting_bytes = 0
        self._last_due_s = 0.0
        self.has_ended = False
        self._is_sink_full = False
        self.source: Transport | None = None
        """Where bytes come from."""
        self.sink: Transport | None = None
        """Where bytes go, once that side is connected."""

    def begin(self, number: int, fault: NetworkFault) -> None:
        self._faults[number] = fault
        match fault:
            case ResetPeer(timeout=after_s):
                self._timers[number] = self._loop.call_later(after_s or 0.0, self._connection.reset)
            case Timeout(timeout=float(after_s)):
                self._timers[number] = self._loop.call_later(after_s, self._connection.close)
            case LimitData():
                self._passed[number] = 0

    def end(self, number: int) -> None:
        if self._faults.pop(number, None) and (timer := self._timers.pop(number, None)):
            timer.cancel()
        if not any(isinstance(fault, Latency | LowBandwidth | SlowClose) for fault in self._faults.values()):
            self._hurry()

    def _hurry(self) -> None:
        """No fault delays anything any more: pass on everything that waits."""
        now_s = self._loop.time()
        self._last_due_s = min(self._last_due_s, now_s)
        self._waiting = deque((min(due_s, now_s), chunk) for due_s, chunk in self._waiting)
        if self._waiting:
            self.flush()

    def send(self, chunk: bytes) -> None:
        """Pass a chunk on: at once if there are no faults and nothing is waiting."""
        if not self._faults and not self._waiting and self.sink is not None:
            self.sink.write(chunk)
        elif not any(isinstance(fault, Timeout) for fault in self._faults.values()):
            # Nothing passes through a timeout: it is lost, as in toxiproxy.
            self._send_limited(chunk)

    def send_end(self) -> None:
        """The sender has ended its stream."""
        delays_s = [fault.delay for fault in self._faults.values() if isinstance(fault, SlowClose)]
        self._wait(b"", self._loop.time() + sum(delays_s))

    def _send_limited(self, chunk: bytes) -> None:
        """Pass on as much as the limits allow, and end the connection when one is reached."""
        is_full = False
        for number, fault in self._faults.items():
            if isinstance(fault, LimitData):
                chunk = chunk[: fault.bytes - self._passed[number]]
                self._passed[number] += len(chunk)
                is_full |= self._passed[number] >= fault.bytes
        if chunk:
            self._wait(chunk, self._due_s(len(chunk)))
        if is_full:
            self._wait(None, self._last_due_s)

    def _due_s(self, size: int) -> float:
        """When this many bytes, which have just arrived, may pass."""
        due_s = self._loop.time()
        for fault in self._faults.values():
            match fault:
                case Latency():
                    jitter_s = fault.jitter or 0.0
                    due_s += max(0.0, fault.latency + self._chance.uniform(-jitter_s, jitter_s))
                case LowBandwidth():
                    due_s = max(due_s, self._last_due_s) + size / fault.rate
        return due_s

    def _wait(self, chunk: bytes | None, due_s: float) -> None:
        """Queue a chunk; it never overtakes an earlier one."""
        self._last_due_s = max(self._last_due_s, due_s)
        self._waiting.append((self._last_due_s, chunk))
        self._waiting_bytes += len(chunk or b"")
        if self._waiting_bytes > _MOST_WAITING_BYTES and self.source is not None:
            self.source.pause_reading()
        if len(self._waiting) == 1:
            self._loop.call_at(self._last_due_s, self.flush)

    def pause(self) -> None:
        """The receiver reads too slowly: take no more from the sender."""
        self._is_sink_full = True
        if self.source is not None:
            self.source.pause_reading()

    def resume(self) -> None:
        self._is_sink_full = False
        self._read_on()

    def _read_on(self) -> None:
        if self._waiting_bytes <= _MOST_WAITING_BYTES and not self._is_sink_full and self.source is not None:
            self.source.resume_reading()

    def flush(self) -> None:
        """Pass on what is due, and schedule the next call for the rest."""
        if self.sink is None:
            return
        while self._waiting and self._waiting[0][0] <= self._loop.time():
            self._pass(self.sink, self._waiting.popleft()[1])
        if self._waiting:
            self._loop.call_at(self._waiting[0][0], self.flush)
        self._read_on()

    def _pass(self, sink: Transport, chunk: bytes | None) -> None:
        if chunk is None:
            self._connection.close()
        elif chunk:
            self._waiting_bytes -= len(chunk)
            sink.write(chunk)
        else:
            self.has_ended = True
            # The peer may have reset the connection without our knowing yet.
            with suppress(OSError):
                if not sink.is_closing():
                    sink.write_eof()
            self._connection.close_if_over()
