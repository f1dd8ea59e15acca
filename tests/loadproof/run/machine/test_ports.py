"""Ports for programs that bind them a moment later."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from loadproof.run.machine import ports

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


@pytest.mark.skipif(not RANGE.exists(), reason="Linux says here which ports outgoing connections get")
def test_a_free_port_is_outside_the_range_of_outgoing_connections():
    """Otherwise, a test that runs beside a load could find it taken."""
    lowest = int(RANGE.read_text().split()[0])
    assert all(ports.free_port() < lowest for _ in range(20))


def test_a_free_port_can_be_bound():
    """Each of many, while the others are in use."""
    with ExitStack() as held:
        for _ in range(50):
            held.enter_context(socket.create_server((ports.LOOPBACK, ports.free_port())))


@pytest.mark.parametrize("told", ["1024\t65535\n", None])
def test_without_a_known_range_the_system_chooses_a_free_port(told, tmp_path, monkeypatch):
    """If outgoing connections may use any port, or on other systems than Linux."""
    if told:
        (tmp_path / "range").write_text(told)
    monkeypatch.setattr(ports, "_OUTGOING", tmp_path / "range")
    socket.create_server((ports.LOOPBACK, ports.free_port())).close()
