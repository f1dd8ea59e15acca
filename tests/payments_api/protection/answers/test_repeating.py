"""Unlimited paths have bounded costs: beyond their share of the time, the latest answer is repeated."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import pytest

from drills.target import running_target
from payments_api.protection.answers.repeating import Repeating
from tests.payments_api.protection.fairserver import answer, ask

PAGE_S = 0.01


class Page:
    """An app whose answers are numbered, each of which takes ten milliseconds of CPU time."""

    def __init__(self, *, status: int = 200) -> None:
        self.now_s = 0.0
        self.cpu_s = 0.0
        self.status = status
        self.made = 0
        self.repeated = 0
        self.repeating = Repeating(
            self._app, on_repeat=self._count, clock=lambda: self.now_s, cpu_clock=lambda: self.cpu_s
        )

    def ask(self, path: str = "/metrics", method: str = "GET") -> tuple[int, bytes, Any]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)
            # As outer middleware does.
            message.setdefault("headers", []).append((b"x", b"y"))

        scope = {"type": "http", "method": method, "path": path}
        # Nothing in it waits, and starting an event loop would take longer than everything else.
        with suppress(StopIteration):
            self.repeating(scope, None, send).send(None)
        assert [len(message["headers"]) for message in sent] == [2, 1, 1]
        return sent[0]["status"], b"".join(message.get("body", b"") for message in sent), scope.get("route")

    async def _app(self, scope: Any, _: Any, send: Any) -> None:
        self.made += 1
        self.cpu_s += PAGE_S
        if self.status == 0:
            raise ZeroDivisionError
        scope["route"] = scope["path"]
        await send({"type": "http.response.start", "status": self.status, "headers": [(b"a", b"b")]})
        await send({"type": "http.response.body", "body": b"%d " % self.made, "more_body": True})
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    def _count(self) -> None:
        self.repeated += 1


def test_occasional_requests_always_get_a_new_answer():
    """Twice a second for a page that takes ten milliseconds; and several in a row."""
    page = Page()
    for number in range(1, 21):
        assert page.ask() == (200, b"%d /metrics" % number, "/metrics")
    for number in range(21, 200):
        page.now_s += 0.51
        assert page.ask()[1] == b"%d /metrics" % number
    assert page.repeated == 0


def test_a_flood_costs_its_share_of_the_time_and_each_answer_is_at_most_a_second_old():
    """A thousand requests a second for ten seconds; repeats keep the route, for counting by it."""
    page, made_at_s = Page(), {}
    for number in range(10_000):
        page.now_s = number / 1000
        _, body, route = page.ask()
        assert route == "/metrics"
        assert page.now_s - made_at_s.setdefault(body, page.now_s) <= 1
    assert 10 * 0.02 <= page.cpu_s <= 10 * 0.02 + 0.2 + 2 * PAGE_S
    assert page.made + page.repeated == 10_000


def test_a_slow_answer_is_still_computed_once_a_second():
    """That costs more than its share, but an old answer would be useless."""
    page = Page()
    page.ask()
    page.cpu_s = 0.0
    for number in range(10_000):
        page.now_s = number / 1000
        page.cpu_s += 0.005
        page.ask()
    assert 9 <= page.made <= 40


def test_each_path_and_method_has_its_own_answer():
    page = Page()
    for path, method in [("/metrics", "GET"), ("/metrics", "HEAD"), ("/health/ready", "GET")]:
        assert page.ask(path, method)[1].endswith(path.encode())
    for _ in range(30):
        page.ask()
    assert page.repeated > 0
    assert page.ask("/health/ready") == (200, b"3 /health/ready", "/health/ready")


def test_a_failure_is_not_repeated():
    """If the app raises; an error answer that the app gives itself is repeated like others."""
    page = Page(status=0)
    for _ in range(50):
        with pytest.raises(ZeroDivisionError):
            page.ask()
    assert page.made == 50
    page.status = 503
    assert page.ask()[0] == 503
    page.status = 200
    assert page.ask()[0] == 503
    page.now_s += 2
    assert page.ask()[0] == 200


@pytest.mark.process
def test_a_flood_of_unlimited_paths_is_answered_and_counted():
    """By the API itself, whose metrics page says how many answers were repeats."""
    with (
        running_target() as target,
        socket.create_connection(("127.0.0.1", urlsplit(target.url).port), 10) as connection,
    ):
        ask(connection, *["/metrics"] * 300, "/health/ready")
        assert all(b"http_requests_total" in answer(connection) for _ in range(300))
        assert answer(connection) == b'{"status":"ready"}'
        deadline_s = time.monotonic() + 5
        # This page may be a repeated one, too.
        while target.metric("http_requests_total", 'route="/metrics"') < 300:
            assert time.monotonic() < deadline_s
            time.sleep(0.1)
        assert target.metric("protection_repeated_total") > 0
