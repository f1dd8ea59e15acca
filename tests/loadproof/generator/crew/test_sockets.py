"""Locust's own sockets with our keys: holders of the secret communicate, and nobody else gets a byte through."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import gevent
import pytest
import zmq.green
from zmq.utils import z85

from tests.unpatched import locust  # isort: skip # noqa: F401

from locust.rpc import zmqrpc
from locust.rpc.protocol import Message

from loadproof import variables
from loadproof.generator.crew.sockets import SocketKeys, key_pair, watch_strangers
from loadproof.internals.locust import prepare_sockets

SECRET = "5" * 64


class Master:
    """Locust's server, with what it received and the number of strangers it refused."""

    def __init__(self) -> None:
        self.server = zmqrpc.Server("127.0.0.1", 0)
        self.received: list[str] = []
        self.strangers = 0
        watch_strangers(self.server.socket, self._count)
        self._reader = gevent.spawn(self._read)

    def _count(self) -> None:
        self.strangers += 1

    def _read(self) -> None:
        while True:
            self.received.append(self.server.recv_from_client()[1].type)

    def close(self) -> None:
        self._reader.kill()
        closed(self.server.socket)


def keys(monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    """Give this secret to sockets created from here on."""
    monkeypatch.setenv(variables.SECRET, secret)
    monkeypatch.setattr(zmqrpc.BaseSocket, "__init__", ORIGINAL)
    prepare_sockets(SocketKeys().prepare)


ORIGINAL = zmqrpc.BaseSocket.__init__


@pytest.fixture
def master(monkeypatch) -> Iterator[Master]:
    keys(monkeypatch, SECRET)
    master = Master()
    yield master
    master.close()


def closed(socket: Any) -> None:
    """Close a socket with everything that belongs to it."""
    socket.close(linger=0)
    gevent.sleep(0.05)
    socket.context.destroy(linger=0)


def send(plain: Any) -> None:
    """Send something that Locust would accept, without blocking: a socket already refused would wait forever."""
    with suppress(zmq.Again):
        plain.send(Message("client_ready", "2.47.0", "stranger").serialize(), zmq.NOBLOCK)


def eventually(look) -> None:
    with gevent.Timeout(10):
        while not look():
            gevent.sleep(0.01)


def test_a_holder_of_the_secret_is_heard(master):
    """And no connection was refused."""
    client = zmqrpc.Client("127.0.0.1", master.server.port, "worker")
    client.send(Message("client_ready", "2.47.0", "worker"))
    eventually(lambda: master.received == ["client_ready"])
    assert master.strangers == 0
    closed(client.socket)


def test_a_plain_socket_and_garbage_are_not_heard(master):
    """The former sends what plain Locust would have accepted, the latter bytes of no protocol."""
    plain = zmq.green.Context().socket(zmq.DEALER)
    plain.connect(f"tcp://127.0.0.1:{master.server.port}")
    send(plain)
    with socket.create_connection(("127.0.0.1", master.server.port)) as raw:
        raw.sendall(b"\xff" * 1000)
        eventually(lambda: master.strangers > 0)
    closed(plain)
    assert master.received == []


def test_a_peer_that_hangs_up_during_the_greeting_counts_as_refused_too(master):
    """A plain socket does so if it is the first to see that the greetings don't match."""
    socket.create_connection(("127.0.0.1", master.server.port)).close()
    eventually(lambda: master.strangers > 0)


@pytest.mark.parametrize(
    "server_key",
    [key_pair("x" * 64, "master")[0], key_pair(SECRET, "worker")[0]],
    ids=["of another secret", "of a worker"],
)
def test_a_peer_with_the_wrong_key_of_the_master_is_not_heard(master, server_key):
    """Derived from another secret, or a worker's; with its own key pair."""
    client = zmq.green.Context().socket(zmq.DEALER)
    client.curve_serverkey = server_key
    client.curve_publickey, client.curve_secretkey = zmq.curve_keypair()
    client.connect(f"tcp://127.0.0.1:{master.server.port}")
    send(client)
    eventually(lambda: master.strangers > 0)
    closed(client)
    assert master.received == []


def test_the_masters_public_key_and_the_messages_are_not_on_the_wire(master):
    """An eavesdropper learns neither: the key is as good as the secret."""
    seen = bytearray()
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while chunk := source.recv(65536):
                seen.extend(chunk)
                sink.sendall(chunk)
            sink.shutdown(socket.SHUT_WR)

    def relay() -> None:
        near, _ = listener.accept()
        with near, socket.create_connection(("127.0.0.1", master.server.port)) as far:
            back = threading.Thread(target=pump, args=(far, near))
            back.start()
            pump(near, far)
            back.join(5)

    relaying = threading.Thread(target=relay)
    relaying.start()
    client = zmqrpc.Client("127.0.0.1", listener.getsockname()[1], "worker")
    client.send(Message("a-kind-of-message", None, "worker"))
    eventually(lambda: master.received)
    closed(client.socket)
    listener.close()
    relaying.join(5)
    public = key_pair(SECRET, "master")[0]
    assert b"CURVE" in seen
    for hidden in (public, z85.decode(public), SECRET.encode(), b"a-kind-of-message"):
        assert hidden not in seen


def test_without_a_secret_no_socket_is_created(monkeypatch):
    """Rather talk to nobody than to everybody."""
    monkeypatch.delenv(variables.SECRET, raising=False)
    with pytest.raises(SystemExit, match="no secret"):
        SocketKeys().prepare(None)


def test_the_secret_is_removed_from_the_environment(monkeypatch):
    """Neither users' own code nor variables in a target file can read it there."""
    monkeypatch.setenv(variables.SECRET, SECRET)
    SocketKeys()
    with pytest.raises(KeyError):
        monkeypatch.delenv(variables.SECRET)


def test_keys_differ_by_role_and_secret():
    """And are the same each time."""
    made = [key_pair(secret, role) for secret in ("a", "b") for role in ("master", "worker")]
    assert len({key for pair in made for key in pair}) == 8
    assert made[0] == key_pair("a", "master")
