"""Locust's web UI and command line with our users: who may control them, and that any number of users works."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests

from loadproof.run.machine.ports import free_port
from tests.commands import ROOT, Background
from tests.servers import Heard, serving

pytestmark = [pytest.mark.process, pytest.mark.long]

FOREIGN = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Host": "evil.example:{port}"},
    {"Host": "evil.example:{port}", "Origin": "http://evil.example:{port}"},
    {"Origin": "http://127.0.0.1:1"},
    {"Sec-Fetch-Site": "cross-site"},
]


@contextmanager
def served(*options: object) -> Iterator[int]:
    """Serve a web UI; yields its port."""
    number = free_port()
    background = Background("ui", "--port", number, *options)

    def answers() -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{number}/", timeout=5).ok
        except requests.ConnectionError:
            return False

    try:
        background.eventually(answers)
        yield number
    finally:
        background.process.terminate()
        background.end()
    assert background.survivors() == []


@pytest.fixture(scope="module")
def port():
    with served() as number:
        yield number


def swarm(port: int, users: int = 1, headers: dict[str, str] | None = None, **form: str) -> requests.Response:
    values = {"user_count": str(users), "spawn_rate": str(users), **form}
    return requests.post(f"http://127.0.0.1:{port}/swarm", data=values, headers=headers, timeout=20)


def statistics(port: int) -> dict[str, object]:
    return requests.get(f"http://127.0.0.1:{port}/stats/requests", timeout=20).json()


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_a_page_of_another_origin_starts_nothing(port, headers):
    """Under any name, its own or one that leads to this machine."""
    sent = {name: value.format(port=port) for name, value in headers.items()}
    refused = swarm(port, headers=sent)
    assert refused.status_code == 403, refused.text
    assert "; " in refused.text
    assert statistics(port)["state"] == "ready"


def test_a_page_of_another_origin_reads_nothing(port):
    """Locust itself would let any page."""
    url = f"http://127.0.0.1:{port}/stats/requests"
    for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}):
        assert requests.get(url, headers=headers, timeout=20).status_code == 403


@pytest.mark.parametrize("host", ["http://192.0.2.1", "http://<192.0.2.1>", "ftp://127.0.0.1"])
def test_a_host_in_the_form_that_is_not_allowed_starts_nothing(port, host):
    """The page shows why."""
    told = swarm(port, host=host, headers={"Origin": f"http://127.0.0.1:{port}"}).json()
    assert told["success"] is False
    assert "not on the allow list" in told["message"] or "not a base URL" in told["message"]
    assert told["host"].startswith("http://127.0.0.1:")
    assert statistics(port)["state"] == "ready"


def test_any_number_of_users_find_their_accounts(port):
    """Started from the page: four hundred, more than a target of default size has accounts for."""
    told = swarm(port, 400, headers={"Origin": f"http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"}).json()
    assert told["success"] is True
    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s and (
        statistics(port)["user_count"] < 400 or statistics(port)["stats"][-1]["num_requests"] < 800
    ):
        time.sleep(0.5)
    seen = statistics(port)
    assert seen["user_count"] == 400
    assert [error for error in seen["errors"] if "status 404" in error["error"]] == []
    requests.post(f"http://127.0.0.1:{port}/stop", timeout=20)


def test_a_locustfile_is_served_and_sends_nothing_to_a_host_that_is_not_allowed(tmp_path):
    """Neither from the form nor from its users, which don't use loadproof; they send to the host of their class."""
    heard = Heard()
    with serving(heard.script) as url:
        (tmp_path / "shop.py").write_text(
            "from locust import HttpUser, constant, task\n\n\n"
            f"class Visitor(HttpUser):\n    host = '{url}'\n    wait_time = constant(1)\n\n"
            "    @task\n    def look(self):\n"
            "        self.client.get('/items')\n        self.client.get('http://192.0.2.1/away')\n"
        )
        with served("--locustfile", tmp_path / "shop.py") as port:
            assert "not on the allow list" in swarm(port, host="http://192.0.2.1").json()["message"]
            assert swarm(port).json()["success"] is True
            # The guard raises in place of connecting, which ends the task.
            deadline_s, told = time.monotonic() + 30, ""
            while time.monotonic() < deadline_s and "not on the allow list" not in told:
                time.sleep(0.1)
                told = requests.get(f"http://127.0.0.1:{port}/exceptions", timeout=20).text
    assert "this host is not on the allow list, got '192.0.2.1'" in told
    assert heard.addresses(b"/items")


def test_plain_locust_refuses_a_host_that_is_not_allowed_before_creating_users():
    """Exit code 2, one line."""
    command = (sys.executable, "-m", "locust", "-f", "locustfiles", "--headless", "-u", "5", "-t", "5s")
    done = subprocess.run(
        [*command, "--host", "http://192.0.2.1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "target: this host is not on the allow list, got '192.0.2.1'" in done.stderr
    assert "Traceback" not in done.stderr
    assert "users spawned" not in done.stderr
