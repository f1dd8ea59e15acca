"""A ledger that can't be read for a while, under load: what Telegram and Sentry report about it.

    python -m drills.alerts            half a minute
    python -m drills.alerts --short    ten seconds

Exit code 0 when every promise was kept, 1 when one was broken. Telegram is a server of ours that first asks us to wait,
Sentry is kent; the API is the real one, with two workers.
"""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from drills.faketelegram import CHAT, TOKEN, FakeTelegram, fake_telegram, too_many
from drills.sentryserver import SentryServer, sentry_server
from drills.target import running_target

INCIDENTS: Final = ("database-unreadable", "server-errors")
ENDPOINT: Final = "payments_api.app.balance"
_PAUSE_S: Final = 0.02
_SLOWEST_S: Final = 2.0
_LONGEST_WAIT_S: Final = 30.0


class Length(NamedTuple):
    calm_s: float
    incident_s: float
    window_s: int


LONG: Final = Length(5.0, 10.0, 5)
SHORT: Final = Length(1.0, 5.0, 2)


class Traffic(NamedTuple):
    """Requests of one part of the drill: how many, how many failed, and the slowest; seconds."""

    requests: int
    failed: int
    slowest_s: float


class Report:
    """Facts, then promises with whether they were kept."""

    def __init__(self) -> None:
        self.is_kept = True

    def fact(self, text: str) -> None:
        sys.stdout.write(f"       {text}\n")

    def promise(self, text: str, *, kept: bool) -> None:
        self.is_kept = self.is_kept and kept
        sys.stdout.write(f"{'kept ' if kept else 'BROKEN'}  {text}\n")


def main(arguments: list[str]) -> int:
    length = SHORT if "--short" in arguments else LONG
    with tempfile.TemporaryDirectory() as directory, fake_telegram() as telegram, sentry_server() as sentry:
        database = Path(directory) / "ledger.sqlite3"
        telegram.next_answers.append(too_many(1))
        with running_api(database, telegram, sentry, length) as url:
            calm = read_balances(url, length.calm_s)
            told_when_calm = list(telegram.texts)
            with unreadable(database):
                broken = read_balances(url, length.incident_s)
            after = read_balances(url, length.window_s)
            ended = telegram.wait_for(lambda server: len(server.texts) >= 4, within_s=_LONGEST_WAIT_S)
            later = read_balances(url, 2.0 * length.window_s)
            sentry.wait_for(lambda errors: len(errors) > 0)
            page, errors = fetched(f"{url}/metrics"), sentry.errors()
    report = Report()
    sys.stdout.write("alerts drill: a ledger that can't be read, with two workers\n")
    for name, traffic in (("calm", calm), ("incident", broken), ("after", after), ("later", later)):
        report.fact(
            f"{name}: {traffic.requests} requests, {traffic.failed} failed, slowest {traffic.slowest_s * 1000:.0f} ms"
        )
    for text in telegram.texts:
        report.fact(f"Telegram: {text.splitlines()[-1]}")
    report.promise("nobody was alerted while everything was fine", kept=not told_when_calm and calm.failed == 0)
    tell_of_telegram(report, telegram, page, has_ended=ended)
    tell_of_sentry(report, errors)
    slowest_s = max(traffic.slowest_s for traffic in (calm, broken, after, later))
    report.promise(f"no request took longer than {_SLOWEST_S:g} s", kept=slowest_s < _SLOWEST_S)
    report.promise("after the incident requests succeed again", kept=later.failed == 0 and later.requests > 0)
    return 0 if report.is_kept else 1


def tell_of_telegram(report: Report, telegram: FakeTelegram, page: str, *, has_ended: bool) -> None:
    lines = [text.splitlines()[-1] for text in telegram.texts]
    for name in INCIDENTS:
        messages = [line for line in lines if line.startswith(f"{name}: ")]
        ends = [" recovered after " in line for line in messages]
        report.promise(f"{name} was reported once, and its recovery once", kept=ends == [False, True])
    report.promise("nothing else was reported", kept=has_ended and len(lines) == 2 * len(INCIDENTS))
    report.promise("the 429 was respected: each message was accepted once", kept=telegram.asked == len(lines) + 1)
    counted = re.findall(r'^alert_messages_total\{result="(\w+)"\} (\S+)$', page, re.MULTILINE)
    expected = {"sent": float(len(lines)), "failed": 0.0, "dropped": 0.0, "postponed": 0.0}
    sent = {result: float(value) for result, value in counted}
    is_closed = "\nalert_incidents_open 0.0\n" in page
    report.promise("the metrics say the same, and that no incident is open", kept=sent == expected and is_closed)


def tell_of_sentry(report: Report, errors: list[dict[str, object]]) -> None:
    transactions = {error.get("transaction") for error in errors}
    report.fact(f"Sentry: {len(errors)} errors, of {', '.join(map(str, transactions)) or 'none'}")
    report.promise(f"Sentry has the errors of {ENDPOINT}", kept=transactions == {ENDPOINT})
    report.promise("no account's number is among what it was sent", kept="acct-0" not in str(errors))


@contextmanager
def running_api(database: Path, telegram: FakeTelegram, sentry: SentryServer, length: Length) -> Iterator[str]:
    """Run the API without showing its log; yields its base URL."""
    settings = {
        "DATABASE": str(database),
        "ACCOUNTS": "50",
        "LIMITER": "off",
        "WORKERS": "2",
        "SENTRY_DSN": sentry.dsn,
        "SENTRY_ENVIRONMENT": "drill",
        "TELEGRAM_ALERT_TOKEN": TOKEN,
        "TELEGRAM_ALERT_CHAT": CHAT,
        "TELEGRAM_API_URL": telegram.url,
        "ALERT_WINDOW": str(length.window_s),
        # This machine's own problems are not part of the drill.
        "ALERT_DISK_FREE": "0",
        "ALERT_STALL": "60",
    }
    with running_target(stderr=subprocess.DEVNULL, **settings) as target:
        yield target.url


@contextmanager
def unreadable(database: Path) -> Iterator[None]:
    """Rename the accounts table for the body of this context."""
    rename(database, "accounts", "gone")
    try:
        yield
    finally:
        rename(database, "gone", "accounts")


def rename(database: Path, table: str, name: str) -> None:
    with closing(sqlite3.connect(database, isolation_level=None, timeout=10)) as connection:
        # Otherwise references to the table would be changed too.
        connection.execute("PRAGMA legacy_alter_table=ON")
        connection.execute(f"ALTER TABLE {table} RENAME TO {name}")


def read_balances(url: str, seconds: float) -> Traffic:
    """Read balances one after another, each over a new connection, so that they reach both workers."""
    requests = failed = 0
    slowest_s = 0.0
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        began_s = time.monotonic()
        try:
            fetched(f"{url}/balance/acct-000001")
        except urllib.error.HTTPError as error:
            error.close()
            failed += 1
        requests += 1
        slowest_s = max(slowest_s, time.monotonic() - began_s)
        time.sleep(_PAUSE_S)
    return Traffic(requests, failed, slowest_s)


def fetched(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own, on loopback
        text: str = answer.read().decode()
    return text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
