"""A server of known capacity: a number of slots, each busy for the same time with every request.

    python -m bench.slotserver SLOTS SERVICE_S        prints its port, and serves until it is terminated

A request that finds no free slot waits for the next one. Start and end of each request are computed, not slept: however
late the server's timers are, its capacity is SLOTS / SERVICE_S requests per second.
"""

from __future__ import annotations

import asyncio
import heapq
import sys

_BODY = b'{"status":"ok"}'
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
_BACKLOG = 4096


class Slots:
    """Times when the slots will be free, in seconds of the event loop's clock."""

    def __init__(self, slots: int, service_s: float) -> None:
        self._free_s = [0.0] * slots
        self._service_s = service_s

    def ends_s(self, now_s: float) -> float:
        """When a request that arrives now will have been served."""
        end_s = max(now_s, self._free_s[0]) + self._service_s
        heapq.heapreplace(self._free_s, end_s)
        return end_s


class _Connection(asyncio.Protocol):
    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take it for one request: loadproof sends each in one piece, and no other before the answer."""
        if data.startswith(b"GET /health "):
            self._loop.call_at(self._slots.ends_s(self._loop.time()), self._transport.write, _ANSWER)
        else:
            self._transport.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")


async def main(slots: int, service_s: float) -> None:
    busy = Slots(slots, service_s)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(busy), "127.0.0.1", 0, backlog=_BACKLOG)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
