"""Gives each client address a fair share of the event loop: data beyond it waits its turn, in order.

A pass of the event loop handles all readable connections, so a client with 64 of them makes everybody wait for 64 of
its requests. Here a client gets only a few turns per pass, so the length of a pass depends on the number of clients,
however many connections they open. A connection belongs to one client, and its data takes a turn before it is parsed. A
trusted proxy's connection carries many clients, so each of its requests takes a turn of the client that the proxy
names, before the application sees it.

This file is the only one that uses uvicorn's internals: `HttpToolsProtocol` with its `app`, `client`, `flow`, `loop`,
`pipeline` and `transport`, and the methods that are overridden below.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Final
from weakref import WeakValueDictionary

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from payments_api.protection.client import Clients

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

PER_PASS: Final = 2
"""Chunks that each client may have handled in a pass: fewer cost throughput, more delay other clients."""
PIECE_BYTES: Final = 4096
"""Longer chunks are cut: one read may contain thousands of pipelined requests, which are parsed in one go."""

_WITHOUT_PROXY: Final = Clients()


class _Peer:
    """A client and its waiting chunks and requests."""

    __slots__ = ("__weakref__", "handed", "pass_number", "waiting")

    def __init__(self) -> None:
        self.handed = 0
        """Turns taken in pass `pass_number`."""
        self.pass_number = 0
        self.waiting: deque[Callable[[], None]] = deque()


class FairShare:
    """Hands out turns in one event loop: `per_pass` chunks per client and pass; the rest waits in order of arrival.

    `clients` determines the client of a connection, or of each request from a trusted proxy. `on_waited` is called
    once per pass with the number of chunks and requests that had to wait.
    """

    def __init__(
        self,
        clients: Clients = _WITHOUT_PROXY,
        *,
        per_pass: int = PER_PASS,
        on_waited: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._clients = clients
        self.per_pass = per_pass
        self._on_waited = on_waited
        self._waited = 0
        self._pass_number = 1
        self._is_next_pass_due = False
        self._peers: WeakValueDictionary[str, _Peer] = WeakValueDictionary()
        """An entry lives while the client has an open connection, has something waiting or had a turn in this pass."""
        self._busy: dict[_Peer, None] = {}
        self._had_turns: list[_Peer] = []

    def peer(self, host: str) -> _Peer | None:
        """The client whose turns all data from this host takes; None for a trusted proxy."""
        key = self._clients.peer_key(host)
        return None if key is None else self._called(key)

    def client(self, scope: Scope) -> _Peer:
        """The client whose turn this request takes."""
        return self._called(self._clients.of(scope).key)

    def _called(self, key: str) -> _Peer:
        peer = self._peers.get(key)
        if peer is None:
            peer = self._peers[key] = _Peer()
        return peer

    def takes(self, peer: _Peer, loop: asyncio.AbstractEventLoop) -> bool:
        """Take a turn of the client's in this pass; if False, it has none left, and the caller must `wait`."""
        if not self._is_next_pass_due:
            self._expect_next_pass(loop)
        if peer.pass_number != self._pass_number:
            self._begin_turns(peer)
        if peer.handed >= self.per_pass:
            self._waited += 1
            return False
        peer.handed += 1
        return True

    def wait(self, peer: _Peer, hand_over: Callable[[], None]) -> None:
        """Call `hand_over` when it is the client's turn again, after everything that it queued before."""
        peer.waiting.append(hand_over)
        self._busy[peer] = None

    def _begin_turns(self, peer: _Peer) -> None:
        peer.pass_number, peer.handed = self._pass_number, 0
        self._had_turns.append(peer)

    def _expect_next_pass(self, loop: asyncio.AbstractEventLoop) -> None:
        # `call_soon` callbacks run in the next pass, before that pass reads from any connection.
        self._is_next_pass_due = True
        loop.call_soon(self._next_pass, loop)

    def _next_pass(self, loop: asyncio.AbstractEventLoop) -> None:
        self._pass_number += 1
        self._is_next_pass_due = False
        self._had_turns.clear()
        if self._busy:
            # Schedule this first: even if a callback below raises, nobody waits forever.
            self._expect_next_pass(loop)
        for peer in list(self._busy):
            self._begin_turns(peer)
            while peer.waiting and peer.handed < self.per_pass:
                peer.handed += 1
                peer.waiting.popleft()()
            if not peer.waiting:
                del self._busy[peer]
        if self._waited:
            waited, self._waited = self._waited, 0
            self._on_waited(waited)


class _HoldingFlow(FlowControl):
    """Resumes reading only when neither uvicorn nor a waiting chunk keeps it paused."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__(transport)
        self._is_held = False
        self._is_paused_by_uvicorn = False

    def pause_reading(self) -> None:
        self._is_paused_by_uvicorn = True
        super().pause_reading()

    def resume_reading(self) -> None:
        self._is_paused_by_uvicorn = False
        if not self._is_held:
            super().resume_reading()

    def hold(self) -> None:
        self._is_held = True
        super().pause_reading()

    def release(self) -> None:
        self._is_held = False
        if not self._is_paused_by_uvicorn:
            super().resume_reading()


class FairProtocol(HttpToolsProtocol):
    """uvicorn's protocol, for `--http payments_api.protection.fairness:FairProtocol`; one event loop per process.

    While a chunk or request of a connection waits, the connection isn't read, so it holds at most one chunk here.
    """

    share: ClassVar[FairShare] = FairShare()
    flow: _HoldingFlow
    _peer: _Peer | None = None
    _held: bytes | memoryview = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _HoldingFlow(transport)
        if self.client is None:
            # A connection over a Unix socket has no address, so there is no client to be fair to.
            return
        self._peer = self.share.peer(self.client[0])
        if self._peer is None:
            self.app = self._in_turn(self.app)

    def data_received(self, data: bytes) -> None:
        if self._peer is None:
            super().data_received(data)
        elif not self.share.takes(self._peer, self.loop):
            self._hold(data, self._peer)
        else:
            self._hand_first_piece(data, self._peer)

    def on_response_complete(self) -> None:
        if self.pipeline and self._peer is not None and not self.share.takes(self._peer, self.loop):
            self.share.wait(self._peer, super().on_response_complete)
        else:
            super().on_response_complete()

    def _in_turn(self, app: ASGIApp) -> ASGIApp:
        """The application, with each request waiting for a turn of the client that a trusted proxy names."""

        async def in_turn(scope: Scope, receive: Receive, send: Send) -> None:
            client = self.share.client(scope)
            if not self.share.takes(client, self.loop):
                self.flow.hold()
                turn = asyncio.Event()
                self.share.wait(client, turn.set)
                await turn.wait()
                if self.transport.is_closing():
                    return
                self.loop.call_soon(self._read_on)
            await app(scope, receive, send)

        return in_turn

    def timeout_keep_alive_handler(self) -> None:
        # Held data is a request, even though the parser hasn't seen it yet.
        if not self._held:
            super().timeout_keep_alive_handler()

    def shutdown(self) -> None:
        """Serve held data as if it had never had to wait; nothing more is read after that."""
        if self._held and not self.transport.is_closing():
            held, self._held = self._held, b""
            super().data_received(bytes(held))
            self.flow.release()
        super().shutdown()

    def _hold(self, data: bytes | memoryview, peer: _Peer) -> None:
        self._held = data
        self.flow.hold()
        self.share.wait(peer, self._hand_over)

    def _hand_first_piece(self, data: bytes | memoryview, peer: _Peer) -> None:
        if len(data) > PIECE_BYTES:
            # A view, so that cutting off a piece doesn't copy the rest.
            self._hold(memoryview(data)[PIECE_BYTES:], peer)
            data = data[:PIECE_BYTES]
        super().data_received(data if isinstance(data, bytes) else bytes(data))

    def _hand_over(self) -> None:
        held, self._held = self._held, b""
        if not held or self._peer is None or self.transport.is_closing():
            return
        if self.transport.get_protocol() is self:
            self._hand_first_piece(held, self._peer)
        if not self._held:
            # Only after the request has begun, as if it had just been read: a client that has closed its sending side
            # still gets its answer.
            self.loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        if not self.transport.is_closing():
            self.flow.release()


def fair(share: FairShare) -> type[FairProtocol]:
    """For `uvicorn.Config(http=…)`."""
    return type("FairProtocol", (FairProtocol,), {"share": share})
