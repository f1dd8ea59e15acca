"""Errors in handlers are reported to a small but real Sentry server, without private data; one is down, one hangs."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing

import pytest
import requests

from drills.sentryserver import sentry_server
from drills.target import running_target
from payments_api.alerts.sentry import scrubbed
from tests.servers import read_request, serving

SECRET = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ="
TOKEN = "telegram-secret-token"
SLOW_S = 3.0
"""Even a busy machine is faster; waiting for the SDK would take longer."""


def lose_accounts(path) -> None:
    """Drop the accounts, so that every handler that reads them fails."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA legacy_alter_table=ON")
        connection.execute("ALTER TABLE accounts RENAME TO gone")


def test_only_the_method_of_a_request_is_sent():
    event = {
        "request": {
            "method": "GET",
            "url": "http://api/balance/acct-000001",
            "query_string": "token=1",
            "headers": {"authorization": "Bearer x"},
            "data": "body",
            "cookies": {"a": "b"},
            "env": {"REMOTE_ADDR": "10.0.0.1"},
        },
        "user": {"ip_address": "10.0.0.1"},
        "extra": {"sys.argv": ["x"]},
        "breadcrumbs": {"values": [1]},
        "transaction": "balance",
    }
    assert scrubbed(event) == {"request": {"method": "GET"}, "transaction": "balance"}


def test_texts_are_shortened_and_contain_neither_accounts_nor_secrets():
    text = "acct-000001 has no acct-000002, said s3cret " + "x" * 1000
    event = {"exception": {"values": [{"type": "KeyError", "value": text}]}, "tags": [("a", "s3cret")], "level": 1}
    clean = scrubbed(event, ["s3cret"])
    (value,) = clean["exception"]["values"]
    assert value["value"].startswith("[account] has no [account], said [secret] xxx")
    assert len(value["value"]) <= 300
    assert clean["tags"] == [["a", "[secret]"]]
    assert clean["level"] == 1


@pytest.mark.parametrize("event", [{}, {"exception": None}, {"exception": {"values": None}}, {"request": None}])
def test_an_event_without_these_parts_is_left_as_it_is(event):
    assert scrubbed(dict(event)).get("request") is None


@pytest.mark.process
def test_an_error_in_a_handler_is_reported_with_its_endpoint_and_nothing_of_the_request(tmp_path):
    """For GET and POST, on included routes; deliberate error answers aren't reported."""
    database = tmp_path / "ledger.sqlite3"
    with sentry_server() as sentry:
        settings = {"SENTRY_DSN": sentry.dsn, "SENTRY_RELEASE": "payments@1.2.3", "SENTRY_ENVIRONMENT": "drill"}
        secrets = {"WEBHOOK_SECRET": SECRET, "TELEGRAM_SECRET": TOKEN}
        with running_target(LIMITER="off", DATABASE=str(database), **settings, **secrets) as target:
            headers = {"Authorization": "Bearer not-for-others", "Cookie": "session=not-for-others"}
            asked = f"{target.url}/balance/acct-000001?key=not-for-others"
            assert requests.get(f"{target.url}/balance/nobody", timeout=5).status_code == 404
            assert requests.get(asked, headers=headers, timeout=5).status_code == 200
            lose_accounts(database)
            assert requests.get(asked, headers=headers, timeout=5).status_code == 500
            assert target.pay("not-for-others", currency="EUR").status_code == 500
            page = requests.get(f"{target.url}/metrics", timeout=5).text
            assert sentry.wait_for(lambda errors: len(errors) >= 2)
            time.sleep(0.5)
            errors = sentry.errors()
    assert 'alert_channel_enabled{channel="sentry"} 1.0' in page
    assert [error["transaction"] for error in errors] == ["payments_api.app.balance", "payments_api.app.pay"]
    for error in errors:
        assert (error["release"], error["environment"]) == ("payments@1.2.3", "drill")
        assert error["exception"]["values"][-1]["type"] == "OperationalError"
        assert error["exception"]["values"][-1]["value"] == "no such table: accounts"
        text = json.dumps(error)
        # Source lines are sent, and they contain names of headers.
        for private in ("not-for-others", "acct-0", "127.0.0.1", SECRET, TOKEN):
            assert private not in text, private


def hang(connection, _):
    read_request(connection)
    connection.recv(1)


def slowest_s(dsn: str, tmp_path) -> float:
    """The slowest of a hundred failing requests."""
    database = tmp_path / "ledger.sqlite3"
    with running_target(LIMITER="off", DATABASE=str(database), SENTRY_DSN=dsn) as target:
        lose_accounts(database)
        slowest = 0.0
        for _ in range(100):
            # A new connection for each: uvicorn closes it after a handler has failed.
            answer = requests.get(f"{target.url}/balance/acct-000001", timeout=10)
            assert answer.status_code == 500
            slowest = max(slowest, answer.elapsed.total_seconds())
        return slowest


@pytest.mark.long
@pytest.mark.process
def test_a_sentry_that_is_down_does_not_delay_requests(tmp_path):
    assert slowest_s("http://public@127.0.0.1:1/1", tmp_path) < SLOW_S


@pytest.mark.long
@pytest.mark.process
def test_a_hanging_sentry_does_not_delay_requests(tmp_path):
    with serving(hang) as url:
        assert slowest_s(url.replace("http://", "http://public@") + "/1", tmp_path) < SLOW_S
