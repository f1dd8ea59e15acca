"""Hours of failures must not fill the generator's memory."""

from __future__ import annotations

import gc
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING

import psutil
import pytest

from tests import unpatched  # noqa: F401 - before locust

from locust.env import Environment  # isort: skip

from loadproof.recording.locuststats import LocustStatistics
from loadproof.users.post import THIS_PROCESS
from locustfiles.balance import BalanceUser
from simulation.rundirs import manifest, scenario

if TYPE_CHECKING:
    from loadproof.recording.recorder import Recorder

WARM_UP, REQUESTS = 150, 900
LEAST_BYTES = 100
"""The least that a leak would keep per request: an exception alone is that large, with its traceback 4,000."""


@contextmanager
def refused() -> Iterator[str]:
    """The address of a port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    yield f"http://127.0.0.1:{port}"


@contextmanager
def garbage() -> Iterator[str]:
    """A server with a single thread, because coverage remembers every thread."""

    def answer() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(b"no HTTP at all\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def failing_users(base_url: str):
    """A user with a real recorder and Locust's own statistics; and a function for a second's work of both."""
    recorded = manifest(scenario())
    work = THIS_PROCESS.assign(recorded.model_copy(update={"target": recorded.target}), rank=0, workers=1)
    environment = Environment(user_classes=[BalanceUser])
    environment.create_local_runner()
    BalanceUser.host = base_url
    work.begin(0.0)
    work.recorder.feed(LocustStatistics(environment))
    return BalanceUser(environment, work.clients.client(0)), work.recorder


@pytest.fixture(autouse=True)
def no_workload_left():
    yield
    THIS_PROCESS.leave()
    BalanceUser.host = None


def traced_bytes(recorder: Recorder, second: int) -> int:
    """Memory of Python's objects after a second's work and a garbage collection."""
    recorder.take(float(second), 1)
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


@pytest.mark.slow
@pytest.mark.parametrize("failing_target", [refused, pytest.param(garbage, marks=pytest.mark.long)])
def test_failing_requests_do_not_grow_memory(failing_target: Callable[[], AbstractContextManager[str]]):
    """Not by an exception per request, nor by less; measured after everything has been created once."""
    with failing_target() as url:
        user, recorder = failing_users(url)

        def fail(times: int) -> None:
            for _ in range(times):
                assert user.send(user.reading, user._is_known) is None

        fail(WARM_UP)
        tracemalloc.start()
        try:
            fail(WARM_UP)
            before, files = traced_bytes(recorder, 1), psutil.Process().num_fds()
            fail(REQUESTS)
            grown = traced_bytes(recorder, 2) - before
        finally:
            tracemalloc.stop()
    assert grown < LEAST_BYTES * REQUESTS
    assert psutil.Process().num_fds() <= files + 5
