"""A target named localhost is reached on whichever address it listens, if the source address allows it."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from loadproof.http.blocking import BlockingConnection
from loadproof.http.connection import Connection
from loadproof.http.messages import ConnectionFailedError, Request, Timing
from loadproof.http.origin import Origin
from loadproof.run.machine.ports import free_port
from tests.commands import in_process, scenario_file
from tests.loadproof.http.connections import OK, PATIENT, made
from tests.servers import answering, read_request, serving

V4, V6 = (socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")
RESOLVED = {"both": [V6, V4], "the other way": [V4, V6], "IPv4": [V4], "IPv6": [V6], "nothing": []}
"""What a machine's hosts file may say about localhost."""
CLIENTS = pytest.mark.parametrize("client", [Connection, BlockingConnection])


def resolving(families: str):
    """getaddrinfo on such a machine."""

    def resolve(host: str, port: int, **_: object) -> list[tuple]:
        assert host == "localhost"
        if not RESOLVED[families]:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(family, socket.SOCK_STREAM, 6, "", (address, port)) for family, address in RESOLVED[families]]

    return resolve


def reached(client, url: str, families: str, **settings: object) -> tuple[Origin, bytes]:
    """The origin, and what a connection receives that looks up the name on such a machine."""
    origin = Origin.of(url)
    origin.addresses(resolving(families))
    made.append(client(origin, PATIENT, **settings))
    return origin, made[-1].exchange(Request("GET", "/"), Timing()).body


@contextmanager
def serving_alone(host: str) -> Iterator[str]:
    """A server on a port that refuses connections on the other family's address: other tests run servers, too."""
    family, other = (socket.AF_INET, "127.0.0.1") if host == "::1" else (socket.AF_INET6, "::1")
    for _ in range(20):
        with serving(answering(OK), host=host) as url, socket.socket(family, socket.SOCK_STREAM) as blocker:
            try:
                blocker.bind((other, int(url.rpartition(":")[2])))
            except OSError:
                continue
            yield url
            return
    pytest.fail("no port is free on both addresses")


@pytest.mark.slow
@CLIENTS
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("families", RESOLVED)
def test_localhost_is_both_addresses_whatever_the_machine_knows(client, host, families):
    """RFC 6761, section 6.3; the address that accepted the connection is tried first the next time."""
    with serving_alone(host) as url:
        origin, body = reached(client, url.replace("127.0.0.1", "localhost").replace("[::1]", "localhost"), families)
    assert body == b"hi"
    assert origin.addresses(resolving(families))[0][1][0] == host
    assert {address[0] for _, address in origin.addresses(resolving(families))} == {"127.0.0.1", "::1"}


@pytest.mark.slow
@CLIENTS
@pytest.mark.parametrize("families", RESOLVED)
def test_a_client_with_its_own_address_uses_ipv4(client, families):
    """IPv6 is not tried from 127.0.0.0/8, so no failure of IPv6 is reported."""
    peers = []

    def script(connection: socket.socket, _: int) -> None:
        peers.append(connection.getpeername()[0])
        read_request(connection)
        connection.sendall(OK)

    with serving(script) as url:
        assert reached(client, url.replace("127.0.0.1", "localhost"), families, source_address="127.5.6.7")[1] == b"hi"
    assert peers == ["127.5.6.7"]


@CLIENTS
@pytest.mark.parametrize("families", RESOLVED)
def test_a_refused_connection_is_reported_as_such(client, families):
    """Also on a machine without IPv6, which is not the reason."""
    with pytest.raises(ConnectionFailedError, match="Connection refused"):
        reached(client, f"http://localhost:{free_port()}", families)


def test_missing_ipv6_is_not_reported_as_the_reason(monkeypatch):
    """Its kernel doesn't support the address family."""
    plain = socket.socket.connect

    def connect(self: socket.socket, address: tuple) -> None:
        if self.family == socket.AF_INET6:
            raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
        plain(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    for families in RESOLVED:
        with pytest.raises(ConnectionFailedError, match="Connection refused"):
            reached(BlockingConnection, f"http://localhost:{free_port()}", families)


@CLIENTS
def test_an_ipv6_address_cannot_be_reached_from_a_clients_own_address(client):
    """The error says so."""
    made.append(client(Origin.of("http://[::1]:1"), PATIENT, source_address="127.5.6.7"))
    with pytest.raises(ConnectionFailedError, match=r"no address that can be reached from a client's address in 127"):
        made[-1].exchange(Request("GET", "/"), Timing())


@pytest.mark.process
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("[::1]", "source addresses are in 127.0.0.0/8, which can't reach IPv6 addresses, got '::1'"),
        ("localhost", "it only listens on ::1, which source addresses in 127.0.0.0/8 can't reach"),
    ],
)
def test_clients_by_address_are_refused_if_they_cannot_reach_the_target(tmp_path, name, told):
    """They would all have the same address, or fail; exit code 2, with the remedy."""
    target = tmp_path / "target.yaml"
    with serving(answering(OK, OK, OK, OK), host="::1") as url:
        target.write_text(f"base_url: {url.replace('[::1]', name)}\n")
        scenario = scenario_file(tmp_path, clients="source-address")
        done = in_process("run", scenario, "--target", target, "--out", tmp_path / "out")
    assert done.returncode == 2, done.stdout
    assert told in " ".join(done.stderr.split())
    assert "`clients: shared`" in done.stderr
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
