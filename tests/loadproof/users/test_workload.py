"""What users of a process share: connections go only where this process may load."""

from __future__ import annotations

import pytest

from loadproof.errors import UnsafeTargetError
from loadproof.http.messages import ConnectionFailedError, Request, Timing
from loadproof.users.workload import Post


def exchange(base_url: str) -> None:
    work = Post().workload()
    work.connections(work.next_client("health"), base_url).exchange(Request("GET", "/"), Timing())


@pytest.mark.parametrize("base_url", ["http://192.0.2.1:1", "http://127.1:1", ""])
def test_no_connection_is_made_to_a_host_that_nobody_allowed(monkeypatch, base_url):
    """Also where Locust itself was told the host: by its option --host, its web UI's form, or a master's message."""
    monkeypatch.delenv("LOADPROOF_ALLOW_HOSTS", raising=False)
    with pytest.raises(UnsafeTargetError, match="not on the allow list"):
        exchange(base_url)


def test_a_host_that_this_process_may_load_is_connected_to(monkeypatch):
    """By the environment, which is all that a process of Locust's is told of it."""
    monkeypatch.setenv("LOADPROOF_ALLOW_HOSTS", "127.1")
    for base_url in ("http://127.1:1", "http://127.0.0.1:1"):
        with pytest.raises(ConnectionFailedError):
            exchange(base_url)
