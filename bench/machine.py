"""Measures what decides how tools compare on a machine: the cost of a Python call and of a pair of system calls."""

from __future__ import annotations

import os
import socket
import timeit
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bench.serving import GENERATOR_CORE

REQUEST = b"GET /balance/acct-000000 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def probe() -> dict[str, float]:
    """The time of a Python function call, in a loop, and of a send and recv over loopback, on one core."""
    with pinned_here(GENERATOR_CORE), loopback_pair() as (sender, receiver):

        def pair() -> None:
            sender.send(REQUEST)
            receiver.recv(4096)

        return {"python_call_ns": round(best_s(nothing) * 1e9, 1), "system_call_pair_us": round(best_s(pair) * 1e6, 2)}


def nothing() -> None:
    """Does nothing: only the call itself costs time."""


def best_s(action: Callable[[], object], *, number: int = 20_000, repeat: int = 15) -> float:
    """Seconds per call: the shortest time, because noise only ever adds."""
    loop = "for _ in repeated: action()"
    names = {"action": action, "repeated": range(number)}
    return min(timeit.repeat(loop, number=1, repeat=repeat, globals=names)) / number


@contextmanager
def loopback_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a TCP connection; a Unix socket pair would skip most of the kernel's work."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    with near, far:
        near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield near, far


@contextmanager
def pinned_here(core: int) -> Iterator[None]:
    """Move this process to the generators' core, and back afterwards."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
