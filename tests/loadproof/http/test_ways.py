"""How a target is reached: trusted authorities, client certificates, server names and proxies."""

from __future__ import annotations

import base64
import ssl

import pytest

from loadproof.http.blocking import BlockingConnection
from loadproof.http.client import ClientConnections
from loadproof.http.connection import Connection
from loadproof.http.messages import ConnectionFailedError, Request, RequestTimeoutError, RequestTimeouts, Timing
from loadproof.http.origin import Origin, Way
from loadproof.http.proxy import Proxy
from loadproof.http.tls import Trust
from loadproof.internals.standard import core_of
from loadproof.run.machine.ports import free_port
from tests import proxies
from tests.loadproof.http.connections import OK, PATIENT, made
from tests.loadproof.http.tls import new_certificate, server_context, untrusted_serving
from tests.servers import answering, read_request, serving

pytestmark = pytest.mark.process

GET = Request("GET", "/x")
CREDENTIAL = f"Basic {base64.b64encode(b'ada:c4nary').decode()}"


@pytest.fixture(params=[Connection, BlockingConnection])
def asked(request):
    """What a request receives, by either kind of connection."""

    def ask(url: str, way: Way, times: int = 1, timeouts: RequestTimeouts = PATIENT) -> bytes:
        made.append(request.param(Origin.of(url, way), timeouts))
        return b"".join(made[-1].exchange(GET, Timing()).body for _ in range(times))

    return ask


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A certificate of another authority, for another host."""
    return new_certificate(tmp_path_factory.mktemp("other"), "api.example.test")


def trusting(certificate, **settings) -> Way:
    return Way(Trust(f"{certificate}.crt", **settings))


def test_the_authorities_of_the_target_file_are_used(asked, certificate, other):
    """A server that another authority vouches for is refused, and the error blames the certificate."""
    with untrusted_serving(certificate, answering(OK)) as url:
        assert asked(url, trusting(certificate)) == b"hi"
        with pytest.raises(ConnectionFailedError, match=r"TLS: CERTIFICATE_VERIFY_FAILED \(self-signed certificate\)"):
            asked(url, trusting(other))


def test_any_certificate_is_accepted_if_none_is_verified(asked, certificate):
    """Even one for another name."""
    with untrusted_serving(certificate, answering(OK)) as url:
        assert asked(url.replace("localhost", "127.0.0.1"), Way(Trust(verify=False))) == b"hi"


def test_a_server_that_wants_a_client_certificate_gets_it(asked, certificate, other, tmp_path):
    """From two files or from one."""
    both = tmp_path / "both.pem"
    both.write_bytes(other.read_bytes() + other.with_name("pem.crt").read_bytes())
    with untrusted_serving(certificate, answering(OK), server_context(certificate, clients=other)) as url:
        ours = trusting(certificate, client_certificate=f"{other}.crt", client_key=str(other))
        assert asked(url, ours) == b"hi"
        assert asked(url, trusting(certificate, client_certificate=str(both))) == b"hi"


def test_a_missing_client_certificate_is_reported_as_missing(asked, certificate, other):
    """From the server's alert, which in TLS 1.3 comes after the handshake."""
    with (
        untrusted_serving(certificate, answering(OK), server_context(certificate, clients=other)) as url,
        pytest.raises(ConnectionFailedError, match="TLS: TLSV13_ALERT_CERTIFICATE_REQUIRED"),
    ):
        asked(url, trusting(certificate))


def test_the_name_that_is_requested_is_the_one_that_is_verified(asked, other):
    """The server picks its certificate by that name; the address and the Host header don't matter."""
    names = []
    context = server_context(other)
    context.sni_callback = lambda _, name, __: names.append(name)
    with untrusted_serving(other, answering(OK), context) as url:
        assert asked(url, trusting(other, server_name="api.example.test")) == b"hi"
        with pytest.raises(ConnectionFailedError, match="Hostname mismatch, certificate is not valid for 'localhost'"):
            asked(url, trusting(other))
    assert names == ["api.example.test", "localhost"]


def test_a_proxy_gets_the_whole_address_and_the_credentials(asked):
    """Over one connection for several requests; the target gets the path, and no credentials."""
    heard = []

    def script(connection, _):
        heard.append(read_request(connection))
        connection.sendall(OK)

    proxy = proxies.Proxy(CREDENTIAL)
    with serving(script) as url, serving(proxy.script) as proxy_url:
        assert asked(url, through(proxy_url, CREDENTIAL), times=2) == b"hihi"
        authority = url.removeprefix("http://")
        sent = f"GET {url}/x HTTP/1.1\r\nHost: {authority}\r\nProxy-Authorization: {CREDENTIAL}"
    assert proxy.heads == [sent, sent]
    assert heard == [f"GET /x HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode()] * 2


def test_https_goes_through_a_tunnel(asked, certificate):
    """The proxy gets the credentials and the name to resolve, but can't read the requests."""
    proxy, heard = proxies.Proxy(CREDENTIAL), []

    def script(connection, _):
        while request := read_request(connection):
            heard.append(request)
            connection.sendall(OK)

    with untrusted_serving(certificate, script) as url, serving(proxy.script) as proxy_url:
        way = Way(Trust(f"{certificate}.crt"), through(proxy_url, CREDENTIAL).proxy)
        assert asked(url, way, times=2) == b"hihi"
        authority = url.removeprefix("https://")
    assert proxy.heads == [f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\nProxy-Authorization: {CREDENTIAL}"]
    assert heard == [f"GET /x HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode()] * 2


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (proxies.UNAUTHORIZED, "answers CONNECT with 407"),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nno!", "answers CONNECT with 502"),
        (b"HTTP/1.1 200 OK\r\n\r\nwelcome", "sends something of its own through the tunnel"),
        (b"SSH-2.0-x\r\n", "its answer to CONNECT: not HTTP: it does not begin with a status line of HTTP/1"),
        (b"", "its answer to CONNECT: closed without an answer"),
    ],
)
def test_a_tunnel_that_is_not_opened_is_reported_as_the_proxys_failure(asked, answer, why):
    """And nothing is sent to the target."""
    with serving(answering(answer)) as proxy_url, pytest.raises(ConnectionFailedError) as caught:
        asked("https://localhost:1", through(proxy_url, CREDENTIAL))
    assert str(caught.value) == f"the proxy {proxy_url.removeprefix('http://')}: {why}"
    assert CREDENTIAL not in repr(through(proxy_url, CREDENTIAL))


def test_a_missing_proxy_is_reported_as_the_proxys_failure(asked):
    """For both kinds of target."""
    proxy_url = f"http://127.0.0.1:{free_port()}"
    for url in ("http://localhost:1", "https://localhost:1"):
        with pytest.raises(ConnectionFailedError, match=r"the proxy 127.0.0.1:\d+: Connection refused"):
            asked(url, through(proxy_url))


def test_a_silent_proxy_is_limited_by_the_connect_timeout(asked):
    """It doesn't wait for ever."""
    with (
        serving(lambda connection, _: connection.recv(1000) and connection.recv(1000)) as proxy_url,
        pytest.raises(RequestTimeoutError, match=r"no connection within 0\.2 s"),
    ):
        asked("https://localhost:1", through(proxy_url), timeouts=RequestTimeouts(0.2, 5.0))


def through(proxy_url: str, authorization: str | None = None) -> Way:
    host, _, port = proxy_url.removeprefix("http://").rpartition(":")
    return Way(proxy=Proxy(host, int(port), authorization))


@pytest.mark.parametrize(("place", "status"), [("api.example.test", 200), ("other.example.test", 302)])
def test_redirects_to_the_requested_host_name_are_followed(place, status):
    """They are followed, to the address where requests go anyway; others are answers."""
    redirect = f"HTTP/1.1 302 Found\r\nLocation: http://{place}/there\r\nContent-Length: 0\r\n\r\n".encode()
    request = Request("GET", "/", {"host": "api.example.test"}, follow_redirects=True)
    with serving(answering(redirect, OK)) as url:
        client = ClientConnections(lambda: made[-1])
        made.append(Connection(Origin.of(url), PATIENT))
        assert client.exchange(request, Timing()).status == status


def test_the_standard_librarys_private_part_has_what_we_use():
    """The public one is used instead if the private one is missing."""
    tls = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost")
    assert core_of(tls) is not tls
    assert {"read", "write"} <= set(dir(core_of(tls)))

    class Public:
        """Like an `ssl.SSLObject` without its private part."""

    public = Public()
    assert core_of(public) is public
