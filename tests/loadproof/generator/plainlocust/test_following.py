"""Users that know nothing of loadproof, run in this process: what is recorded of their requests and their time."""

from __future__ import annotations

import json
import time

from tests.unpatched import locust  # isort: skip

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import gevent
import numpy as np
import pytest
from locust import constant, constant_pacing, constant_throughput, task
from locust.env import Environment
from locust.exception import StopUser

from loadproof.generator.plainlocust.beginnings import began_s
from loadproof.generator.plainlocust.paces import pace_s
from loadproof.http.head import MAX_HEAD_BYTES
from loadproof.httpuser.user import HttpUser
from loadproof.rundir.rows import ANSWER_DATE
from tests.loadproof.generator.plainlocust.calling import Calling
from tests.servers import answering, serving

pytestmark = pytest.mark.slow
"""Each user runs for some tenths of a second."""


def test_requests_that_a_custom_client_reports_are_counted_and_setup_is_separate(follow):
    """Also what it reports when it is stopped, and what a listener sends before the plan begins."""

    class User(Calling):
        def on_start(self):
            self.call("login")

        @task
        def ask(self):
            self.call()

        def on_stop(self):
            self.call("logout")

    counted = follow(User)
    for request in ("RPC prepare", "RPC login", "RPC logout"):
        assert counted["setup", request, "response"] == 1
    assert counted["steady", "RPC call", "good"] == counted["steady", "RPC call", "response"] >= 3
    assert 500 <= counted["steady", "User", "present_ms"] <= 700


@pytest.mark.parametrize("is_over", [False, True])
def test_a_user_that_says_goodbye_keeps_no_other_from_coming(follow, is_over):
    """Locust counts those in its group; a user whose own task calls `on_stop` stays."""
    counted = []

    class User(Calling):
        @task
        def ask(self):
            self.call()
            if not is_over:
                self.on_stop()

        def on_stop(self):
            counted.append(self.greenlet in self.group)

    follow(User)
    assert counted[0] is not is_over
    assert counted[-1] is False


def test_a_user_that_is_leaving_is_neither_present_nor_late(follow):
    """Here it reports nothing for the rest of the run; others might be missing meanwhile."""

    class User(Calling):
        @task
        def hang(self):
            gevent.spawn_later(0.3, self.stop)
            gevent.sleep(60)

    counted = follow(User, timeouts={"connect": "0.1 s", "total": "0.2 s"})
    assert 250 <= counted["steady", "User", "present_ms"] <= 400
    assert 250 <= counted["steady", "User", "late_ms"] <= 400


@pytest.mark.parametrize("says_goodbye", [False, True])
def test_a_leaving_user_that_waits_for_an_answer_is_not_late(says_goodbye, follow):
    """It is no longer one of the users present."""

    class User(HttpUser):
        wait_time = constant(0.05)

        @task
        def ask(self):
            if says_goodbye:
                gevent.sleep(0.2)
                raise StopUser
            gevent.spawn_later(0.2, self.stop)
            self.client.get("/")

        def on_stop(self):
            if says_goodbye:
                self.client.get("/")

    with serving(lambda connection, _: connection.recv(1_000_000) and connection.recv(1)) as User.host:
        counted = follow(User)
    assert 150 <= counted["steady", "User", "present_ms"] <= 300
    assert counted["steady", "User", "late_ms"] == 0


def test_a_late_answer_costs_no_requests_of_a_user_that_is_leaving(follow):
    """None are planned for it any more; the deadline is 0.2 s."""

    class User(Calling):
        wait_time = constant(0.01)
        calls = 0

        @task
        def ask(self):
            self.calls += 1
            if self.calls == 15:
                gevent.spawn_later(0.1, self.stop)
                self.takes_s = 0.35
            self.call()

    counted = follow(User)
    assert counted["steady", "RPC call", "response"] == 15
    assert counted["steady", "RPC call", "missed"] == 0


def test_a_user_whose_task_set_calls_its_on_stop_comes_back(follow):
    """Also for Locust, which would start another one."""
    counted = []

    class User(Calling):
        @task
        class Tasks(locust.TaskSet):
            def on_start(self):
                self.user.on_stop()

            @task
            def ask(self):
                counted.append(self.user.greenlet in self.user.group)
                self.user.call()
                self.interrupt(reschedule=False)

    assert 500 <= follow(User)["steady", "User", "present_ms"] <= 700
    assert len(counted) > 2
    assert set(counted) == {True}


def test_a_user_that_comes_back_was_there_all_the_time(follow):
    """Also while its task set logs out and in again."""
    turns = []

    class User(Calling):
        @task
        class Tasks(locust.TaskSet):
            def on_start(self):
                self.user.on_stop()
                gevent.sleep(0.05)

            @task
            def ask(self):
                turns.append(self.user)
                self.interrupt(reschedule=False)

    assert 600 <= follow(User)["steady", "User", "present_ms"] <= 700
    assert len(turns) > 2


def test_only_the_first_request_of_a_task_says_how_late_turns_are(follow):
    """The others are due when they begin, and would dilute the start lag."""

    class User(Calling):
        @task
        def ask(self):
            self.call("first")
            self.call("second")
            self.call("third")

    counted = follow(User)
    assert counted["steady", "RPC first", "followed"] == 0
    for request in ("RPC second", "RPC third"):
        assert counted["steady", request, "followed"] == counted["steady", request, "lag"] >= 1


def test_a_greenlets_request_sent_while_its_user_was_at_work_is_not_setup(follow):
    """Its answer may come when its user is leaving or gone: it still belongs to the plan, failures above all."""

    class User(Calling):
        takes_s = 0.15

        @task
        def ask(self):
            for _ in range(3):
                gevent.spawn(self.call, exception=ValueError("500"))
            gevent.sleep(0.05)
            raise StopUser

        def on_stop(self):
            gevent.sleep(0.3)

    counted = follow(User)
    assert counted["steady", "RPC call", "response"] == 3
    assert counted["setup", "RPC call", "response"] == 0


def test_requests_to_other_hosts_than_the_target_are_counted(follow):
    """By the URL in Locust's event; without one, the request is trusted."""

    class User(Calling):
        @task
        def ask(self):
            self.call("there", url="http://127.0.0.1:1/items")
            self.call("own")

    counted = follow(User)
    assert counted["steady", "RPC there", "elsewhere"] == counted["steady", "RPC there", "response"] >= 3
    assert counted["steady", "RPC own", "elsewhere"] == 0


def test_the_host_that_finally_answered_counts(follow):
    """A target that redirects everything elsewhere is not what was measured."""
    on = SimpleNamespace(status_code=200, headers={}, url="http://127.0.0.1:1/items")
    here = SimpleNamespace(status_code=200, headers={}, url="http://127.0.0.1:8000/items")

    class User(Calling):
        host = "http://127.0.0.1:8000"

        @task
        def ask(self):
            self.call("on", url="http://127.0.0.1:8000/items", response=on)
            self.call("here", url="http://127.0.0.1:8000/items", response=here)

    counted = follow(User)
    assert counted["steady", "RPC on", "elsewhere"] == counted["steady", "RPC on", "response"] >= 3
    assert counted["steady", "RPC here", "elsewhere"] == 0


def test_answers_that_loadproof_does_not_read_are_its_own_limit(follow):
    """Also for users of its HttpUser: it doesn't count as a connection that the target broke."""
    answer = b"HTTP/1.1 200 OK\r\nX-Long: " + MAX_HEAD_BYTES * b"x" + b"\r\nContent-Length: 0\r\n\r\n"
    with serving(answering(answer)) as url:

        class User(HttpUser):
            host = url
            wait_time = constant(10)

            @task
            def ask(self):
                self.client.get("/items")

        counted = follow(User)
    assert counted["steady", "GET /items", "unread"] == counted["steady", "GET /items", "response"] >= 1
    assert {row.outcome for row in follow.journal if row.request == "GET /items"} == {"invalid"}


def test_what_the_transport_notes_about_a_request_is_counted(follow):
    """Surplus bytes after an answer, which are never ignored, and requests that were sent twice."""
    with serving(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi-and-more")) as url:

        class User(HttpUser):
            host = url
            wait_time = constant(10)

            @task
            def ask(self):
                self.client.get("/surplus")
                with self.client.get("/twice", catch_response=True) as answer:
                    answer.timing.is_marked = answer.timing.is_repeated = True

        counted = follow(User)
    assert counted["steady", "GET /surplus", "surplus"] == counted["steady", "GET /surplus", "response"] >= 1
    assert counted["steady", "GET /twice", "repeated"] == counted["steady", "GET /twice", "response"] >= 1
    assert {row.repeated for row in follow.journal if row.request == "GET /twice"} == {"1"}
    assert {row.repeated for row in follow.journal if row.request == "GET /surplus"} == {"0"}


def test_a_journal_row_contains_what_locusts_event_says(follow):
    """Its times and, for HTTP answers, status, Retry-After and rate-limit headers; for others none."""
    limits = {"RateLimit": "r=0", "Date": "Sun, 06 Nov 2033 08:49:07 GMT"}
    refused = SimpleNamespace(status_code=429, headers={"Retry-After": 'soon, "ish"'} | limits)
    broken = SimpleNamespace(status_code=503, headers=None)

    class User(Calling):
        takes_s = 0.05

        @task
        def ask(self):
            self.call("refused", response=refused, exception=ValueError("429"))
            self.call("broken", response=broken, exception=ValueError("503"))
            self.call("own")

    follow(User)
    rows = {row.request: row for row in follow.journal if row.phase == "steady"}
    noted = {"rate_limit": limits["RateLimit"], ANSWER_DATE: limits["Date"]}
    said = {name: (row.client, row.status, row.outcome, row.retry_after, row.noted) for name, row in rows.items()}
    assert said == {
        "RPC refused": ("shared", "429", "throttled", 'soon, "ish"', json.dumps(noted, separators=(",", ":"))),
        "RPC broken": ("shared", "503", "server_error", "", ""),
        "RPC own": ("shared", "0", "ok", "", ""),
    }
    for row in rows.values():
        assert 0 <= int(row.intended_us) <= int(row.sent_us) < int(row.ended_us) - 45_000


def test_a_client_that_reports_nothing_makes_its_user_late(follow):
    """Nobody knows what it was doing, so the time counts as lost by us."""

    class User(Calling):
        @task
        def hang(self):
            gevent.sleep(60)

    counted = follow(User, timeouts={"connect": "0.1 s", "total": "0.2 s"})
    assert counted["steady", "User", "late_ms"] >= 300


def test_a_late_answer_costs_the_requests_that_would_have_been_sent(follow):
    """At the usual rate: here about every 50 ms, after the deadline of 200 ms."""

    class User(Calling):
        calls = 0

        @task
        def ask(self):
            self.calls += 1
            self.takes_s = 0.4 if self.calls == 4 else 0.0
            self.call()

    counted = follow(User)
    assert 1 <= counted["steady", "RPC call", "missed"] <= 5


def test_a_target_that_stalls_at_first_costs_as_many(follow):
    """The usual rate of its users is only known afterwards."""

    class User(Calling):
        calls = 0

        @task
        def ask(self):
            self.calls += 1
            self.takes_s = 0.4 if self.calls == 1 else 0.0
            self.call()

    assert 2 <= follow(User)["steady", "RPC call", "missed"] <= 5


@pytest.mark.parametrize(("logins", "takes_s", "missed"), [(1, 0.4, range(2, 6)), (4, 0.1, range(1))])
def test_a_late_login_costs_the_requests_that_would_have_been_sent(logins, takes_s, missed, follow):
    """All that the user sends afterwards counts; several logins in time cost nothing."""

    class User(Calling):
        def on_start(self):
            self.takes_s = takes_s
            for _ in range(logins):
                self.call("login")
            self.takes_s = 0.0

        @task
        def ask(self):
            self.call()

    counted = follow(User)
    assert counted["steady", "RPC call", "missed"] in missed
    assert counted["steady", "RPC login", "missed"] == 0


def test_a_paced_user_misses_the_turns_during_an_answer(follow):
    """Three tenths of a second are two turns beyond its own."""

    class User(Calling):
        wait_time = constant_pacing(0.1)
        calls = 0

        @task
        def ask(self):
            self.calls += 1
            self.takes_s = 0.3 if self.calls == 2 else 0.0
            self.call()

    assert 1 <= follow(User)["steady", "RPC call", "missed"] <= 3


def test_only_a_pace_counts_as_one():
    """Not a wait after each task, even a constant one."""

    class User(locust.User):
        abstract = True

    def of(wait_time: Any) -> float | None:
        return pace_s(type("Paced", (User,), {"wait_time": wait_time})(Environment()))

    assert (of(constant_pacing(2)), of(constant_throughput(4))) == (2.0, 0.25)
    assert (of(constant(2)), of(lambda _: 2), of(constant_pacing(0))) == (None, None, None)


def test_setting_the_clock_moves_no_request():
    """A start in wall clock time is believed only if it is within the last hour, and not after the end."""
    assert began_s(10.0, 2.0, None) == 8.0
    assert began_s(10.0, 2.0, time.time() - 5.0) == pytest.approx(5.0, abs=0.05)
    assert began_s(10.0, 2.0, time.time() + 5.0) == 8.0
    assert began_s(10.0, 2.0, time.time() - 86_400) == 8.0


def test_a_success_of_unknown_duration_is_not_a_fast_one(follow):
    """An unreadable duration is not zero: with a start, it is timed until its event; without, it is unreported."""
    odd = (None, float("nan"), float("inf"), -3.0, "12.5 ms", ...)

    class User(Calling):
        takes_s = 0.02

        def on_start(self):
            self.call("connected", response_time=None)

        @task
        def ask(self):
            for number, told in enumerate(odd):
                self.call(f"begun {number}", response_time=told, start_time=time.time())
                self.call(f"unknown {number}", response_time=told)
            self.call("failed", response_time=None, exception=ValueError("no"))

    counted = follow(User)
    for number, _ in enumerate(odd):
        assert counted["steady", f"RPC unknown {number}", "response"] == 0
        assert counted["steady", f"RPC unknown {number}", "unreported"] >= 1
    begun = [row for row in follow.journal if row.request.startswith("RPC begun")]
    assert len({row.request for row in begun}) == len(odd)
    assert all(int(row.ended_us) - int(row.sent_us) >= 15_000 for row in begun)
    assert counted["steady", "RPC failed", "response"] >= 1
    assert counted["setup", "RPC connected", "unreported"] == 1


def test_a_duration_may_be_a_number_of_any_type(follow):
    """Clients compute theirs in different ways."""

    class User(Calling):
        takes_s = 0.02

        @task
        def ask(self):
            for took_ms in (Decimal(20), np.int64(20), np.float32(20)):
                self.call(type(took_ms).__name__, response_time=took_ms)

    follow(User)
    took_us = {row.request: int(row.ended_us) - int(row.sent_us) for row in follow.journal if row.phase == "steady"}
    assert len(took_us) == 3
    assert min(took_us.values()) >= 18_000
