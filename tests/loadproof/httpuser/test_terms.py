"""What a target file says, kept by loadproof's HttpUser: on the target's own origin, beneath what a request says."""

from __future__ import annotations

import socket

import gevent
import pytest
import requests

from tests import proxies, unpatched  # noqa: F401 - before locust
from tests.guarded import CLIENT, SECRET, guarded
from tests.loadproof.http.tls import new_certificate, server_context, untrusted_serving
from tests.loadproof.httpuser.noting import noting
from tests.servers import Heard, read_request, serving

from loadproof.generator.targetterms import hand_terms  # isort: skip
from loadproof.httpuser import terms  # isort: skip
from loadproof.httpuser.user import HttpUser  # isort: skip
from loadproof.rundir.manifest import TargetFacts  # isort: skip
from loadproof.users import credentials  # isort: skip
from loadproof.users.tokenkeeper import keep_token  # isort: skip
from loadproof.users.workload import Post  # isort: skip
from simulation.rundirs import manifest, scenario  # isort: skip
from locust.env import Environment  # isort: skip
from requests.auth import HTTPDigestAuth  # isort: skip

pytestmark = pytest.mark.process

WAYS = pytest.mark.parametrize("by", [{}, {"hooks": {"response": [lambda *_, **__: None]}}], ids=["short", "requests"])
"""How a request is written; both go out by the same connections."""
NAME = "api.example.test"
KEYS = {"X-Api-Key": "${API_KEY}", "Authorization": "Bearer ${API_TOKEN}", "User-Agent": "loader"}


class Client:
    """Of a user in a run against a target."""

    def __init__(self, base: type, url: str, target: dict) -> None:
        self.post, self.environment = Post(), Environment()
        run = manifest(scenario(locustfile="own.py"))
        facts = TargetFacts(kind="own", base_url=url, limits={}, **target)
        self.post.assign(run.model_copy(update={"target": facts}), rank=0, workers=1)
        keep_token(self.environment, self.post)
        hand_terms(self.post)
        self.client = type("Website", (base,), {"host": url})(self.environment).client


@pytest.fixture(params=["loadproof's"])
def client_of(request, monkeypatch):
    """What makes one, of each kind."""
    monkeypatch.setattr(terms.THIS_PROCESS, "ask", terms.THIS_PROCESS.ask)
    made = []

    def make(url: str, **target: object):
        made.append(Client({"loadproof's": HttpUser}[request.param], url, target))
        return made[-1].client

    yield make
    for one in made:
        one.environment.events.test_stopping.fire(environment=one.environment)
        one.client.close()


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


@WAYS
def test_headers_are_sent_unless_the_locustfile_says_otherwise(client_of, by):
    """As if `client.headers` had them: None takes one away, and a session's or a request's own comes first."""
    with noting() as server:
        client = client_of(server.url, headers=KEYS)
        client.get("/", **by)
        client.get("/", headers={"x-api-key": "own", "Authorization": "own"}, **by)
        client.get("/", headers={"X-Api-Key": None, "authorization": None}, **by)
        client.headers["User-Agent"] = "own"
        client.headers["Authorization"] = "session's"
        client.post("/", json={}, **by)
    seen = [[field(request, name) for name in KEYS] for request in server.requests]
    own_way = ["k3y", "session's", "own"]
    assert seen == [["k3y", "Bearer t0ken", "loader"], ["own", "own", "loader"], [None, None, "loader"], own_way]


@WAYS
@pytest.mark.parametrize("target", [{"auth": {"basic": {"user": "u", "password": "API_PASSWORD"}}}, {"headers": KEYS}])
def test_what_proves_who_sends_it_gives_way_to_auth(client_of, by, target):
    """Of a request, or of the session, whatever kind it is."""
    ours = "Basic dTpwNHNz" if "auth" in target else "Bearer t0ken"
    with noting() as server:
        client = client_of(server.url, **target)
        client.get("/", **by)
        client.get("/", auth=("a", "b"), **by)
        client.get("/digest", auth=HTTPDigestAuth("a", "b"), **by)
        client.auth = ("c", "d")
        client.get("/", **by)
    first, of_request, asked, told, of_session = (field(request, "Authorization") for request in server.requests)
    assert (first, of_request, asked, of_session) == (ours, "Basic YTpi", None, "Basic Yzpk")
    assert told.startswith("Digest ")


@WAYS
def test_another_origin_gets_nothing_of_it(client_of, by):
    """By its address, and by a redirect, after which it has what requests would have sent."""
    target = {"headers": {**KEYS, "Host": NAME}}
    with noting() as server, noting() as other:
        client = client_of(server.url, **target)
        client.get(f"{other.url}/", **by)
        client.get("/302", **by)
        client.get("/302/elsewhere", **by)
    there = other.url.removeprefix("http://")
    for request, host in zip(other.requests, (there, there.replace("127.0.0.1", "localhost")), strict=True):
        assert [field(request, name) for name in ("X-Api-Key", "Authorization", "Host")] == [None, None, host]
        assert field(request, "User-Agent") == requests.utils.default_user_agent()
    stays = [[field(request, name) for name in ("X-Api-Key", "Authorization", "Host")] for request in server.requests]
    assert stays == [["k3y", "Bearer t0ken", NAME]] * 3


@WAYS
def test_a_target_that_gives_its_other_name_is_asked_where_it_is(client_of, by):
    """The one in Host, which leads to no other place."""
    moved = f"HTTP/1.1 302 Found\r\nLocation: http://{NAME}/there\r\nContent-Length: 0\r\n\r\n"
    heard = []

    def script(connection: socket.socket, _: int) -> None:
        while request := read_request(connection):
            heard.append(request)
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n" if b"/there" in request else moved.encode())

    with serving(script) as url:
        assert client_of(url, headers={"Host": NAME}).get("/", **by).url == f"{url}/there"
    assert [field(request, "Host") for request in heard] == [NAME, NAME]


@WAYS
def test_tls_and_a_tunnel_are_the_way_to_the_target_and_its_certificate_for_nobody_else(tmp_path, client_of, by):
    """To a server of another name, as somebody; another server sees no certificate, and is verified."""
    for name in ("server", "client"):
        (tmp_path / name).mkdir()
    server, client_key = new_certificate(tmp_path / "server", NAME), new_certificate(tmp_path / "client", "loader")
    mutual, asking, names, shown = server_context(server, clients=client_key), server_context(server), [], []
    mutual.sni_callback = lambda _, name, __: names.append(name)
    asking.verify_mode, heard, proxy = 1, Heard(), proxies.Proxy("Basic dTpwNHNz")
    asking.load_verify_locations(f"{client_key}.crt")

    def ask(connection, number):
        shown.append(connection.getpeercert())
        heard.script(connection, number)

    with (
        untrusted_serving(server, heard.script, mutual) as url,
        untrusted_serving(server, ask, asking) as other,
        serving(proxy.script) as proxy_url,
    ):
        pem = {"client_certificate": f"{client_key}.crt", "client_key": str(client_key)}
        tls = {"ca_file": f"{server}.crt", "server_name": NAME, **pem}
        at_proxy = proxy_url.replace("//", "//${PROXY_USER}:${API_PASSWORD}@")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PROXY_USER", "u")
            client = client_of(url, tls=tls, proxy=at_proxy)
        assert client.get("/health", **by).ok
        assert isinstance(client.get(f"{other}/health", **by).error, requests.exceptions.SSLError)
        assert client.get(f"{other}/health", verify=False, **by).ok
        assert client.get("/health", verify=False, **by).ok
        assert isinstance(client.get("/health", verify=True, **by).error, requests.exceptions.SSLError)
    assert set(names) == {NAME}
    # No certificate, where one was asked for.
    assert shown == [None]
    connects = {head.split(" ")[1] for head in proxy.heads}
    assert connects == {url.removeprefix("https://"), other.removeprefix("https://")}
    assert all("Proxy-Authorization: Basic dTpwNHNz" in head for head in proxy.heads)


@WAYS
def test_a_target_that_is_not_verified_leaves_others_verified(tmp_path, client_of, by):
    """Unless a request says so itself."""
    pem, heard = new_certificate(tmp_path), Heard()
    with untrusted_serving(pem, heard.script) as url, untrusted_serving(pem, heard.script) as other:
        client = client_of(url, tls={"verify": False})
        assert client.get("/health", **by).ok
        assert isinstance(client.get(f"{other}/health", **by).error, requests.exceptions.SSLError)
        assert client.get(f"{other}/health", verify=f"{pem}.crt", **by).ok


@WAYS
def test_a_proxy_gets_whole_addresses_of_http(client_of, by, monkeypatch):
    """With what it asks for, which the target doesn't see."""
    monkeypatch.setenv("PROXY_USER", "u")
    proxy = proxies.Proxy("Basic dTpwNHNz")
    with noting() as server, serving(proxy.script) as proxy_url:
        client = client_of(server.url, proxy=proxy_url.replace("//", "//${PROXY_USER}:${API_PASSWORD}@"))
        assert client.post("/echo", json=[1], headers={"X-Own": "1"}, **by).text == "[1]"
    assert proxy.heads[0].startswith(f"POST {server.url}/echo HTTP/1.1\r\n")
    (request,) = server.requests
    assert [field(request, name) for name in ("Host", "X-Own", "Proxy-Authorization")] == [
        server.url.removeprefix("http://"),
        "1",
        None,
    ]


@WAYS
def test_a_token_that_is_refused_is_renewed_once_and_the_next_request_has_the_new_one(client_of, by, monkeypatch):
    """The refused one is not repeated, one with a credential of its own renews nothing, nor does one refused anew."""
    monkeypatch.setattr(credentials, "_APART_S", 0.0)
    with guarded() as server:
        oauth2 = {"token_url": f"{server.url}/token", "client_id": CLIENT, "client_secret": "CLIENT_SECRET"}
        client = client_of(server.url, auth={"oauth2": oauth2})
        assert client.get("/account", **by).status_code == 200
        assert client.get("/account", headers={"Authorization": "own"}, **by).status_code == 401
        server.revoke()
        asked = [gevent.spawn(lambda: client.get("/account", **by).status_code) for _ in range(2)]
        assert [one.get(timeout=10) for one in asked] == [401, 401]
        assert client.get("/account", **by).status_code == 200
        server.revoke()
        assert [client.get("/account", **by).status_code for _ in range(2)] == [401, 200]
        server.accepts = False
        assert [client.get("/account", **by).status_code for _ in range(2)] == [401, 401]
    assert server.counted("/account") == {200: 3, 401: 6}
    assert server.counted("/token") == {200: 4}
