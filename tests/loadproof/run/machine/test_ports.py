"""Ports: free ones for programs that bind them a moment later; one in use is reported before anything starts."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from loadproof.run.machine import ports
from tests.loadproof.cli.refusals import refused

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
SECRET = "5" * 64


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


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_port_in_use_is_refused_with_the_reason(taken, tmp_path):
    """Of the master, of its web UI, of both at once, and of the web UI alone; there is no run directory."""
    run = ("run", "scenarios/smoke.yaml", "--out", tmp_path / "reports")
    why = f"can't listen there: Address already in use, got '127.0.0.1:{taken}'; free it, or give another one\n"
    listen = ("--listen", f"127.0.0.1:{taken}")
    assert refused(*run, *listen, LOADPROOF_SECRET=SECRET) == f"--listen: {why}"
    assert refused(*run, "--ui-port", taken) == f"--ui-port: {why}"
    both = refused(*run, *listen, "--ui-port", taken, LOADPROOF_SECRET=SECRET)
    assert both == f"--listen: {why}--ui-port: {why}"
    assert refused("ui", "--port", taken) == f"--port: {why}"
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize(
    ("host", "reason"), [("192.0.2.1", "Cannot assign requested address"), ("no.such.host.invalid", "")]
)
def test_an_address_of_another_machine_is_refused(host, reason):
    """With the system's reason."""
    text = refused("run", "scenarios/smoke.yaml", "--listen", f"{host}:5557", LOADPROOF_SECRET=SECRET)
    assert text.startswith(f"--listen: can't listen there: {reason}")
    assert text.count("\n") == 1
