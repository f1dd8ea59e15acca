"""HTTP clients follow the target file: only on the target's own origin, and unless a request says otherwise."""

from __future__ import annotations

import contextlib
import socket
import ssl

import gevent
import pytest
import requests

from tests import proxies, unpatched
from tests.guarded import CLIENT, SECRET, guarded
from tests.loadproof.http.tls import new_certificate, server_context, untrusted_serving
from tests.loadproof.httpuser.noting import noting
from tests.servers import Heard, read_request, serving

from loadproof.generator.plainlocust.targetterms import hand_terms  # isort: skip
from loadproof.httpuser import locusts, terms  # isort: skip
from loadproof.httpuser.user import HttpUser  # isort: skip
from loadproof.rundir.manifest import TargetFacts  # isort: skip
from loadproof.users import credentials  # isort: skip
from loadproof.users.tokenkeeper import keep_token  # isort: skip
from loadproof.users.post import Post  # isort: skip
from simulation.rundirs import manifest, scenario  # isort: skip
from loadproof.errors import UnsafeTargetError  # isort: skip
from geventhttpclient.client import HTTPClientPool  # isort: skip
from locust import clients  # isort: skip
from locust.contrib import fasthttp  # isort: skip
from locust.contrib.fasthttp import FastHttpUser  # isort: skip
from locust.env import Environment  # isort: skip
from locust.user import users  # isort: skip
from requests.auth import HTTPDigestAuth  # isort: skip
from urllib3.util import create_urllib3_context  # isort: skip

pytestmark = pytest.mark.process

NAME = "api.example.test"
KEYS = {"X-Api-Key": "${API_KEY}", "Authorization": "Bearer ${API_TOKEN}", "User-Agent": "loader"}


BY_REQUESTS = {"hooks": {"response": [lambda *_, **__: None]}}
OURS = {"directly": (HttpUser, {}), "by requests": (HttpUser, BY_REQUESTS)}
"""The two ways to encode a request; both use the same connections."""
LOCUSTS = {"HttpUser": (unpatched.locust.HttpUser, {}), "FastHttpUser": (FastHttpUser, {})}
ALL = OURS | LOCUSTS


class Client:
    """The client of a user in a run against a target."""

    def __init__(self, kind: str, url: str, target: dict) -> None:
        base, self._how = ALL[kind]
        self.at, self.environment = Post(), Environment()
        run = manifest(scenario(locustfile="own.py"))
        facts = TargetFacts(kind="own", base_url=url, limits={}, **target)
        self.at.assign(run.model_copy(update={"target": facts}), rank=0, workers=1)
        keep_token(self.environment, self.at)
        hand_terms(self.at)
        self.session = type("Website", (base,), {"host": url})(self.environment).client

    def get(self, url: str, **options: object):
        return self.session.get(url, **options, **self._how)

    def post(self, url: str, **options: object):
        return self.session.post(url, json=[1], **options, **self._how)

    def status(self, url: str, **options: object) -> int:
        return self.get(url, **options).status_code


@pytest.fixture(params=ALL)
def kind(request):
    """The kind of client."""
    return request.param


@pytest.fixture(autouse=True)
def _places(monkeypatch):
    """Restore Locust's clients after each test."""
    monkeypatch.setattr(terms.THIS_PROCESS, "ask", terms.THIS_PROCESS.ask)
    for module, name in ((users, "HttpSession"), (clients, "HttpSession"), (fasthttp, "FastHttpSession")):
        monkeypatch.setattr(module, name, getattr(module, name))


@pytest.fixture
def made():
    """The clients created, which are closed at the end."""
    made: list[Client] = []
    yield made
    for one in made:
        one.environment.events.test_stopping.fire(environment=one.environment)
        getattr(one.session, "close", getattr(one.session, "client", one.session).close)()


@pytest.fixture
def client_of(kind, made):
    """Creates clients of this kind."""

    def make(url: str, **target: object) -> Client:
        made.append(Client(kind, url, target))
        return made[-1]

    return make


def field(request: bytes, name: str) -> str | None:
    lines = request.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    return {key.lower(): value for key, _, value in (line.partition(": ") for line in lines)}.get(name.lower())


@pytest.fixture(autouse=True)
def _secrets(monkeypatch):
    for name, value in {
        "API_KEY": "k3y",
        "API_TOKEN": "t0ken",
        "API_PASSWORD": "p4ss",
        "CLIENT_SECRET": SECRET,
    }.items():
        monkeypatch.setenv(name, value)


def test_headers_are_sent_unless_the_locustfile_says_otherwise(client_of, kind):
    """As if `client.headers` had them: None removes one, and a session's or a request's own takes precedence."""
    with noting() as server:
        client = client_of(server.url, headers=KEYS)
        client.get("/")
        client.get("/", headers={"x-api-key": "own", "Authorization": "own"})
        if kind != "FastHttpUser":
            client.get("/", headers={"X-Api-Key": None, "authorization": None})
            client.session.headers["User-Agent"] = "own"
            client.session.headers["Authorization"] = "session's"
            client.post("/")
    seen = [[field(request, name) for name in KEYS] for request in server.requests]
    assert seen[:2] == [["k3y", "Bearer t0ken", "loader"], ["own", "own", "loader"]]
    assert seen[2:] in ([], [[None, None, "loader"], ["k3y", "session's", "own"]])


def test_headers_of_a_fast_users_class_take_precedence(monkeypatch, made):
    """They apply to all its requests."""
    monkeypatch.setitem(ALL, "own", (type("Own", (FastHttpUser,), {"default_headers": {"x-api-key": "own"}}), {}))
    with noting() as server:
        made.append(Client("own", server.url, {"headers": KEYS}))
        made[0].get("/")
    assert [field(request, "X-Api-Key") for request in server.requests] == ["own"]


@pytest.mark.parametrize("target", [{"auth": {"basic": {"user": "u", "password": "API_PASSWORD"}}}, {"headers": KEYS}])
def test_auth_replaces_the_target_files_credential(client_of, kind, target):
    """Of a request or of the session, whatever kind it is."""
    ours = "Basic dTpwNHNz" if "auth" in target else "Bearer t0ken"
    with noting() as server:
        client = client_of(server.url, **target)
        client.get("/")
        client.get("/", auth=("a", "b"))
        if kind != "FastHttpUser":
            client.get("/digest", auth=HTTPDigestAuth("a", "b"))
            client.session.auth = ("c", "d")
            client.get("/")
    first, of_request, *more = (field(request, "Authorization") for request in server.requests)
    assert (first, of_request) == (ours, "Basic YTpi")
    if more:
        asked, told, of_session = more
        assert (asked, told[:7], of_session) == (None, "Digest ", "Basic Yzpk")


def test_another_origin_gets_no_headers_of_the_target_file(client_of, kind):
    """Neither directly nor by a redirect, after which it gets what requests would have sent."""
    target = {"headers": {**KEYS, "Host": NAME}}
    with noting() as server, noting() as other:
        client = client_of(server.url, **target)
        client.get(f"{other.url}/")
        client.get("/302")
        client.get("/302/elsewhere")
    there = other.url.removeprefix("http://")
    for request, host in zip(other.requests, (there, there.replace("127.0.0.1", "localhost")), strict=True):
        assert [field(request, name) for name in ("X-Api-Key", "Authorization", "Host")] == [None, None, host]
        if kind != "FastHttpUser":
            assert field(request, "User-Agent") == requests.utils.default_user_agent()
    stays = [[field(request, name) for name in ("X-Api-Key", "Authorization", "Host")] for request in server.requests]
    assert stays == [["k3y", "Bearer t0ken", NAME]] * 3


def test_a_redirect_to_the_name_in_host_stays_at_the_target(client_of):
    """The name in our Host header leads nowhere else."""
    moved = f"HTTP/1.1 302 Found\r\nLocation: http://{NAME}/there\r\nContent-Length: 0\r\n\r\n"
    heard = []

    def script(connection: socket.socket, _: int) -> None:
        while request := read_request(connection):
            heard.append(request)
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n" if b"/there" in request else moved.encode())

    with serving(script) as url:
        assert client_of(url, headers={"Host": NAME}).get("/").url == f"{url}/there"
    assert [field(request, "Host") for request in heard] == [NAME, NAME]


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_tls_settings_and_a_proxy_lead_to_the_target_and_others_see_no_certificate(
    tmp_path, client_of, kind, monkeypatch
):
    """To a server with another name, with a client certificate; another server sees none, and is verified."""
    name = "localhost" if kind == "HttpUser" else NAME
    for folder in ("server", "client", "other"):
        (tmp_path / folder).mkdir()
    server, client_key = new_certificate(tmp_path / "server", name), new_certificate(tmp_path / "client", "loader")
    of_other = new_certificate(tmp_path / "other")
    mutual, asking, names, shown = server_context(server, clients=client_key), server_context(of_other), [], []
    mutual.sni_callback = lambda _, name, __: names.append(name)
    asking.verify_mode, heard, proxy = ssl.CERT_OPTIONAL, Heard(), proxies.Proxy("Basic dTpwNHNz")
    asking.load_verify_locations(f"{client_key}.crt")

    def ask(connection, number):
        shown.append(connection.getpeercert())
        heard.script(connection, number)

    with (
        untrusted_serving(server, heard.script, mutual) as url,
        untrusted_serving(of_other, ask, asking) as other,
        serving(proxy.script) as proxy_url,
    ):
        pem = {"client_certificate": f"{client_key}.crt", "client_key": str(client_key)}
        tls = {"ca_file": f"{server}.crt", **({} if kind == "HttpUser" else {"server_name": NAME}), **pem}
        at_proxy = proxy_url.replace("//", "//${PROXY_USER}:${API_PASSWORD}@")
        monkeypatch.setenv("PROXY_USER", "u")
        client = client_of(url, tls=tls, proxy=at_proxy)
        assert client.status("/health") == 200
        assert client.status(f"{other}/health") == 0
        if kind == "FastHttpUser":
            monkeypatch.setenv("SSL_CERT_FILE", f"{of_other}.crt")
            locusts._context.cache_clear()
            client = client_of(url, tls=tls, proxy=at_proxy)
            assert client.status(f"{other}/health") == 200
        else:
            assert client.status(f"{other}/health", verify=False) == 200
            assert client.status("/health", verify=False) == 200
            assert client.status("/health", verify=True) == 0
    assert set(names) == {name}
    # No certificate, although one was requested.
    assert shown == [None]
    connects = {head.split(" ")[1] for head in proxy.heads}
    assert connects == {url.removeprefix("https://"), other.removeprefix("https://")}
    assert all("Proxy-Authorization: Basic dTpwNHNz" in head for head in proxy.heads)


@pytest.mark.parametrize("kind", ["HttpUser"])
def test_a_certificate_is_not_loaded_into_the_context_shared_by_all_hosts(tmp_path, client_of, monkeypatch):
    """Where the target is verified by default, with one context per process; here with our own authority."""
    for folder in ("server", "client"):
        (tmp_path / folder).mkdir()
    server, client_key = new_certificate(tmp_path / "server"), new_certificate(tmp_path / "client", "loader")
    shared, shown, heard = create_urllib3_context(), [], Heard()
    for context in (shared, mutual := server_context(server, clients=client_key), asking := server_context(server)):
        context.load_verify_locations(f"{(server if context is shared else client_key)}.crt")
    asking.verify_mode = ssl.CERT_OPTIONAL
    monkeypatch.setattr(clients, "_preloaded_ssl_context", shared)
    monkeypatch.setattr(locusts, "DEFAULT_CA_BUNDLE_PATH", f"{server}.crt")

    def ask(connection, number):
        shown.append(connection.getpeercert())
        heard.script(connection, number)

    with untrusted_serving(server, heard.script, mutual) as url, untrusted_serving(server, ask, asking) as other:
        tls = {"client_certificate": f"{client_key}.crt", "client_key": str(client_key)}
        client = client_of(url, tls=tls)
        assert [client.status("/health"), client.status(f"{other}/health")] == [200, 200]
    assert shown == [None]


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_an_unverified_target_leaves_others_verified(tmp_path, client_of, kind):
    """Unless a request itself says otherwise."""
    pem, heard = new_certificate(tmp_path), Heard()
    with untrusted_serving(pem, heard.script) as url, untrusted_serving(pem, heard.script) as other:
        client = client_of(url, tls={"verify": False})
        assert client.status("/health") == 200
        assert client.status(f"{other}/health") == 0
        if kind != "FastHttpUser":
            assert client.status(f"{other}/health", verify=f"{pem}.crt") == 200


def test_an_https_target_is_verified_by_default(tmp_path, client_of):
    """As the report says: also by FastHttpUser, which wouldn't do so by itself."""
    with untrusted_serving(new_certificate(tmp_path), Heard().script) as url:
        assert client_of(url).status("/health") == 0


def test_a_fast_user_with_insecure_set_does_not_verify(tmp_path, monkeypatch, made):
    """Its own class takes precedence."""

    class Own(FastHttpUser):
        insecure = True

    monkeypatch.setitem(ALL, "own", (Own, {}))
    with untrusted_serving(new_certificate(tmp_path), Heard().script) as url:
        made.append(Client("own", url, {}))
        assert made[0].status("/health") == 200


def test_a_proxy_gets_absolute_http_urls(client_of, monkeypatch):
    """With its own credentials, which the target doesn't see."""
    monkeypatch.setenv("PROXY_USER", "u")
    proxy = proxies.Proxy("Basic dTpwNHNz")
    with noting() as server, serving(proxy.script) as proxy_url:
        client = client_of(server.url, proxy=proxy_url.replace("//", "//${PROXY_USER}:${API_PASSWORD}@"))
        assert client.post("/echo", headers={"X-Own": "1"}).text == "[1]"
    assert proxy.heads[0].startswith(f"POST {server.url}/echo HTTP/1.1\r\n")
    (request,) = server.requests
    assert [field(request, name) for name in ("Host", "X-Own", "Proxy-Authorization")] == [
        server.url.removeprefix("http://"),
        "1",
        None,
    ]


def test_a_proxy_does_not_lead_to_hosts_that_are_not_allowed(client_of, kind):
    """Neither directly nor by a redirect: sockets only show the proxy's address."""
    heard, moved = [], b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere.example/\r\nContent-Length: 0\r\n\r\n"

    def script(connection: socket.socket, _: int) -> None:
        while request := read_request(connection):
            heard.append(request.split(b" ")[1])
            connection.sendall(moved)

    with serving(script) as proxy_url:
        client = client_of("http://127.0.0.1:9", proxy=proxy_url)
        with pytest.raises(UnsafeTargetError):
            client.get("http://other.example/")
        with contextlib.suppress(UnsafeTargetError):
            assert client.status("/") == 0
    assert heard == [b"http://127.0.0.1:9/"]


def test_a_fast_users_own_proxy_is_refused(monkeypatch, made):
    """Set in its class or in a shared pool; even for the target, because it would come between."""
    heard = Heard()
    with serving(heard.script) as proxy_url:
        own = {"proxy_host": "127.0.0.1", "proxy_port": int(proxy_url.rpartition(":")[2])}
        for number, says in enumerate([own, {"client_pool": HTTPClientPool(**own)}]):
            monkeypatch.setitem(ALL, "own", (type("Own", (FastHttpUser,), says), {}))
            made.append(Client("own", "http://127.0.0.1:9", {}))
            with pytest.raises(UnsafeTargetError, match="its own proxy"):
                made[number].get("/health")
            with pytest.raises(UnsafeTargetError, match="not on the allow list"):
                made[number].get("http://other.example/")
    assert not heard.requests


def test_a_refused_token_is_renewed_once_and_the_next_request_has_the_new_one(client_of, monkeypatch):
    """The refused request isn't repeated; requests with their own credential, and repeated refusals, renew nothing."""
    monkeypatch.setattr(credentials, "_APART_S", 0.0)
    with guarded() as server:
        oauth2 = {"token_url": f"{server.url}/token", "client_id": CLIENT, "client_secret": "CLIENT_SECRET"}
        client = client_of(server.url, auth={"oauth2": oauth2})
        assert client.status("/account") == 200
        assert client.status("/account", headers={"Authorization": "own"}) == 401
        server.revoke()
        asked = [gevent.spawn(lambda: client.status("/account")) for _ in range(2)]
        assert [one.get(timeout=10) for one in asked] == [401, 401]
        assert client.status("/account") == 200
        server.revoke()
        assert [client.status("/account") for _ in range(2)] == [401, 200]
        server.accepts = False
        assert [client.status("/account") for _ in range(2)] == [401, 401]
    assert server.counted("/account") == {200: 3, 401: 6}
    assert server.counted("/token") == {200: 4}
