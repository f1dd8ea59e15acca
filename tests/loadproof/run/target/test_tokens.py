"""Tokens for this process's own requests, from a real server."""

from __future__ import annotations

import pytest

from loadproof.http.blocking import BlockingConnection
from loadproof.http.messages import RequestTimeouts, WantError
from loadproof.run.target import tokens
from loadproof.run.target.ownclient import OwnClient
from loadproof.run.target.probe import probe, probe_within
from loadproof.run.target.tokens import NoAccessError, TokenHolder
from loadproof.scenario.target.targetfile import TargetFile
from simulation.rundirs import scenario
from tests.guarded import CLIENT, SECRET, guarded
from tests.proxies import Proxy
from tests.servers import serving

pytestmark = pytest.mark.process


@pytest.fixture(autouse=True)
def _secret(monkeypatch):
    monkeypatch.setenv("CLIENT_SECRET", SECRET)


def target(url: str, **auth: object) -> TargetFile:
    oauth2 = {"token_url": "/token", "client_id": CLIENT, "client_secret": "CLIENT_SECRET", **auth}
    return TargetFile.model_validate({"base_url": url, "auth": {"oauth2": oauth2}})


@pytest.mark.parametrize("secret_in", ["header", "body"])
def test_requests_share_one_token_until_it_expires(secret_in):
    """However the server wants the secret to be sent."""
    with guarded() as server:
        found = target(server.url, secret_in=secret_in, scope="read", parameters={"resource": "urn:a"})
        with OwnClient(found, scenario()) as client:
            assert [client.ask("GET", "/health").status for _ in range(3)] == [200] * 3
        assert server.counted("/token") == {200: 1}
        (form,) = server.forms
        assert (form["scope"], form["resource"]) == ("read", "urn:a")


def test_a_refused_token_is_replaced_but_not_repeatedly(monkeypatch):
    """A new token that is refused is kept for a while."""
    with guarded() as server, OwnClient(target(server.url), scenario()) as client:
        client.ask("GET", "/health")
        server.revoke()
        assert [client.ask("GET", "/health").status for _ in range(3)] == [401] * 3
        assert server.counted("/token") == {200: 1}
        monkeypatch.setattr(tokens, "_APART_S", 0.0)
        assert [client.ask("GET", "/health").status for _ in range(3)] == [401, 200, 200]
        assert server.counted("/token") == {200: 2}


def test_probing_a_starting_target_needs_one_token():
    """However often it is probed."""
    stops = iter([False, False, True])
    with guarded() as server:
        found = target(server.url, token_url=f"{server.url}/token").model_copy(
            update={"base_url": "http://127.0.0.1:1"}
        )
        with pytest.raises(Exception, match="no HTTP answer"):
            probe_within(10, found, scenario(), stop_requested=lambda: next(stops))
        assert server.counted("/token") == {200: 1}


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((200, {"access_token": 5}), "no access token: status 200, but no text `access_token` in the answer, got"),
        ((429, {}), "no access token: status 429, got"),
        ((400, {"error": "invalid_scope"}), "no access token: status 400 (invalid_scope), got"),
    ],
)
def test_a_probe_says_why_there_is_no_token(answer, told):
    """With the token URL, and what to do."""
    with guarded(token_answer=answer) as server, pytest.raises(NoAccessError) as raised:
        probe(target(server.url), scenario())
    assert str(raised.value).startswith(f"target auth.oauth2.token_url: {told} '{server.url}/token'; ")


def test_a_wrong_secret_is_not_tried_twice(monkeypatch):
    """Repeating it while waiting for a target could lock the client out."""
    monkeypatch.setenv("CLIENT_SECRET", "wrong")
    with guarded() as server:
        with pytest.raises(NoAccessError, match=r"401 \(invalid_client\).*check client_id, the secret in the variable"):
            probe_within(10, target(server.url), scenario(), stop_requested=lambda: False)
        assert server.counted("/token") == {401: 1}


def test_a_token_server_that_is_down_or_slow_is_reported():
    """Within the scenario's timeouts."""
    holder = TokenHolder(target("http://127.0.0.1:1"), RequestTimeouts(1, 1))
    with pytest.raises(NoAccessError, match=r"no access token: .*refused.*start it, or correct its address"):
        holder.headers()
    with guarded() as server:
        server.takes_s = 1
        with pytest.raises(NoAccessError, match=r"no access token: no complete answer within 0.3 s"):
            TokenHolder(target(server.url), RequestTimeouts(0.3, 0.3)).headers()


def test_tokens_are_requested_the_way_the_target_is_reached():
    """Through the target's proxy."""
    proxy = Proxy()
    with guarded() as server, serving(proxy.script) as proxy_url:
        found = target(server.url).model_copy(update={"proxy": proxy_url})
        with OwnClient(found, scenario(clients="shared")) as client:
            assert client.ask("GET", "/health").status == 200
        assert server.counted("/token") == {200: 1}
    assert [head.split()[1].removeprefix(server.url) for head in proxy.heads] == ["/token", "/health"]


def test_a_token_that_this_machine_could_not_ask_for_is_not_the_targets_fault(monkeypatch):
    """It is asked for again as soon as there is a port."""
    sends = iter([WantError("ports", "EADDRNOTAVAIL")])

    def exchange(*_):
        raise next(sends)

    with guarded() as server:
        holder = TokenHolder(target(server.url, token_url=f"{server.url}/token"), RequestTimeouts(5, 5))
        with monkeypatch.context() as patched:
            patched.setattr(BlockingConnection, "exchange", exchange)
            with pytest.raises(WantError):
                holder.headers()
        assert holder.headers()
