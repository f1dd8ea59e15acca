"""Queued messages are sent to a chat in order, with retries, by one of several processes."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys

import pytest

from drills.faketelegram import CHAT, TOKEN, Answer, fake_telegram, too_many
from payments_api.alerts.delivery import MOST_TRIES, Delivery, deliver
from payments_api.alerts.incidents import FILE, Incidents
from payments_api.alerts.options import Chat
from payments_api.alerts.telegram import NotSentError, Telegram


class Attempts:
    """A send function that fails as scripted, and the pauses between its calls."""

    def __init__(self, *failures: NotSentError) -> None:
        self._failures = list(failures)
        self.texts: list[str] = []
        self.pauses: list[float] = []
        self.stops_at: int | None = None

    def send(self, text: str) -> None:
        self.texts.append(text)
        if self._failures:
            raise self._failures.pop(0)

    def wait(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        return len(self.pauses) == self.stops_at


def down(**changes) -> NotSentError:
    return NotSentError("down", **changes)


def test_pauses_between_tries_double_up_to_a_minute():
    attempts = Attempts(*[down()] * 8)
    assert deliver("x", attempts.send, attempts.wait) is True
    assert attempts.pauses == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_429_is_honoured_for_up_to_an_hour():
    attempts = Attempts(down(wait_s=35), down(wait_s=10**9))
    assert deliver("x", attempts.send, attempts.wait) is True
    assert attempts.pauses == [35, 3600]


def test_tries_are_bounded():
    attempts = Attempts(*[down()] * 100)
    assert deliver("x", attempts.send, attempts.wait) is False
    assert len(attempts.texts) == MOST_TRIES
    assert len(attempts.pauses) == MOST_TRIES - 1


def test_a_final_refusal_is_not_retried():
    attempts = Attempts(down(is_final=True))
    assert deliver("x", attempts.send, attempts.wait) is False
    assert (len(attempts.texts), attempts.pauses) == (1, [])


def test_stopping_ends_a_wait():
    attempts = Attempts(*[down()] * 100)
    attempts.stops_at = 2
    assert deliver("x", attempts.send, attempts.wait) is None
    assert len(attempts.texts) == 2


@pytest.fixture
def server():
    with fake_telegram() as telegram:
        yield telegram


@pytest.fixture
def incidents(tmp_path):
    found = Incidents(str(tmp_path / FILE), reporter="1", keeps_messages=True)
    yield found
    found.close()


def delivery(incidents, server, path, results=None) -> Delivery:
    telegram = Telegram(Chat(TOKEN, CHAT, server.url))
    results = results if results is not None else []
    return Delivery(incidents, telegram.send, path / "lock", results.append)


def test_two_processes_that_share_messages_send_each_once_and_in_order(incidents, server, tmp_path):
    """Both are woken up."""
    results: list[str] = []
    both = [delivery(incidents, server, tmp_path, results) for _ in range(2)]
    for each in both:
        each.start()
    for number in range(10):
        incidents.report(f"incident-{number}", "x")
        for each in both:
            each.look()
    for each in both:
        each.stop(within_s=10)
    assert server.texts == [f"incident-{number}: x" for number in range(10)]
    assert results == ["sent"] * 10


def test_a_finally_refused_message_does_not_block_the_next(incidents, server, tmp_path):
    server.next_answers.append(Answer(400, {"ok": False, "description": "no"}))
    results: list[str] = []
    incidents.report("first", "x")
    incidents.report("second", "x")
    only = delivery(incidents, server, tmp_path, results)
    only.start()
    only.stop(within_s=10)
    assert results == ["failed", "sent"]
    assert server.texts == ["second: x"]


@pytest.mark.slow
@pytest.mark.parametrize("broken", ["first_waiting", "done_with"])
def test_a_file_that_is_unusable_for_a_while_stops_nothing_and_repeats_nothing(incidents, server, tmp_path, broken):
    """A full disk or a long lock, before or after a message was sent: the rest follows, each message once."""
    works, results = getattr(incidents, broken), []
    failures = [sqlite3.OperationalError("database or disk is full")]

    def fails_once(*arguments):
        if failures:
            raise failures.pop()
        return works(*arguments)

    setattr(incidents, broken, fails_once)
    incidents.report("first", "x")
    only = delivery(incidents, server, tmp_path, results)
    only.start()
    assert server.wait_for(lambda telegram: telegram.texts == ["first: x"])
    incidents.report("second", "y")
    only.look()
    assert server.wait_for(lambda telegram: telegram.texts == ["first: x", "second: y"], within_s=3)
    only.stop(within_s=5)
    assert sorted(results) == ["postponed", "sent", "sent"]
    assert incidents.first_waiting() is None


def test_a_file_that_stays_unusable_does_not_delay_the_stop(incidents, server, tmp_path):
    """Not every failed look at it is logged, but all are counted."""
    incidents.first_waiting = lambda: (_ for _ in ()).throw(sqlite3.OperationalError("database is locked"))
    results: list[str] = []
    only = delivery(incidents, server, tmp_path, results)
    only.start()
    only.stop(within_s=5)
    assert set(results) == {"postponed"}
    assert not only._thread.is_alive()


@pytest.mark.slow
def test_a_429_is_honoured_before_the_next_try(incidents, server, tmp_path):
    """For the second that it asks for, in real time."""
    server.next_answers.append(too_many(1))
    incidents.report("first", "x")
    only = delivery(incidents, server, tmp_path)
    only.start()
    assert server.wait_for(lambda telegram: telegram.asked == 1)
    assert not server.wait_for(lambda telegram: telegram.asked == 2, within_s=0.7)
    assert server.wait_for(lambda telegram: telegram.texts == ["first: x"])
    only.stop(within_s=5)


@pytest.mark.slow
def test_a_hanging_server_does_not_delay_the_stop(incidents, server, tmp_path):
    server.next_answers.append(Answer(200, {"ok": True}, delay_s=3))
    incidents.report("first", "x")
    only = delivery(incidents, server, tmp_path)
    only.start()
    assert server.wait_for(lambda telegram: telegram.asked == 1)
    only.stop(within_s=0.2)


@pytest.mark.process
def test_messages_of_a_killed_process_are_sent_by_another(incidents, server, tmp_path):
    """It holds the lock until it dies, and no longer."""
    holds = (
        "import fcntl, sys, time; lock = open(sys.argv[1], 'a'); fcntl.flock(lock, fcntl.LOCK_EX); "
        "print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", holds, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ) as holder:
        holder.stdout.readline()
        incidents.report("first", "x")
        only = delivery(incidents, server, tmp_path)
        only.start()
        assert not server.wait_for(lambda telegram: telegram.asked, within_s=0.8)
        holder.kill()
        holder.wait(5)
    assert server.wait_for(lambda telegram: telegram.texts == ["first: x"])
    only.stop(within_s=5)
