"""Other entry points than `loadproof run`: plain Locust, and its web UI, with the same users."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
import requests

from drills.target import running_target
from loadproof.run.machine.ports import free_port
from tests.commands import GENERATOR, ROOT, Background

pytestmark = pytest.mark.process


@pytest.mark.long
def test_plain_locust_runs_the_same_users():
    """`locust -f locustfiles` needs nothing else of ours."""
    command = (sys.executable, "-m", "locust", "-f", "locustfiles", "--headless", "-u", "20", "-r", "20", "-t", "6s")
    with running_target(LIMITER="off", ACCOUNTS="1000") as target:
        done = subprocess.run(
            [*command, "--host", target.url, "--json"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    stats = json.loads(done.stdout)
    assert {"balance", "health"} <= {entry["name"] for entry in stats}, done.stderr
    assert sum(entry["num_failures"] for entry in stats) == 0, done.stderr


@pytest.mark.long
def test_the_web_ui_is_served_until_ctrl_c():
    """With the same users; both children end with it."""
    port = free_port()
    run = Background("ui", "--port", port)
    run.child(GENERATOR)
    assert "Locust" in run.eventually(lambda: page_of(f"http://127.0.0.1:{port}/"))
    assert run.signalled(signal.SIGINT) == 0
    assert run.survivors() == []
    assert page_of(f"http://127.0.0.1:{port}/") is None


def page_of(url: str) -> str | None:
    try:
        return requests.get(url, timeout=5).text
    except requests.ConnectionError:
        return None
