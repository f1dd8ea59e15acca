"""Requests of Locust's own clients are known by name while they last, whoever ends them."""

from __future__ import annotations

import time

from tests.unpatched import locust  # isort: skip # noqa: F401 - before what it patches

import gevent
import pytest
from locust import constant, task
from locust.contrib.fasthttp import FastHttpUser

from loadproof.httpuser.user import HttpUser
from loadproof.scenario.target.operations import DEFAULT_SECRET_VARIABLE
from tests.servers import read_request, serving

pytestmark = pytest.mark.slow
"""Each user runs for some tenths of a second."""

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def slow(seconds, answer=OK):
    """A script that answers each request after this time."""

    def script(connection, _):
        while read_request(connection):
            time.sleep(seconds)
            connection.sendall(answer)

    return script


def test_a_request_killed_when_its_user_leaves_has_not_failed(follow):
    """A poll ended by on_stop is cut off by the end of the run, like any request in flight."""
    with serving(slow(0.15)) as url:

        class User(FastHttpUser):
            host = url
            wait_time = constant(0.1)

            def on_start(self):
                self.polling = gevent.spawn(self.poll)

            def poll(self):
                while True:
                    self.client.get("/poll")

            @task
            def idle(self):
                pass

            def on_stop(self):
                self.polling.kill()

        counted = follow(User)
    outcomes = {row.outcome for row in follow.journal if row.request == "GET /poll"}
    assert outcomes <= {"ok", "abandoned"}, counted


def test_a_request_given_up_by_a_gevent_timeout_is_a_timeout_with_any_client(follow):
    """Even if the client itself reports it as a failure."""
    with serving(slow(0.5)) as url:

        class User(FastHttpUser):
            host = url
            wait_time = constant(10)

            @task
            def ask(self):
                with gevent.Timeout(0.1, False):
                    self.client.get("/slow")

        follow(User)
    assert [row.outcome for row in follow.journal if row.request == "GET /slow"] == ["timeout"]


def test_a_request_that_no_event_ends_shows_no_secret_in_its_name(follow, monkeypatch):
    """Names in events are masked; this one comes from the call."""
    secret = "whsec_c2VjcmV0c2VjcmV0"
    monkeypatch.setenv(DEFAULT_SECRET_VARIABLE, secret)
    with serving(slow(0.5)) as url:

        class User(HttpUser):
            host = url
            wait_time = constant(10)

            @task
            def ask(self):
                with gevent.Timeout(0.1, False):
                    self.client.get(f"/hook?key={secret}")

        follow(User)
    timeouts = [row.request for row in follow.journal if row.outcome == "timeout"]
    assert timeouts == [f"GET /hook?key=${{{DEFAULT_SECRET_VARIABLE}}}"]


@pytest.mark.parametrize("base", [HttpUser, FastHttpUser])
def test_a_request_has_the_same_name_however_it_ends(follow, base):
    """The name that Locust's event would have, even if it is never fired: thresholds use it."""
    with serving(slow(0.15)) as url:

        class User(base):
            host = url
            wait_time = constant(10)

            @task
            def ask(self):
                target = f"{self.host}/items" if base is HttpUser else "/items"
                options = {"params": {"page": 2}} if base is HttpUser else {}
                self.client.get(target, **options)
                with gevent.Timeout(0.05, False):
                    self.client.get(target, **options)
                self.client.get(target, catch_response=True, **options)

        follow(User)
    ends = {(row.request, row.outcome) for row in follow.journal if row.request.startswith("GET")}
    name = "GET /items?page=2" if base is HttpUser else "GET /items"
    assert ends == {(name, "ok"), (name, "timeout"), (name, "unreported")}


def test_requests_within_a_request_are_told_apart_from_it(follow):
    """During a request that never ends, another one is sent, and something else is reported."""

    def script(connection, number):
        while request := read_request(connection):
            time.sleep(0.0 if b"/token" in request else 5.0)
            connection.sendall(OK)

    with serving(script) as url:

        class User(HttpUser):
            host = url
            wait_time = constant(10)

            def authorize(self, request):
                self.client.post("/token")
                self.environment.events.request.fire(
                    request_type="RPC", name="signed", response_time=1.0, response_length=0, exception=None
                )
                return request

            @task
            def ask(self):
                with gevent.Timeout(0.2, False):
                    self.client.get("/items", auth=self.authorize)

        follow(User)
    ends = {(row.request, row.outcome) for row in follow.journal if row.phase == "steady"}
    assert ends == {("POST /token", "ok"), ("RPC signed", "ok"), ("GET /items", "timeout")}


def test_requests_with_the_same_start_time_are_told_apart(follow):
    """Somebody has stopped the wall clock: each request is still known, and none took zero time."""
    with serving(slow(0.05)) as url:

        class User(FastHttpUser):
            host = url
            wait_time = constant(10)

            @task
            def ask(self):
                with pytest.MonkeyPatch.context() as stopped:
                    stopped.setattr(time, "time", lambda: 1e9)
                    stopped.setattr(time, "perf_counter", lambda: 1.0)
                    self.client.get("/plain")
                    for _ in range(3):
                        self.client.get("/untold", catch_response=True)
                    with self.client.get("/caught", catch_response=True):
                        pass

        counted = follow(User)
    assert counted["steady", "GET /untold", "unreported"] == 3
    took_us = {row.request: int(row.ended_us) - int(row.sent_us) for row in follow.journal if row.outcome == "ok"}
    assert took_us["GET /plain"] >= 45_000
    assert took_us["GET /caught"] >= 45_000
