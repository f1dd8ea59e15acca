"""Requests that Locust's own clients are asked for: each is known by its name while it lasts, whoever ends it."""

from __future__ import annotations

import time

from tests.unpatched import locust  # isort: skip # noqa: F401 - before what it patches

import gevent
import pytest
from locust import constant, task
from locust.contrib.fasthttp import FastHttpUser

from loadproof.httpuser.user import HttpUser
from tests.servers import read_request, serving

pytestmark = pytest.mark.slow
"""Users have some tenths of a second each."""

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def slow(seconds, answer=OK):
    """Each request is answered after this time."""

    def script(connection, _):
        while read_request(connection):
            time.sleep(seconds)
            connection.sendall(answer)

    return script


def test_who_is_killed_when_its_user_leaves_has_not_failed(follow):
    """A poll that on_stop ends is cut off by the run's end, like a request of the user's own."""
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


def test_what_gevents_timeout_gives_up_is_a_timeout_with_any_client(follow):
    """Also where the client itself reports it as a failure."""
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


@pytest.mark.parametrize("base", [HttpUser, FastHttpUser])
def test_a_request_has_one_name_however_it_ends(follow, base):
    """The one that Locust's event would have, also if nobody fires it: thresholds go by it."""
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


def test_what_is_told_and_asked_amid_a_request_is_not_it(follow):
    """For the sake of one that never ends, another one is sent, and something else is told of."""

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


def test_requests_of_one_moment_are_several(follow):
    """By the time of day, which somebody has stopped: each is still known, and none took no time."""
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
