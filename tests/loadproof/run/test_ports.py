"""Ports for programs that bind them a moment later."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from loadproof.run import ports

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


@pytest.mark.skipif(not RANGE.exists(), reason="Linux says here which ports outgoing connections get")
def test_a_free_port_is_none_that_an_outgoing_connection_may_get():
    """Else a test beside a load finds it taken."""
    lowest = int(RANGE.read_text().split()[0])
    assert all(ports.free_port() < lowest for _ in range(20))


def test_a_free_port_can_be_bound():
    """Each of many, while the others are held."""
    with ExitStack() as held:
        for _ in range(50):
            held.enter_context(socket.create_server((ports.LOOPBACK, ports.free_port())))


@pytest.mark.parametrize("told", ["1024\t65535\n", None])
def test_where_outgoing_connections_may_get_any_port_it_is_still_a_free_one(told, tmp_path, monkeypatch):
    """The system's choice; elsewhere than on Linux, too."""
    if told:
        (tmp_path / "range").write_text(told)
    monkeypatch.setattr(ports, "_OUTGOING", tmp_path / "range")
    socket.create_server((ports.LOOPBACK, ports.free_port())).close()
