"""The ledger's contents, compared with the acknowledged payments."""

from __future__ import annotations

import asyncio

import pytest

from payments_api.ledger import KeyInFlightError, Ledger, Order
from tests.payments_api.mutants.breaking import is_broken_by, is_kept_by, opened

ORDER = Order("acct-000000", "acct-000001", 5, "EUR")


def count(ledger: Ledger) -> int:
    return len(ledger.rows("SELECT id FROM transactions"))


async def payments_at_once_add_up(directory) -> bool:
    ledger = opened(directory)
    await asyncio.gather(*(ledger.pay(f"key-{number}", ORDER) for number in range(10)))
    held = ledger.rows("SELECT balance FROM accounts ORDER BY id")
    ledger.close()
    return [account["balance"] for account in held] == [999_950, 1_000_050]


async def a_balance_has_what_was_just_paid(directory) -> bool:
    ledger = opened(directory)
    ledger.account(ORDER.debit)
    await ledger.pay("key", ORDER)
    found = ledger.account(ORDER.debit)
    ledger.close()
    return found["balance"] == 999_995


async def acknowledged_is_committed(directory) -> bool:
    ledger = opened(directory)
    await ledger.pay("key", ORDER)
    other = Ledger(ledger._path)
    found = count(other)
    ledger.close()
    other.close()
    return found == 1


async def a_payment_is_never_without_its_key(directory) -> bool:
    ledger = opened(directory)
    paying = asyncio.create_task(ledger.pay("key", ORDER))
    while not count(ledger):  # noqa: ASYNC110 - polled, as from outside
        await asyncio.sleep(0.001)
    keys = ledger.rows("SELECT key FROM idempotency")
    await paying
    ledger.close()
    return len(keys) == 1


async def all_that_was_acknowledged_is_there(directory) -> bool:
    ledger = opened(directory)
    results = await asyncio.gather(*(ledger.pay(f"key-{number}", ORDER) for number in range(30)))
    assert {result.status for result in results} == {201}
    found = count(ledger)
    ledger.close()
    return found == 30


async def a_key_is_one_payment(directory) -> bool:
    ledger = opened(directory)
    results = await asyncio.gather(ledger.pay("key", ORDER), ledger.pay("key", ORDER), return_exceptions=True)
    found = count(ledger)
    ledger.close()
    return found == 1 and isinstance(results[1], KeyInFlightError)


PROMISES = {
    "balance-race": payments_at_once_add_up,
    "stale-cache": a_balance_has_what_was_just_paid,
    "acknowledged-before-commit": acknowledged_is_committed,
    "key-outside-transaction": a_payment_is_never_without_its_key,
    "commit-lost": all_that_was_acknowledged_is_there,
    "check-then-insert": a_key_is_one_payment,
}


@pytest.mark.parametrize("name", PROMISES)
def test_the_ledger_keeps_each_promise_but_for_its_mutant(name, tmp_path, monkeypatch):
    assert is_broken_by(name, PROMISES[name], tmp_path, monkeypatch, number=20 if name == "commit-lost" else None)


@pytest.mark.parametrize("name", PROMISES)
def test_a_sequential_retry_is_replayed_even_with_each_mutant(name, tmp_path, monkeypatch):
    """One request after the other, which is what a test without load tries."""

    async def is_replayed(directory) -> bool:
        ledger = opened(directory)
        first, second = [await ledger.pay("key", ORDER) for _ in range(2)]
        ledger.close()
        return second.replayed and first.body == second.body

    assert is_kept_by(name, is_replayed, tmp_path, monkeypatch)
