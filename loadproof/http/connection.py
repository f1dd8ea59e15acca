"""An HTTP/1.1 connection: sends one request and returns its answer, or raises its timeout or failure.

Each connection has one watcher on its socket, started once. The answer is read and parsed in the event loop's
callback; the greenlet that waits for it is switched to once, when the answer is complete.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

import gevent
from gevent import getcurrent, monkey
from gevent import socket as gevent_socket

from loadproof.http.answers import Answer, AnswerParser
from loadproof.http.deadlines import deadline, idle_deadline
from loadproof.http.head import MalformedAnswerError
from loadproof.http.messages import ConnectTimeoutError, Request, RequestTimeoutError, RequestTimeouts, Timing
from loadproof.http.packets import Packet, make_packet
from loadproof.http.stream import Waiting, failure_of, open_stream

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from greenlet import greenlet

    from loadproof.http.origin import Origin
    from loadproof.http.tls import Tls

_BLOCK_BYTES: Final = 65_536
_READABLE, _WRITABLE = 1, 2
_IDLE_S: Final = 0.002
"""A connection idle for longer than this may have been closed without the event loop having noticed yet."""
_CROSSED_S: Final = 0.005
"""A server closes this early only if its close crossed our request; for loopback, where connecting takes no time."""
_IDLE_ANSWERS: Final = (b"HTTP/1.1 408 ", b"HTTP/1.0 408 ")
"""A server may announce that it closes an idle connection. Source: RFC 9110, section 15.5.9."""
_plain_socket: type[socket.socket] = monkey.get_original("socket", "socket")
"""Sockets opened here are watched here.

Gevent's would start and stop a watcher for each wait, with a system call each.
"""
_WAITING: Final = Waiting(gevent_socket.socket, gevent_socket.getaddrinfo)


class Connection:
    """One kept-alive connection of one client; one request at a time."""

    def __init__(
        self,
        origin: Origin,
        timeouts: RequestTimeouts,
        *,
        source_address: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.origin = origin
        self._source_address = source_address
        self._headers = dict(headers or {})
        self.limit(timeouts)
        self._keep_alive_idle_s = timeouts.keep_alive_idle_s or math.inf
        self._idle = timeouts.keep_alive_idle_s and idle_deadline(timeouts.keep_alive_idle_s, Connection.close)
        self._hub = gevent.get_hub()
        self._socket: socket.socket | None = None
        self._tls: Tls | None = None
        self._parser = AnswerParser()
        self._waiting: greenlet | None = None
        self._timing = Timing()
        self._has_received = False
        self._ended: Answer | Exception | None = None
        self._connect_s = 0.0
        self._idle_since_s = 0.0
        self._packet: Packet | None = None

    @property
    def is_open(self) -> bool:
        """Neither side has closed it, as far as the event loop knows."""
        return self._socket is not None

    @property
    def tls_was_resumed(self) -> bool:
        """The last TLS handshake resumed the previous session."""
        return self._tls is not None and self._tls.is_resumed

    def limit(self, timeouts: RequestTimeouts) -> None:
        """Apply these timeouts from the next request on; how long it may be idle stays as it is."""
        self.timeouts = timeouts
        self._connect = deadline("no connection", timeouts.connect_s, ConnectTimeoutError)
        self._total = deadline("no complete answer", timeouts.total_s, RequestTimeoutError)
        byte_s = timeouts.each_byte_s or timeouts.first_byte_s
        what = "no byte" if timeouts.each_byte_s else "no first byte"
        self._first_byte = byte_s and deadline(what, byte_s, RequestTimeoutError)

    def exchange(self, request: Request | Packet, timing: Timing) -> Answer:
        """Send the request and read the complete answer; TransportError if there is none in time."""
        waiting = getcurrent()
        self._timing = timing
        if self._idle:
            self._idle.waiting.pop(self, None)
        timing.began_s = self._total.waiting[waiting] = time.monotonic()
        try:
            return self._exchange(request, timing, waiting)
        except (OSError, MalformedAnswerError, MemoryError) as error:
            self.close()
            raise failure_of(error) from error
        except BaseException:
            # Timed out, or cut off by a stop: the rest of the answer must not be taken for the next one.
            self.close()
            raise
        finally:
            self._waiting = None
            self._total.waiting.pop(waiting, None)
            timing.ended_s = self._idle_since_s = timing.ended_s or time.monotonic()
            timing.sent_s = timing.sent_s or timing.began_s
            if self._idle and self._socket is not None:
                self._idle.waiting[self] = self._idle_since_s

    def close(self) -> None:
        if self._socket is not None:
            self._watcher.stop()
            self._watcher.close()
            self._socket.close()
            self._socket = None

    def _exchange(self, request: Request | Packet, timing: Timing, waiting: greenlet) -> Answer:
        packet = self._packet
        if packet is None or packet.request is not request:
            if isinstance(request, Packet):
                packet = request
            else:
                # For users who send the same request again and again, it is built once.
                packet = self._packet = make_packet(self.origin, self._headers, request)
        idle_s = timing.began_s - self._idle_since_s
        if self._socket is not None and (idle_s > _IDLE_S or not packet.may_be_repeated):
            # Nothing should be sent on a connection that the server has closed, or may be about to close.
            if idle_s < self._keep_alive_idle_s:
                self._on_readable()
            else:
                self.close()
        is_fresh = self._socket is None
        if is_fresh:
            self._mark_surplus(timing)
            self._open(timing)
        try:
            return self._send_and_wait(packet, timing, waiting)
        except (ConnectionError, MalformedAnswerError):
            if is_fresh or not packet.may_be_repeated or not self._has_crossed(timing):
                raise
        self.close()
        self._open(timing)
        timing.sent_s, timing.ended_s = 0.0, 0.0
        timing.is_repeated = timing.is_marked = True
        return self._send_and_wait(packet, timing, waiting)

    def _has_crossed(self, timing: Timing) -> bool:
        """The server closed an idle connection just as we sent, and can't have started to process the request.

        Stricter than RFC 9112, section 9.3.1, which allows any idempotent request to be sent again: if a server had
        time to process a request and then drops it, that is its failure.
        """
        after_s = time.monotonic() - timing.sent_s
        return not self._has_received and after_s <= max(2 * self._connect_s, _CROSSED_S)

    def _send_and_wait(self, packet: Packet, timing: Timing, waiting: greenlet) -> Answer:
        self._parser.begin(is_head=packet.is_head, accepted=packet.accepted)
        self._ended = None
        self._has_received = False
        self._waiting = waiting
        if not timing.sent_s:
            timing.sent_s = time.monotonic()
        if self._first_byte:
            self._first_byte.waiting[waiting] = time.monotonic()
        try:
            is_sent = self._send(packet.content)
            while self._ended is None:
                self._hub.switch()
        finally:
            if self._first_byte:
                self._first_byte.waiting.pop(waiting, None)
        ended, self._ended = self._ended, None
        if isinstance(ended, Exception):
            try:
                raise ended
            finally:
                # Its traceback references this frame, which references it: a cycle for each failure.
                del ended
        if packet.is_last or not (is_sent and self._parser.keeps_alive):
            self._mark_surplus(timing)
            self.close()
        return ended

    def _mark_surplus(self, timing: Timing) -> None:
        """Note bytes beyond an answer once: with that answer or, if they came later, with the next request."""
        if self._parser.has_surplus:
            timing.has_surplus = timing.is_marked = True
            self._parser.has_surplus = False

    def _send(self, packet: bytes) -> bool:
        """False if not everything was sent: an answer came first, or the server stopped reading and may yet answer."""
        assert self._socket is not None  # noqa: S101 - _open
        if self._tls:
            packet = self._tls.encrypt(packet)
        try:
            sent = self._socket.send(packet)
        except BlockingIOError:
            sent = 0
        except ConnectionError:
            return False
        return sent == len(packet) or self._send_rest(memoryview(packet)[sent:])

    def _send_rest(self, rest: memoryview) -> bool:
        assert self._socket is not None  # noqa: S101 - as above
        watcher = self._hub.loop.io(self._socket.fileno(), _WRITABLE)
        watcher.start(self._wake)
        try:
            while rest and self._ended is None:
                self._hub.switch()
                try:
                    rest = rest[self._socket.send(rest) :]
                except BlockingIOError:
                    continue
                except ConnectionError:
                    break
        finally:
            watcher.stop()
            watcher.close()
        return not rest

    def _wake(self) -> None:
        if self._waiting is not None:
            self._waiting.switch()

    def _on_readable(self) -> None:
        """Called on the hub, which must not wait.

        Read, parse, and wake the waiting greenlet when the answer is complete.
        """
        assert self._socket is not None  # noqa: S101 - closing stops the watcher
        try:
            received = self._socket.recv(_BLOCK_BYTES)
            now_s = time.monotonic()
            is_end = not received
            if self._tls:
                received, is_end = self._tls.decrypt(received)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(error)
            return
        if received or is_end:
            self._on_received(received, is_end=is_end, now_s=now_s)

    def _on_received(self, received: bytes, *, is_end: bool, now_s: float) -> None:
        if self._waiting is None or self._ended is not None:
            # The server closes an idle connection, or sends something that answers no request.
            self._parser.has_surplus |= bool(received) and not received.startswith(_IDLE_ANSWERS)
            self.close()
            return
        timing = self._timing
        self._has_received = self._has_received or bool(received)
        try:
            ended = self._parser.feed(received) if received else None
            if is_end:
                # TLS can announce it along with the answer.
                ended = ended or self._parser.end()
                self._parser.keeps_alive = False
        except MalformedAnswerError as error:
            self._end(error)
            return
        if not timing.first_byte_s:
            timing.first_byte_s = now_s - timing.sent_s
            if self._first_byte:
                self._first_byte.waiting.pop(self._waiting, None)
        if ended is not None:
            timing.ended_s = now_s
            self._end(ended)
        elif self._first_byte and self.timeouts.each_byte_s:
            # Behind those that have waited for longer.
            self._first_byte.waiting.pop(self._waiting, None)
            self._first_byte.waiting[self._waiting] = now_s

    def _end(self, ended: Answer | Exception) -> None:
        if self._waiting is None:
            self.close()
        else:
            self._ended = ended
            self._waiting.switch()

    def _open(self, timing: Timing) -> None:
        began_s = time.monotonic()
        waiting = getcurrent()
        self._connect.waiting[waiting] = began_s
        try:
            session = self._tls.session if self._tls else None
            opened, self._tls = open_stream(self.origin, _WAITING, source_address=self._source_address, session=session)
            self._socket = _plain_socket(fileno=opened.detach())
            self._socket.setblocking(False)
        finally:
            self._connect.waiting.pop(waiting, None)
            self._connect_s = time.monotonic() - began_s
            timing.connect_s += self._connect_s
        self._watcher = self._hub.loop.io(self._socket.fileno(), _READABLE)
        self._watcher.start(self._on_readable)
