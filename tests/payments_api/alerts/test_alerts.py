"""Reports from anywhere in a process become messages in a chat, also with several processes."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import threading
import time
from contextlib import contextmanager

import pytest
from prometheus_client import CollectorRegistry

from drills.faketelegram import CHAT, TOKEN, Answer, fake_telegram
from payments_api.alerts.alerts import Alerts
from payments_api.alerts.metrics import AlertMetrics
from payments_api.alerts.options import AlertOptions, Chat
from payments_api.ledger import create_database
from tests.waiting import eventually


@pytest.fixture
def server():
    with fake_telegram() as telegram:
        yield telegram


@contextmanager
def running(server=None, directory=None, *, reporter="1", **changes):
    """Running alerts and their metrics registry; without a server, no messages are sent."""
    registry = CollectorRegistry()
    metrics = AlertMetrics(registry)
    registry.register(metrics)
    telegram = Chat(TOKEN, CHAT, server.url) if server else None
    alerts = Alerts(AlertOptions(telegram=telegram, **changes), metrics, directory=directory)
    alerts._incidents._reporter = reporter
    alerts.start()
    try:
        yield alerts, registry
    finally:
        alerts.stop()


def test_an_incident_sends_one_message_and_its_end_another(server):
    with running(server) as (alerts, registry):
        for _ in range(50):
            alerts.report("redis-lost", "connection refused")
        alerts.recovered("redis-lost")
        assert server.wait_for(lambda telegram: len(telegram.texts) == 2)
        eventually(lambda: registry.get_sample_value("alert_messages_total", {"result": "sent"}) == 2)
        assert registry.get_sample_value("alert_incidents_total", {"incident": "redis-lost"}) == 1
    first, last = (text.split("\n") for text in server.texts)
    assert first[0].startswith("payments_api on ")
    assert first[1] == "redis-lost: connection refused"
    assert last[1] == "redis-lost: recovered after 0 s"


def test_the_end_of_an_incident_can_be_reported_with_the_same_function(server):
    """`backup-recovered` ends all incidents that begin with `backup-`, and no others."""
    with running(server) as (alerts, _):
        for name in ("backup-failed", "backup-overdue", "disk-nearly-full"):
            alerts.report(name, "x")
        alerts.report("backup-recovered", "a backup was taken")
        assert server.wait_for(lambda telegram: len(telegram.texts) == 5)
        assert set(alerts.open()) == {"disk-nearly-full"}
    assert sum("recovered" in text for text in server.texts) == 2


@pytest.mark.slow
def test_two_workers_with_the_same_incident_send_one_message(server, tmp_path):
    """And one when neither of them reports it any more."""
    with (
        running(server, str(tmp_path), reporter="1") as (one, one_registry),
        running(server, str(tmp_path), reporter="2") as (other, other_registry),
    ):
        for each in (one, other) * 5:
            each.report("redis-lost", "refused")
        assert server.wait_for(lambda telegram: len(telegram.texts) == 1)
        one.recovered("redis-lost")
        assert not server.wait_for(lambda telegram: len(telegram.texts) == 2, within_s=0.7)
        for registry in (one_registry, other_registry):
            assert registry.get_sample_value("alert_incidents_open") == 1
            assert registry.get_sample_value("alert_incident_open_seconds", {"incident": "redis-lost"}) > 0.5
        other.recovered("redis-lost")
        assert server.wait_for(lambda telegram: len(telegram.texts) == 2)
        for registry in (one_registry, other_registry):
            assert registry.get_sample_value("alert_incidents_open") == 0
        counted = [
            each.get_sample_value("alert_messages_total", {"result": "sent"}) for each in (one_registry, other_registry)
        ]
        eventually(lambda: sum(counted) <= 2)


def test_without_a_chat_incidents_are_logged_and_counted(caplog):
    with running() as (alerts, registry):
        alerts.report("disk-nearly-full", "1 % free")
        eventually(lambda: registry.get_sample_value("alert_incidents_open") == 1)
        assert registry.get_sample_value("alert_channel_enabled", {"channel": "telegram"}) == 0
        assert registry.get_sample_value("alert_messages_total", {"result": "sent"}) == 0
        eventually(lambda: "incident: disk-nearly-full: 1 % free" in caplog.text)


@pytest.mark.slow
def test_reporting_never_waits_for_a_hanging_chat(server):
    """Nor does the exit of the program, beyond two seconds."""
    server.next_answers.extend([Answer(200, {"ok": True}, delay_s=6)] * 5)
    with running(server) as (alerts, _):
        alerts.report("first", "x")
        assert server.wait_for(lambda telegram: telegram.asked == 1)
        began_s = time.monotonic()
        for number in range(500):
            alerts.report(f"incident-{number}", "x")
        assert time.monotonic() - began_s < 0.5
        began_s = time.monotonic()
    assert time.monotonic() - began_s < 5


@pytest.mark.slow
def test_reports_beyond_the_queue_are_counted_as_dropped():
    registry = CollectorRegistry()
    alerts = Alerts(AlertOptions(), AlertMetrics(registry))
    began_s = time.monotonic()
    for number in range(1010):
        alerts.report(f"incident-{number}", "x")
    assert time.monotonic() - began_s < 1
    assert registry.get_sample_value("alert_messages_total", {"result": "dropped"}) == 10
    alerts.start()
    alerts.stop()


def test_reports_shortly_before_a_stop_are_still_sent(server):
    with running(server) as (alerts, _):
        alerts.report("disk-nearly-full", "1 % free")
    assert len(server.texts) == 1


def test_a_broken_incident_directory_does_not_stop_alerts(caplog):
    """Even if the directory is gone, the thread continues."""
    with running() as (alerts, _):
        broken = alerts._incidents.report
        alerts._incidents.report = lambda *_: (_ for _ in ()).throw(sqlite3.OperationalError("disk I/O error"))
        alerts.report("first", "x")
        eventually(lambda: "can't store an incident: disk I/O error" in caplog.text)
        alerts._incidents.report = broken
        alerts.report("second", "x")
        eventually(lambda: set(alerts.open()) == {"second"})


def test_incidents_of_a_process_end_when_it_stops(tmp_path):
    """Otherwise other processes that share the directory would call them open forever."""
    with running(directory=str(tmp_path), reporter="2") as (other, _):
        with running(directory=str(tmp_path), reporter="1") as (one, _):
            one.report("redis-lost", "refused")
            eventually(lambda: set(other.open()) == {"redis-lost"})
        assert other.open() == {}


def test_a_single_process_keeps_its_incidents_off_the_disk(server, tmp_path, monkeypatch):
    """So it leaves nothing if it is killed, and can report a full disk."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with running(server) as (alerts, _):
        alerts.report("disk-nearly-full", "1 % free")
        assert server.wait_for(lambda telegram: len(telegram.texts) == 1)
        assert set(alerts.open()) == {"disk-nearly-full"}
        assert list(tmp_path.iterdir()) == []
    assert alerts.open() == {}


def test_an_incident_that_cannot_be_stored_is_still_logged(caplog):
    with running() as (alerts, _):
        alerts._incidents.report = lambda *_: (_ for _ in ()).throw(sqlite3.OperationalError("disk is full"))
        alerts.report("redis-lost", "refused")
        eventually(lambda: "incident: redis-lost: refused" in caplog.text)


@pytest.mark.slow
def test_the_application_is_watched_while_it_runs(server, tmp_path):
    """A ledger that disappears and returns: reported once, ended once; afterwards all threads have stopped."""
    path = tmp_path / "ledger.sqlite3"
    create_database(str(path), 2)
    before = set(threading.enumerate())

    async def lose_and_find() -> None:
        metrics = AlertMetrics(CollectorRegistry())
        alerts = Alerts(AlertOptions(telegram=Chat(TOKEN, CHAT, server.url), window_s=1), metrics)
        async with alerts.running(str(path), lambda: (0, 0)):
            path.rename(tmp_path / "gone")
            assert await asyncio.to_thread(server.wait_for, lambda telegram: len(telegram.texts) == 1)
            (tmp_path / "gone").rename(path)
            assert await asyncio.to_thread(server.wait_for, lambda telegram: len(telegram.texts) == 2)

    asyncio.run(lose_and_find())
    assert "database-unreadable: the ledger can't be read" in server.texts[0]
    assert "database-unreadable: recovered after" in server.texts[1]
    assert not {thread.name for thread in set(threading.enumerate()) - before if thread.name.startswith("alerts")}


def test_a_text_that_sqlite_cannot_store_is_still_reported(server):
    """The path of a list may not be UTF-8; reporting it must not kill a thread."""
    with running(server) as (alerts, _):
        alerts.report("list-deny-not-reloaded", "/etc/d\udcff.txt: gone")
        alerts.report("redis-lost", "refused")
        assert server.wait_for(lambda telegram: len(telegram.texts) == 2)
    assert "/etc/d\\udcff.txt: gone" in server.texts[0]


def test_a_failing_report_does_not_stop_alerts(caplog):
    with running() as (alerts, _):
        alerts.report("list-\udcff", "x")
        alerts.report("redis-lost", "refused")
        eventually(lambda: set(alerts.open()) == {"redis-lost"})
    assert "can't store an incident" in caplog.text


def test_an_application_may_start_again_in_the_same_process(server, tmp_path):
    """As it does in its own tests, once per test."""
    path = tmp_path / "ledger.sqlite3"
    create_database(str(path), 2)
    registry = CollectorRegistry()
    alerts = Alerts(AlertOptions(telegram=Chat(TOKEN, CHAT, server.url)), AlertMetrics(registry))

    async def once(name: str) -> None:
        async with alerts.running(str(path), lambda: (0, 0)):
            alerts.report(name, "x")

    for name in ("first", "second"):
        asyncio.run(once(name))
    assert [text.split("\n")[1] for text in server.texts] == ["first: x", "second: x"]
