"""The client by itself: what it refuses by name, which hosts it sends to, and what it measures."""

from __future__ import annotations

import contextlib
import socket
import ssl

import gevent
import pytest
import requests
import urllib3
from gevent.pool import Group
from requests.adapters import HTTPAdapter

from tests import unpatched
from tests.loadproof.http.tls import new_certificate, server_context, tls_serving, untrusted_serving
from tests.loadproof.httpuser.noting import noting
from tests.servers import answering, read_request, serving

from loadproof.errors import UnsafeTargetError  # isort: skip
from loadproof.generator.plainlocust.heard import outcome_of  # isort: skip
from loadproof.outcome import Outcome  # isort: skip
from loadproof.http.bodies import MAX_BODY_BYTES  # isort: skip
from loadproof.http.messages import UnreadAnswerError  # isort: skip
from loadproof.httpuser.unsupported import UNSUPPORTED, NotSupportedError  # isort: skip
from loadproof.httpuser.user import HttpUser  # isort: skip
from loadproof.users.entrance import guard  # isort: skip
from locust import task  # isort: skip
from locust.env import Environment  # isort: skip
from locust.exception import StopTest, StopUser  # isort: skip
from urllib3 import PoolManager, Timeout  # isort: skip

pytestmark = pytest.mark.process
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def user_of(host: str | None, **attributes: object) -> HttpUser:
    return type("Website", (HttpUser,), {"host": host, **attributes})(Environment())


@pytest.fixture
def events():
    """The events fired by `client`."""
    return []


@pytest.fixture
def client(events):
    with noting() as server:
        user = user_of(server.url)
        user.environment.events.request.add_listener(lambda **event: events.append(event))
        user.client.server = server
        yield user.client
        user.client.close()


def changed(client: object, name: str, value: object) -> None:
    setattr(client, name, value)


REFUSED = {
    "client.request(proxies=…)": lambda client: client.get("/", proxies={"http": "http://127.0.0.1:1"}),
    "client.proxies": lambda client: changed(client, "proxies", {"http": "http://127.0.0.1:1"}),
    "client.trust_env": lambda client: changed(client, "trust_env", True),
    "client.mount(…)": lambda client: client.mount("http://", HTTPAdapter(max_retries=3)),
    "client.request(timeout=urllib3.Timeout(…))": lambda client: client.get("/", timeout=Timeout(1)),
    "HttpUser.pool_manager": lambda client: user_of(client.base_url, pool_manager=PoolManager()),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_unsupported_features_raise_when_used(client, name):
    """With what to do instead; nothing is sent."""
    with pytest.raises(NotSupportedError) as refused:
        REFUSED[name](client)
    assert str(refused.value) == f"{name} is not supported by loadproof.HttpUser: {UNSUPPORTED[name]}"
    assert client.server.requests == []


def test_proxies_added_to_the_dict_are_refused_too(client):
    """It is requests' own dict, which doesn't report changes."""
    client.proxies["http"] = "http://127.0.0.1:1"
    with pytest.raises(NotSupportedError, match=r"^client\.proxies "):
        client.get("/")


@pytest.mark.parametrize("options", [{}, {"cookies": {"a": "b"}}], ids=["short way", "by requests"])
@pytest.mark.parametrize("url", ["http://192.0.2.1/x", "HTTPS://192.0.2.1/x", "http://127.0.0.1@192.0.2.1/"])
def test_a_host_that_is_not_allowed_gets_nothing(client, events, options, url):
    """Neither a packet nor an entry in the statistics."""
    with pytest.raises(UnsafeTargetError, match=r"192\.0\.2\.1"):
        client.get(url, **options)
    assert events == []


def test_a_user_whose_host_is_not_allowed_sends_nothing():
    """Whoever set it: the guard at Locust's start doesn't see what a locustfile sets later."""
    with pytest.raises(UnsafeTargetError, match=r"192\.0\.2\.1"):
        user_of("http://192.0.2.1").client.get("/")


def test_importing_httpuser_installs_the_guard():
    """Before Locust creates users; it checks `--host` and the web UI's form."""
    assert unpatched.locust.events.init._handlers.count(guard) == 1


@pytest.mark.parametrize("more", [{}, {"cookies": requests.cookies.RequestsCookieJar()}], ids=["short", "by requests"])
def test_https_follows_verify_and_cert_of_the_request_or_session(tmp_path, more):
    """As in requests: no verification, a file of authorities, a client certificate; http needs none of it."""
    pem = new_certificate(tmp_path)
    authority = f"{pem}.crt"
    mutual = server_context(pem)
    mutual.load_verify_locations(authority)
    mutual.verify_mode = ssl.CERT_REQUIRED
    with untrusted_serving(pem, answering(OK, OK, OK)) as url, untrusted_serving(pem, answering(OK), mutual) as asking:
        client = user_of(url).client
        assert isinstance(client.get("/", **more).error, requests.exceptions.SSLError)
        assert client.get("/", verify=False, **more).text == "hi"
        client.verify = authority
        assert client.get("/", **more).text == "hi"
        assert isinstance(client.get("/", verify=True, **more).error, requests.exceptions.SSLError)
        assert client.get(asking, **more).status_code == 0
        assert client.get(asking, cert=(authority, str(pem)), **more).text == "hi"
        with pytest.raises(OSError, match="No such file"):
            client.get("/", verify=str(tmp_path / "gone.pem"), **more)
        client.close()


@pytest.mark.parametrize("options", [{}, {"cookies": {"a": "b"}}], ids=["short way", "by requests"])
def test_https_is_verified(tmp_path, options):
    """As in Locust, nothing is sent to a server whose certificate isn't trusted."""
    received = []

    def script(connection, _):
        received.append(read_request(connection))
        connection.sendall(OK)

    with tls_serving(new_certificate(tmp_path), script) as url:
        trusting = user_of(url).client
        assert trusting.get("/", **options).text == "hi"
        failures = []
        for base in (HttpUser, unpatched.locust.HttpUser):
            user = type("Website", (base,), {"host": url.replace("localhost", "127.0.0.1")})(Environment())
            user.environment.events.request.add_listener(lambda exception, **_: failures.append(type(exception)))
            assert isinstance(user.client.get("/", **options).error, requests.exceptions.SSLError)
            user.client.close()
    assert len(received) == 1
    assert failures == [urllib3.exceptions.SSLError] * 2
    trusting.close()


def test_a_redirect_to_a_host_that_is_not_allowed_is_a_failed_request(events):
    """The request that was sent counts."""
    away = b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n"
    with serving(answering(away)) as url:
        user = user_of(url)
        user.environment.events.request.add_listener(lambda **event: events.append(event))
        response = user.client.get("/")
        user.client.close()
    assert (response.status_code, type(response.error)) == (0, requests.exceptions.ConnectionError)
    assert isinstance(events[0]["exception"], UnsafeTargetError)


def test_a_body_that_is_too_long_is_a_failed_request(client, events):
    """It is read to its end, but not kept."""
    body = b"x" * (MAX_BODY_BYTES + 1)
    with serving(answering(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)) as url:
        assert client.get(url + "/").status_code == 0
    assert isinstance(events[0]["exception"], UnreadAnswerError)


def test_response_times_are_the_transports(client, events):
    """From sending to the last byte, or to the first if streamed; including the wait for the server."""
    client.get("/drip")
    client.get("/drip", stream=True)
    client.get("/slow", cookies={"a": "b"})
    whole, first, slow = (event["response_time"] for event in events)
    assert first < 1500 < whole
    assert slow >= 250
    assert events[0]["response"].elapsed.total_seconds() < 1.5


def test_a_redirected_request_takes_as_long_as_all_its_steps(client, events):
    """Under the name of the first one."""
    client.get("/302")
    response = events[0]["response"]
    between = response.timing.began_s - response.history[0].timing.ended_s
    assert between >= 0
    assert events[0]["response_time"] >= 1000 * (response.timing.ended_s - response.history[0].timing.began_s) - 0.001


def test_a_read_timeout_counts_from_byte_to_byte(client):
    """As in requests: a drip over 2 s doesn't exceed 1.5 s; a server that stops does."""
    assert client.get("/drip", timeout=1.5).ok
    error = client.get("/slow", timeout=0.1).error
    assert isinstance(error, requests.exceptions.ReadTimeout)


def test_a_connect_timeout_is_the_same_as_in_locust(client):
    """To a server whose backlog is full."""
    told = []
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as waiting:
        for _ in range(4):
            connection = waiting.enter_context(socket.socket())
            connection.setblocking(False)
            connection.connect_ex(full.getsockname())
        for base in (HttpUser, unpatched.locust.HttpUser):
            user = type("Website", (base,), {"host": f"http://127.0.0.1:{full.getsockname()[1]}"})(Environment())
            user.environment.events.request.add_listener(
                lambda response, exception, **_: told.append((type(exception), outcome_of(response, exception)))
            )
            assert isinstance(user.client.get("/", timeout=(0.2, 5)).error, requests.exceptions.ConnectTimeout)
    assert told == [(urllib3.exceptions.ConnectTimeoutError, Outcome.TIMEOUT)] * 2


def test_connections_are_kept_and_closed_with_their_user():
    """Two requests, one connection; when the user's greenlet ends, the server sees it close."""
    ends = []

    def script(connection, number):
        answering(OK, OK, then_close=False)(connection, number)
        ends.append(number)

    class Website(HttpUser):
        @task
        def twice(self):
            self.client.get("/")
            self.client.get("/x")
            raise StopUser

    with serving(script) as url:
        Website.host = url
        user = Website(Environment())
        user.start(Group()).join(10)
        for _ in range(500):
            if ends:
                break
            gevent.sleep(0.01)
    assert ends == [0]


def test_concurrent_requests_have_separate_connections(client):
    """From greenlets that a locustfile spawns."""
    slow, fast = gevent.spawn(client.get, "/slow"), gevent.spawn(client.get, "/json")
    gevent.joinall([slow, fast], timeout=10)
    assert (slow.value.error, slow.value.status_code, fast.value.json()["a"][0]) == (None, 200, 1)


def test_caches_are_bounded(client):
    """However many URLs a user requests."""
    for number in range(200):
        client.get(f"/item/{number}", headers={"X-Id": str(number)})
    writer = client._writer
    assert len(writer.forms) <= 64
    assert len(writer._commons) <= 64


def test_an_expired_cookie_is_not_sent(client, monkeypatch):
    """Even with a request that has been encoded before."""
    client.cookies.set("short", "1", expires=2_000_000_000)
    sent = [client.get("/").request.headers.get("Cookie")]
    monkeypatch.setattr("time.time", lambda: 2_000_000_001.0)
    sent.append(client.get("/").request.headers.get("Cookie"))
    assert sent == ["short=1", None]


def test_a_user_needs_a_host():
    """As in Locust."""
    with pytest.raises(StopTest, match="host"):
        user_of(None)


def test_it_is_a_locust_user_and_its_responses_are_requests_responses(client):
    """For plugins and listeners that check types."""
    assert issubclass(HttpUser, unpatched.locust.HttpUser)
    response = client.get("/")
    assert isinstance(response, requests.Response)
