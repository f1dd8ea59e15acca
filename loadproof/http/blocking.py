"""An HTTP/1.1 connection for threads without an event loop: like `Connection`, but blocking.

Requests' bytes, TLS, where answers end and the reasons for failures come from the same modules as for the load.
"""

from __future__ import annotations

import functools
import math
import select
import socket
import time
from typing import TYPE_CHECKING, Any, Final

from loadproof.http.answers import Answer, AnswerParser
from loadproof.http.head import MalformedAnswerError
from loadproof.http.messages import Request, RequestTimeoutError, RequestTimeouts, Timing
from loadproof.http.packets import make_packet
from loadproof.http.stream import Waiting, failure_of, open_stream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loadproof.http.origin import Origin
    from loadproof.http.tls import Tls

_BLOCK_BYTES: Final = 65_536


class _Limited(socket.socket):
    """A socket whose waits all end at a moment set by its owner."""

    def __init__(self, limit: _Limit, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.limit = limit

    def connect(self, address: Any) -> None:
        self.settimeout(self.limit.left_s())
        super().connect(address)

    def sendall(self, *arguments: Any) -> None:
        self.settimeout(self.limit.left_s())
        super().sendall(*arguments)

    def recv(self, *arguments: Any) -> bytes:
        self.settimeout(self.limit.left_s())
        return super().recv(*arguments)


class _Limit:
    """How long to wait for each step, never beyond the overall limit."""

    def __init__(self, what: str, duration_s: float) -> None:
        self._end = (time.monotonic() + duration_s, what, duration_s)
        self._now = self._end

    def begin(self, what: str, duration_s: float | None) -> None:
        """Wait for this next; None means up to the overall limit."""
        until_s = math.inf if duration_s is None else time.monotonic() + duration_s
        self._now = min(self._end, (until_s, what, duration_s or 0.0))

    def left_s(self) -> float:
        """RequestTimeoutError if no time is left."""
        left_s = self._now[0] - time.monotonic()
        if left_s <= 0:
            raise self.error()
        return left_s

    def error(self) -> RequestTimeoutError:
        _, what, duration_s = self._now
        return RequestTimeoutError(f"{what} within {duration_s:g} s")


class BlockingConnection:
    """One kept-alive connection; one request at a time, from one thread."""

    def __init__(
        self,
        origin: Origin,
        timeouts: RequestTimeouts,
        *,
        source_address: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.origin = origin
        self._timeouts = timeouts
        self._source_address = source_address
        self._headers = dict(headers or {})
        self._socket: _Limited | None = None
        self._tls: Tls | None = None
        self._parser = AnswerParser()
        self._idle_since_s = 0.0

    def exchange(self, request: Request, timing: Timing) -> Answer:
        """Send the request and read the complete answer; TransportError if there is none in time."""
        timing.began_s = timing.sent_s = time.monotonic()
        limit = _Limit("no complete answer", self._timeouts.total_s)
        try:
            answer = self._exchange(request, timing, limit)
        except TimeoutError as error:
            self.close()
            raise limit.error() from error
        except (OSError, MalformedAnswerError, MemoryError) as error:
            self.close()
            raise failure_of(error) from error
        except BaseException:
            self.close()
            raise
        finally:
            timing.ended_s = self._idle_since_s = time.monotonic()
        if not self._parser.keeps_alive:
            self.close()
        return answer

    def is_kept(self, *, within_s: float) -> bool:
        """Whether the server has not closed the connection, and doesn't within this time."""
        return self._socket is not None and not _has_something(self._socket, within_s)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _exchange(self, request: Request, timing: Timing, limit: _Limit) -> Answer:
        packet = make_packet(self.origin, self._headers, request)
        is_idle = timing.began_s - self._idle_since_s >= (self._timeouts.keep_alive_idle_s or math.inf)
        if self._socket is None or is_idle or _has_something(self._socket):
            # The server has closed it, may be about to, or sends something that answers no request.
            self.close()
            self._open(timing, limit)
        assert self._socket is not None  # noqa: S101 - _open
        self._socket.limit = limit
        timing.sent_s = time.monotonic()
        limit.begin("no first byte", self._timeouts.first_byte_s)
        self._parser.begin(is_head=packet.is_head, accepted=packet.accepted)
        self._socket.sendall(self._tls.encrypt(packet.content) if self._tls else packet.content)
        answer = None
        while answer is None:
            received = self._socket.recv(_BLOCK_BYTES)
            is_end = not received
            if self._tls:
                received, is_end = self._tls.decrypt(received)
            if received and not timing.first_byte_s:
                timing.first_byte_s = time.monotonic() - timing.sent_s
                limit.begin("", None)
            answer = self._parser.feed(received) if received else None
            if is_end:
                answer = answer or self._parser.end()
                self._parser.keeps_alive = False
        return answer

    def _open(self, timing: Timing, limit: _Limit) -> None:
        began_s = time.monotonic()
        limit.begin("no connection", self._timeouts.connect_s)
        waiting = Waiting(functools.partial(_Limited, limit), socket.getaddrinfo)
        session = self._tls.session if self._tls else None
        try:
            self._socket, self._tls = open_stream(
                self.origin, waiting, source_address=self._source_address, session=session
            )
        finally:
            timing.connect_s += time.monotonic() - began_s


def _has_something(idle: socket.socket, within_s: float = 0.0) -> bool:
    """Whether something, or the end, arrived while nobody waited, or arrives within this time."""
    poll = select.poll()
    poll.register(idle, select.POLLIN)
    return bool(poll.poll(within_s * 1000))
