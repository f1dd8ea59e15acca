"""A server that delays each answer according to a seeded script, and logs when it read and wrote each request.

python -m loadproof.run.experiments.truthserver SCRIPT SEED LOG        prints its port; writes LOG at SIGTERM

The scripts: `none`, `lognormal`, `bimodal`, `stops`, which answers nothing in the last 2 of each 20 s after the first
request, and `steady`, whose times vary least; `steady*1.1` takes a tenth longer than `steady`. LOG is a .npy file of
shape (n, 2): one row per balance request, in the order of answers, with the Unix times in s at which it was read and
answered.
"""

from __future__ import annotations

import functools
import heapq
import os
import re
import select
import signal
import socket
import sys
import time
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from loadproof import variables

_ACCOUNT = re.compile(rb"^GET /balance/(\S+) ")
STOP_EVERY_S, STOP_S = 20.0, 2.0


def delays_s(script: str, seed: int) -> Iterator[float]:
    """Delays in s, one per request in the order in which requests are read; endless."""
    random = np.random.default_rng(seed)
    kind, _, times = script.partition("*")
    while True:
        match kind:
            case "none":
                drawn = np.zeros(1000)
            case "lognormal":
                drawn = np.exp(random.normal(np.log(0.02), 0.6, 1000))
            case "bimodal":
                modes = np.where(random.random(1000) < 0.8, 0.01, 0.1)
                drawn = modes * np.exp(random.normal(0, 0.1, 1000))
            case "stops":
                drawn = np.exp(random.normal(np.log(0.01), 0.3, 1000))
            case "steady":
                drawn = np.exp(random.normal(np.log(0.02), 0.3, 1000))
            case _:
                raise SystemExit(f"truthserver: no script {script!r}")
        yield from (drawn * float(times or 1)).tolist()


def after_a_stop(due_s: float, first_s: float) -> float:
    """`due_s`, or the end of the stop that contains it."""
    periods, into_s = divmod(due_s - first_s, STOP_EVERY_S)
    return due_s if into_s < STOP_EVERY_S - STOP_S else first_s + (periods + 1) * STOP_EVERY_S


@functools.cache
def answer_to(request_line: bytes) -> bytes:
    """The response to a balance request; empty for any other."""
    account = _ACCOUNT.match(request_line)
    if account is None:
        return b""
    body = b'{"account":"%s","balance":10000}' % account[1]
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    return head + body


class TruthServer:
    def __init__(self, script: str, seed: int) -> None:
        self._delays_s = delays_s(script, seed)
        self._has_stops = script == "stops"
        self._first_s: float | None = None
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self._connections: dict[int, socket.socket] = {}
        self._due: list[tuple[float, int, int, float, bytes]] = []
        """Heap of pending answers: when to send, order, descriptor, when the request was read, the answer."""
        self.log = array("d")
        self.is_stopped = False

    def serve(self, parent: int) -> None:
        """Serve until stopped or until this parent is gone."""
        order = 0
        while not self.is_stopped and os.getppid() == parent:
            wait_s = max(0.0, self._due[0][0] - time.time()) if self._due else 0.2
            for descriptor, _ in self._epoll.poll(min(wait_s, 0.2)):
                if descriptor == self._listener.fileno():
                    self._accept()
                else:
                    order += 1
                    self._read(descriptor, order)
            while self._due and self._due[0][0] <= time.time():
                self._write(*heapq.heappop(self._due)[2:])

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections[connection.fileno()] = connection
        self._epoll.register(connection, select.EPOLLIN)

    def _read(self, descriptor: int, order: int) -> None:
        """Read one request: clients send it in one piece, and no other before its answer."""
        try:
            request = self._connections[descriptor].recv(65_536)
        except ConnectionError:
            request = b""
        now_s = time.time()
        if not request:
            self._connections.pop(descriptor).close()
            # The next connection may get this descriptor, and not its answers.
            self._due = [answer for answer in self._due if answer[2] != descriptor]
            heapq.heapify(self._due)
            return
        answer = answer_to(request.partition(b"\r\n")[0])
        if not answer:
            # A probe, or a request for metrics.
            self._connections[descriptor].send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return
        if self._first_s is None:
            self._first_s = now_s
        due_s = now_s + next(self._delays_s)
        if self._has_stops:
            due_s = after_a_stop(due_s, self._first_s)
        heapq.heappush(self._due, (due_s, order, descriptor, now_s, answer))

    def _write(self, descriptor: int, read_s: float, answer: bytes) -> None:
        connection = self._connections.get(descriptor)
        if connection is None:
            return
        self.log.extend((read_s, time.time()))
        try:
            connection.send(answer)
        except ConnectionError:
            self._connections.pop(descriptor).close()


def main() -> None:
    script, seed, log = sys.argv[1:]
    parent = int(os.environ.get(variables.PARENT, os.getppid()))
    server = TruthServer(script, int(seed))

    def stop(*_: object) -> None:
        server.is_stopped = True

    signal.signal(signal.SIGTERM, stop)
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    server.serve(parent)
    with Path(log).open("wb") as file:
        np.save(file, np.frombuffer(server.log).reshape(-1, 2))


if __name__ == "__main__":
    main()
