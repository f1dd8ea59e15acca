"""What fails for hours must not fill the generator's memory."""

from __future__ import annotations

import gc
import socket

import psutil
import pytest

from tests import unpatched  # noqa: F401 - before locust

from locust.env import Environment  # isort: skip

from loadproof.recording.locuststats import LocustStatistics
from loadproof.users import workload as workloads
from locustfiles.balance import BalanceUser
from simulation.rundirs import manifest, scenario
from tests.servers import Script, serving

REQUESTS = 6_000


def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def garbage(connection: socket.socket, _: int) -> None:
    while connection.recv(4096):
        connection.sendall(b"no HTTP at all\r\n\r\n")


def failing_users(base_url: str):
    """A user of a real recorder, with Locust's own statistics behind it; and a second's work of both."""
    recorded = manifest(scenario())
    work = workloads.assign(recorded.model_copy(update={"target": recorded.target}), rank=0, workers=1)
    environment = Environment(user_classes=[BalanceUser])
    environment.create_local_runner()
    BalanceUser.host = base_url
    work.begin(0.0)
    work.recorder.feed(LocustStatistics(environment))
    return BalanceUser(environment, work.client(0)), work.recorder


@pytest.fixture(autouse=True)
def no_workload_left():
    yield
    workloads.THIS_PROCESS._workload = None
    BalanceUser.host = None


@pytest.mark.parametrize("script", [None, garbage], ids=["refused", "garbage"])
def test_failing_requests_do_not_grow_memory(script: Script | None):
    """Measured from when all has been made once."""
    process = psutil.Process()

    def fail(base_url: str) -> int:
        user, recorder = failing_users(base_url)
        sizes = []
        for number in range(REQUESTS if script is None else REQUESTS // 10):
            assert user.send(user.reading, user._is_known) is None
            if number % 500 == 0:
                recorder.take(number / 500 + 1, 1)
                gc.collect()
                sizes.append(process.memory_info().rss)
        return sizes[-1] - sizes[len(sizes) // 2]

    if script is None:
        grown = fail(closed_port())
    else:
        with serving(script) as url:
            grown = fail(url)
    assert grown < 1_000_000
