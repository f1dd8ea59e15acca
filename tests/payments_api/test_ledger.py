"""The ledger's promises: constant sum, no overdraft, and payments answered with 201 survive."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import threading

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

import payments_api.__main__ as program
from drills.target import running_target
from payments_api.ledger import KeyReusedError, Ledger, Order, create_database

ACCOUNTS = 4


def new_ledger(path: str) -> Ledger:
    create_database(path, ACCOUNTS)
    return Ledger(path)


order = st.builds(
    Order,
    debit=st.sampled_from([f"acct-00000{number}" for number in range(ACCOUNTS + 1)]),
    credit=st.sampled_from([f"acct-00000{number}" for number in range(ACCOUNTS + 1)]),
    amount=st.integers(1, 900_000),
    currency=st.sampled_from(["EUR", "USD"]),
)


@pytest.mark.slow
@given(orders=st.lists(st.tuples(st.sampled_from("abcdef"), order), max_size=15))
def test_the_books_balance_whatever_is_ordered(tmp_path_factory, orders):
    """Concurrent orders with shared keys: constant sum, no overdraft, each transaction's postings cancel out."""
    path = tmp_path_factory.mktemp("ledger") / "ledger.sqlite3"
    ledger = new_ledger(str(path))

    async def pay_all():
        return await asyncio.gather(*(ledger.pay(key, one) for key, one in orders), return_exceptions=True)

    results = asyncio.run(pay_all())
    ledger.close()
    with contextlib.closing(sqlite3.connect(path)) as database:
        balances = [row[0] for row in database.execute("SELECT balance FROM accounts")]
        uneven = database.execute("SELECT 1 FROM postings GROUP BY transaction_id HAVING SUM(amount) <> 0").fetchall()
        transactions = database.execute("SELECT COUNT(*) FROM transactions").fetchone()[0]
    assert sum(balances) == ACCOUNTS * 1_000_000
    assert min(balances) >= 0
    assert not uneven
    first_of_key = {result.body["id"] for result in results if getattr(result, "status", 0) == 201}
    assert transactions == len(first_of_key)


def test_a_reused_key_is_refused_and_changes_nothing(tmp_path):
    """The second order under a key never runs."""
    ledger = new_ledger(str(tmp_path / "ledger.sqlite3"))
    asyncio.run(ledger.pay("k", Order("acct-000000", "acct-000001", 5, "EUR")))
    with pytest.raises(KeyReusedError):
        asyncio.run(ledger.pay("k", Order("acct-000000", "acct-000001", 6, "EUR")))
    assert ledger.account("acct-000000")["balance"] == 999_995
    ledger.close()


def test_a_broken_database_fails_the_request_not_the_writer(tmp_path):
    """The caller gets the SQLite error, and the next order works again."""
    path = tmp_path / "ledger.sqlite3"
    ledger = new_ledger(str(path))
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("ALTER TABLE transactions RENAME TO gone")
        database.commit()
        with pytest.raises(sqlite3.Error):
            asyncio.run(ledger.pay("k", Order("acct-000000", "acct-000001", 5, "EUR")))
        database.execute("ALTER TABLE gone RENAME TO transactions")
        database.commit()
    assert asyncio.run(ledger.pay("k", Order("acct-000000", "acct-000001", 5, "EUR"))).status == 201
    ledger.close()


def test_readiness_notices_a_lost_database(tmp_path):
    """A closed or broken database is not ready."""
    ledger = new_ledger(str(tmp_path / "ledger.sqlite3"))
    assert ledger.is_readable()
    ledger.close()
    assert not ledger.is_readable()


@pytest.mark.process
def test_payments_answered_with_201_survive_sigkill(tmp_path):
    """Kill the process in the middle of payments: after a restart, each acknowledged one is there."""
    database = str(tmp_path / "ledger.sqlite3")
    acknowledged: list[dict[str, object]] = []
    with running_target(DATABASE=database, LIMITER="off") as target:

        def pay(number: int) -> None:
            with contextlib.suppress(requests.RequestException):
                for count in range(200):
                    answer = target.pay(f"{number}-{count}", amount=1)
                    acknowledged.append(answer.json())

        threads = [threading.Thread(target=pay, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        while len(acknowledged) < 40:
            threads[0].join(0.01)
        os.kill(target.process.pid, signal.SIGKILL)
        for thread in threads:
            thread.join(20)
    assert len(acknowledged) < 800
    with running_target(DATABASE=database, LIMITER="off") as target:
        for paid in acknowledged:
            assert requests.get(f"{target.url}/transactions/{paid['id']}", timeout=5).json() == paid
        assert target.balance("acct-000001") + target.balance("acct-000002") == 2_000_000


def sqlite_of(path, version: int) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {version}")
        database.execute("CREATE TABLE IF NOT EXISTS notes (text)")


UNUSABLE = {
    "no directory": (lambda path: path / "none/x.sqlite3", "unable to open database file"),
    "a directory": (lambda path: path, "unable to open database file"),
    "no database": (lambda path: path / "text", "file is not a database"),
    "a newer one": (lambda path: path / "newer", "a ledger of schema 2, and this version knows 1"),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_a_file_that_is_no_ledger_is_refused_in_one_line_and_left_unchanged(tmp_path, kind, monkeypatch, capsys):
    """With exit code 2, before anything is written to it."""
    (tmp_path / "text").write_bytes(b"no database at all\n" * 100)
    sqlite_of(tmp_path / "newer", 2)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    where, got = UNUSABLE[kind]
    database = where(tmp_path)
    monkeypatch.setenv("DATABASE", str(database))
    monkeypatch.setenv("PORT", "0")
    monkeypatch.setattr(program.sys, "argv", ["payments_api"])
    monkeypatch.setattr(program, "Stop", lambda: None)
    monkeypatch.setattr(program, "_serve", lambda *_, **__: 0)
    assert program.main() == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"{database}: can't be served, got {got}; ")
    assert captured.err.count("\n") == 1
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_ledger_from_before_schema_versions_is_accepted(tmp_path):
    """It counts as version 1."""
    path = tmp_path / "ledger.sqlite3"
    create_database(str(path), ACCOUNTS)
    sqlite_of(path, 0)
    create_database(str(path), ACCOUNTS)
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone()[0] == 1
