"""Reports from anywhere in a process to messages in a chat, by processes that share a directory."""

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


@pytest.fixture
def server():
    with fake_telegram() as telegram:
        yield telegram


@contextmanager
def running(server=None, directory=None, *, reporter="1", **changes):
    """Alerts with their threads, and the registry that counts them; without a server nobody is told."""
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


def eventually(is_so, within_s: float = 10.0) -> bool:
    until_s = time.monotonic() + within_s
    while not is_so():
        if time.monotonic() > until_s:
            return False
        time.sleep(0.01)
    return True


def test_an_incident_is_one_message_and_its_end_another(server):
    with running(server) as (alerts, registry):
        for _ in range(50):
            alerts.report("redis-lost", "connection refused")
        alerts.recovered("redis-lost")
        assert server.wait_for(lambda telegram: len(telegram.texts) == 2)
        assert eventually(lambda: registry.get_sample_value("alert_messages_total", {"result": "sent"}) == 2)
        assert registry.get_sample_value("alert_incidents_total", {"incident": "redis-lost"}) == 1
    first, last = (text.split("\n") for text in server.texts)
    assert first[0].startswith("payments_api on ")
    assert first[1] == "redis-lost: connection refused"
    assert last[1] == "redis-lost: recovered after 0 s"


def test_who_knows_one_function_only_reports_the_end_as_well(server):
    """`backup-recovered` ends all that begin with `backup-`, and nothing else."""
    with running(server) as (alerts, _):
        for name in ("backup-failed", "backup-overdue", "disk-nearly-full"):
            alerts.report(name, "x")
        alerts.report("backup-recovered", "a backup was taken")
        assert server.wait_for(lambda telegram: len(telegram.texts) == 5)
        assert set(alerts.open()) == {"disk-nearly-full"}
    assert sum("recovered" in text for text in server.texts) == 2


@pytest.mark.slow
def test_two_workers_that_see_the_same_send_one_message(server, tmp_path):
    """And one when neither sees it any more."""
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
        assert eventually(lambda: sum(counted) <= 2)


def test_without_a_chat_incidents_are_logged_and_counted(caplog):
    with running() as (alerts, registry):
        alerts.report("disk-nearly-full", "1 % free")
        assert eventually(lambda: registry.get_sample_value("alert_incidents_open") == 1)
        assert registry.get_sample_value("alert_channel_enabled", {"channel": "telegram"}) == 0
        assert registry.get_sample_value("alert_messages_total", {"result": "sent"}) == 0
        assert eventually(lambda: "incident: disk-nearly-full: 1 % free" in caplog.text)


@pytest.mark.slow
def test_reporting_never_waits_for_a_chat_that_hangs(server):
    """Nor does the end of the program, beyond its two seconds."""
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
def test_more_reports_than_the_queue_holds_are_counted_as_dropped():
    registry = CollectorRegistry()
    alerts = Alerts(AlertOptions(), AlertMetrics(registry))
    began_s = time.monotonic()
    for number in range(1010):
        alerts.report(f"incident-{number}", "x")
    assert time.monotonic() - began_s < 1
    assert registry.get_sample_value("alert_messages_total", {"result": "dropped"}) == 10
    alerts.start()
    alerts.stop()


def test_an_end_that_comes_soon_after_still_sends_what_was_reported(server):
    with running(server) as (alerts, _):
        alerts.report("disk-nearly-full", "1 % free")
    assert len(server.texts) == 1


def test_a_place_for_incidents_that_breaks_ends_nothing(caplog):
    """The directory may be gone; the thread goes on."""
    with running() as (alerts, _):
        broken = alerts._incidents.report
        alerts._incidents.report = lambda *_: (_ for _ in ()).throw(sqlite3.OperationalError("disk I/O error"))
        alerts.report("first", "x")
        assert eventually(lambda: "can't store an incident: disk I/O error" in caplog.text)
        alerts._incidents.report = broken
        alerts.report("second", "x")
        assert eventually(lambda: set(alerts.open()) == {"second"})


def test_what_a_process_reported_is_not_open_when_it_has_stopped(tmp_path):
    """Others that share the directory go on, and would call it open for ever."""
    with running(directory=str(tmp_path), reporter="2") as (other, _):
        with running(directory=str(tmp_path), reporter="1") as (one, _):
            one.report("redis-lost", "refused")
            assert eventually(lambda: set(other.open()) == {"redis-lost"})
        assert other.open() == {}


def test_a_process_alone_keeps_its_incidents_off_the_disk(server, tmp_path, monkeypatch):
    """So that one which is killed leaves nothing, and a full disk is told of all the same."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with running(server) as (alerts, _):
        alerts.report("disk-nearly-full", "1 % free")
        assert server.wait_for(lambda telegram: len(telegram.texts) == 1)
        assert set(alerts.open()) == {"disk-nearly-full"}
        assert list(tmp_path.iterdir()) == []
    assert alerts.open() == {}


def test_an_incident_that_cannot_be_kept_is_in_the_log_all_the_same(caplog):
    with running() as (alerts, _):
        alerts._incidents.report = lambda *_: (_ for _ in ()).throw(sqlite3.OperationalError("disk is full"))
        alerts.report("redis-lost", "refused")
        assert eventually(lambda: "incident: redis-lost: refused" in caplog.text)


@pytest.mark.slow
def test_while_the_application_runs_it_is_watched(server, tmp_path):
    """A ledger that is gone, and back: told once, ended once; then all threads have ended."""
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


def test_what_no_file_can_hold_is_told_all_the_same(server):
    """The path of a list may be no UTF-8; whoever reports it ends no thread."""
    with running(server) as (alerts, _):
        alerts.report("list-deny-not-reloaded", "/etc/d\udcff.txt: gone")
        alerts.report("redis-lost", "refused")
        assert server.wait_for(lambda telegram: len(telegram.texts) == 2)
    assert "/etc/d\\udcff.txt: gone" in server.texts[0]


def test_one_report_that_fails_for_whatever_reason_ends_nothing(caplog):
    with running() as (alerts, _):
        alerts.report("list-\udcff", "x")
        alerts.report("redis-lost", "refused")
        assert eventually(lambda: set(alerts.open()) == {"redis-lost"})
    assert "can't store an incident" in caplog.text


def test_an_application_may_start_again_in_the_same_process(server, tmp_path):
    """As it does under its own tests, once for each."""
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
