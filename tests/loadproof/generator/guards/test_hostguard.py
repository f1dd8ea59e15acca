"""Connections of users' own code stay within the hosts that this process may load."""

from __future__ import annotations

from tests.unpatched import locust  # isort: skip # noqa: F401 - before what it patches

import contextlib
import os
import socket
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import gevent.socket
import pytest
import requests
from urllib3 import ProxyManager

from loadproof.errors import UnsafeTargetError
from loadproof.generator.guards.hostguard import HostGuard
from loadproof.http.origin import Origin, Way
from loadproof.http.proxy import Proxy
from loadproof.http.tls import SYSTEM
from loadproof.httpuser import terms


@pytest.fixture(autouse=True)
def guard(monkeypatch):
    """A guard in this process, for one test."""
    for module in (socket, gevent.socket):
        monkeypatch.setattr(module, "getaddrinfo", module.getaddrinfo)
    for cls in (socket.socket, gevent.socket.socket):
        for name in ("connect", "connect_ex", "send", "sendall", "sendto", "sendmsg"):
            monkeypatch.setattr(cls, name, getattr(cls, name))
    monkeypatch.setattr(ProxyManager, "connection_from_host", ProxyManager.connection_from_host)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:3128")
    monkeypatch.setenv("LOADPROOF_ALLOW_HOSTS", "named.example")
    installed = HostGuard()
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *_: [(2, 1, 6, "", (_address_of(host), 80))])
    installed.install()
    return installed


def _address_of(host):
    if host.startswith("local"):
        return "127.0.0.1"
    return host if host.startswith("192.") else f"192.0.2.{len(host)}"


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def test_loopback_can_be_reached(listener):
    """By any of its names for this machine."""
    port = listener.getsockname()[1]
    for host in ("127.0.0.1", "0.0.0.0", ""):
        with socket.socket() as connecting:
            connecting.connect((host, port))
    with socket.socket() as connecting:
        assert connecting.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("method", ["connect", "connect_ex", "sendto", "sendmsg"])
@pytest.mark.parametrize("host", ["192.0.2.1", "somebody.example"])
def test_another_host_is_refused_before_a_packet_is_sent(host, method):
    """An address or a name, by TCP or UDP."""
    before = {"sendto": [b"x"], "sendmsg": [[b"x"], [], 0]}
    arguments = [*before.get(method, []), (host, 9)]
    with socket.socket(type=socket.SOCK_DGRAM) as connecting, pytest.raises(UnsafeTargetError, match="allow list"):
        getattr(connecting, method)(*arguments)


def test_an_ipv6_address_is_refused_too():
    """Also one that stands for an IPv4 address."""
    with socket.socket(socket.AF_INET6) as connecting:
        for host in ("2001:db8::1", "::ffff:192.0.2.1"):
            with pytest.raises(UnsafeTargetError):
                connecting.connect((host, 9))


def test_an_allowed_hosts_addresses_are_allowed_once_resolved(guard):
    """Those of other names are not."""
    socket.getaddrinfo("named.example", 80)
    socket.getaddrinfo("other.example.org", 80)
    guard._check("192.0.2.13")
    with pytest.raises(UnsafeTargetError):
        guard._check("192.0.2.17")


def test_an_address_shared_with_an_allowed_host_allows_no_other_host():
    """Such as a load balancer's; code that uses the address itself must have got it from the allowed host."""
    socket.getaddrinfo("named.example", 80)
    for other in ("other.example", "OTHER.example"):
        with pytest.raises(UnsafeTargetError, match=other):
            socket.getaddrinfo(other, 80)
    socket.getaddrinfo("192.0.2.13", 80)
    for own in ("", "localhost", "local.example"):
        socket.getaddrinfo(own, 80)


def test_gevents_sockets_and_pythons_are_both_checked():
    """Threads in gevent's pool use Python's."""
    for cls in (socket.socket, gevent.socket.socket):
        with cls(type=socket.SOCK_DGRAM) as connecting, pytest.raises(UnsafeTargetError):
            connecting.connect(("192.0.2.1", 9))


def test_a_proxy_in_the_environment_is_not_used():
    """Only the connection to it would be seen, not where it leads."""
    assert not [name for name in os.environ if name.lower().endswith("_proxy") and name.lower() != "no_proxy"]


def test_unix_sockets_are_not_checked(tmp_path):
    """Their address is a path."""
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as connecting:
        listening.bind(str(tmp_path / "s"))
        listening.listen()
        connecting.connect(str(tmp_path / "s"))


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_not_in_the_target_file_gets_nothing(listener, scheme):
    """On loopback, too: neither the target's load, which it would slow down, nor another host's."""
    port = listener.getsockname()[1]
    listener.settimeout(0)
    proxies = {scheme: f"http://u:p4ss@127.0.0.1:{port}"}
    with pytest.raises(
        UnsafeTargetError, match=rf"its own proxy .* got '127\.0\.0\.1:{port}'; name it as `proxy`"
    ) as refused:
        requests.get(f"{scheme}://127.0.0.1:9/a", proxies=proxies, timeout=1)
    assert "p4ss" not in str(refused.value)
    with pytest.raises(UnsafeTargetError, match=r"not on the allow list, got 'somebody\.example'"):
        requests.get(f"{scheme}://somebody.example/a", proxies=proxies, timeout=1)
    with pytest.raises(BlockingIOError):
        listener.accept()


def by_urllib(url: str, port: int) -> None:
    """The standard library's client, with a proxy from the locustfile."""
    proxy = dict.fromkeys(("http", "https"), f"http://127.0.0.1:{port}")
    try:
        urllib.request.build_opener(urllib.request.ProxyHandler(proxy)).open(url, timeout=1)
    except urllib.error.URLError as error:
        raise error.reason from None


def by_send(url: str, port: int) -> None:
    """As asyncio's clients do, including aiohttp and httpx."""
    with socket.socket() as connection:
        connection.connect(("127.0.0.1", port))
        connection.send(f"GET {url} HTTP/1.1\r\nHost: x\r\n\r\n".encode())


def by_socks(url: str, port: int) -> None:
    """A host name, as PySocks sends it."""
    host = (urlsplit(url).hostname or "").encode()
    with socket.socket() as connection:
        connection.connect(("127.0.0.1", port))
        connection.sendall(b"\x05\x01\x00")
        connection.sendall(b"\x05\x01\x00\x03" + bytes([len(host)]) + host + b"\x00\x50")


@pytest.mark.parametrize("ask", [by_urllib, by_send, by_socks])
def test_no_other_client_reaches_a_host_through_its_own_proxy(monkeypatch, listener, ask):
    """Detected by what it sends: the connection itself only goes to this machine."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, *_, **__: [(2, 1, 6, "", (host, port))])
    with pytest.raises(UnsafeTargetError, match=r"not on the allow list, got 'somebody\.example'"):
        ask("http://somebody.example/a", listener.getsockname()[1])
    listener.settimeout(1)
    connection, _ = listener.accept()
    connection.settimeout(0.2)
    with connection, contextlib.suppress(TimeoutError):
        assert b"somebody" not in connection.recv(1000)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/a", "http://named.example/a", "/a?to=http://somebody.example"])
def test_allowed_hosts_may_be_requested_in_any_form(listener, url):
    """Servers also have to understand the absolute form."""
    by_send(url, listener.getsockname()[1])


def test_the_proxy_of_the_target_file_is_used(monkeypatch):
    """However the locustfile names it, and for any allowed host."""
    way = Way(SYSTEM, Proxy("127.0.0.1", 3128))
    monkeypatch.setattr(terms.THIS_PROCESS, "ask", lambda: terms.Terms(Origin.of("http://127.0.0.1:9", way), {}))
    for host in ("127.0.0.1", "named.example"):
        pool = ProxyManager("http://u:p4ss@127.0.0.1:3128").connection_from_host(host, 9)
        assert (pool.host, pool.port) == ("127.0.0.1", 3128)
    with pytest.raises(UnsafeTargetError, match="its own proxy"):
        ProxyManager("http://127.0.0.1:3129").connection_from_host("127.0.0.1", 9)
