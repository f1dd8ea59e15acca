"""Locust's own HTTP clients in the place of ours: the same answers, and the same verdicts."""

from __future__ import annotations

import json
import socket

import pytest

from tests.unpatched import locust  # isort: skip

from analysis.estimates.metrics import tally
from analysis.frames.run import load_run
from loadproof.http.client import ClientConnections
from loadproof.http.locustclients import FastHttp, LocustClient, Requests
from loadproof.http.messages import ConnectionFailedError, Request, RequestTimeoutError, Timeouts, Timing
from loadproof.http.origin import Origin
from tests.commands import in_process, only_run, scenario_file, word_of
from tests.loadproof.http.tls import tls_serving
from tests.servers import answering, read_request, serving

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nX-A: b\r\n\r\n" + b'{"a":1}'
CLIENTS = pytest.mark.parametrize("client", [FastHttp, Requests])
assert locust


def exchange(client: type[LocustClient], url: str, request: Request, timing: Timing | None = None, **settings: object):
    settings = {"source_address": None, "headers": {}} | settings
    made = client(Origin.of(url), Timeouts(1.0, 0.5), **settings)
    try:
        return ClientConnections(lambda: made).exchange(request, timing or Timing())
    finally:
        made.close()


@CLIENTS
def test_a_request_is_the_same(client):
    """Method, path, headers, body, source address; and the answer is read as ours is."""
    seen = []

    def script(connection: socket.socket, _: int) -> None:
        seen.append((connection.getpeername()[0], read_request(connection)))
        connection.sendall(OK)

    timing = Timing()
    with serving(script) as url:
        request = Request("POST", "/pay?a=b%20c", headers={"X-Key": "k"}, body=b"{}")
        answer = exchange(
            client, f"{url}/base", request, timing, source_address="127.5.6.7", headers={"X-Client": "client-1"}
        )
    assert (answer.status, answer.headers["x-a"], answer.json) == (200, "b", {"a": 1})
    address, sent = seen[0]
    assert address == "127.5.6.7"
    assert sent.startswith(b"POST /base/pay?a=b%20c HTTP/1.1\r\n")
    for line in (b"x-key: k", b"x-client: client-1", b"content-length: 2", b"accept-encoding: identity"):
        assert line in sent.lower().split(b"\r\n")
    assert 0 < timing.began_s == timing.sent_s < timing.ended_s


@CLIENTS
def test_they_trust_whom_our_connections_trust(client, certificate, monkeypatch):
    """And ask for the name; neither certifi nor the variables of requests change it. From the client's address, too."""
    seen = []

    def script(connection: socket.socket, _: int) -> None:
        seen.append(connection.getpeername()[0])
        read_request(connection)
        connection.sendall(OK)

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    with tls_serving(certificate, script) as url:
        assert exchange(client, url, Request("GET", "/"), source_address="127.5.6.7").json == {"a": 1}
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", f"{certificate}.crt")
        with pytest.raises(ConnectionFailedError):
            exchange(client, url.replace("localhost", "127.0.0.1"), Request("GET", "/"))
        monkeypatch.delenv("SSL_CERT_FILE")
        with pytest.raises(ConnectionFailedError):
            exchange(client, url, Request("GET", "/"))
    assert seen == ["127.5.6.7"]


@CLIENTS
@pytest.mark.parametrize("status", [302, 429, 500])
def test_any_status_is_an_answer(client, status):
    """Redirects are not followed, failures are not exceptions."""
    raw = b"HTTP/1.1 %d X\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n" % status
    with serving(answering(raw)) as url:
        assert exchange(client, url, Request("GET", "/")).status == status


@CLIENTS
def test_no_whole_answer_is_the_same_failure(client):
    """Refused, garbage, and silence."""
    with pytest.raises(ConnectionFailedError):
        exchange(client, "http://127.0.0.1:1", Request("GET", "/"))
    with serving(answering(b"garbage\r\n\r\n")) as url, pytest.raises(ConnectionFailedError):
        exchange(client, url, Request("GET", "/"))
    silent = serving(answering(b"", then_close=False))
    with silent as url, pytest.raises(RequestTimeoutError, match=r"no whole answer within 0\.5 s"):
        exchange(client, url, Request("GET", "/"))


@pytest.mark.process
@pytest.mark.parametrize(
    ("http_client", "faults", "word"),
    [("fasthttp", {}, "PASS"), ("requests", {"balance": {"error_ratio": 0.5}}, "FAIL")],
)
def test_thresholds_are_judged_the_same(tmp_path, http_client, faults, word):
    """As with ours, on a healthy target and on a broken one."""
    phases = [{"name": "steady", "duration": "2 s", "users": 20}]
    thresholds = [{"expect": "error_ratio < 5 %"}, {"expect": "goodput_ratio >= 50 %"}]
    file = scenario_file(tmp_path, http_client=http_client, phases=phases, thresholds=thresholds)
    done = in_process("run", file, "--out", tmp_path / "reports", FAULTS=json.dumps(faults))
    run = only_run(tmp_path / "reports")
    assert word_of(run, "error_ratio < 5 %") == word, done.stdout
    counts = tally(load_run(run).intervals)
    assert counts.abandoned == 0
    assert counts.sent == load_run(run).generator["sent"].sum()
