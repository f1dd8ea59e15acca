"""What the backup audit concludes: nothing from nothing, and the same from any way of reading payments."""

from __future__ import annotations

from dataclasses import replace

import pytest

from loadproof.analysis.audit.backup.backup import (
    AT_REST,
    BALANCES,
    OWN,
    RESTORES,
    SERVES,
    SUM,
    TAKEN,
    THERE,
    VERIFIED,
    audit_backup,
)
from loadproof.analysis.audit.backup.record import BackupRecord, TriedBackup
from loadproof.analysis.audit.ledger.record import Attempt, LedgerRecord, Listed, Listing, Order, PaymentRead
from loadproof.analysis.word import Word
from loadproof.outcome import Said
from loadproof.rundir.commands import CommandRun
from loadproof.rundir.observations import Observation

ONE_IN = 10
BEGAN_US, ENDED_US = 4_000_000, 4_800_000
COUNT = 60
"""Payments, one each tenth of a second from 0 s on: 40 before the backup began, 8 while it ran."""
OPENING = {"a": 1_000, "b": 1_000}
SERVED = Observation("health", "after", "127.1.0.1", 30_000_000, 30_001_000, 200, "ok", {})


def ran(name: str, fault: int | None = None, **changes: object) -> CommandRun:
    return replace(CommandRun(name, fault, [name], 0.0, 2.0, "exited", 0, ""), **changes)


def attempt(number: int, said: Said = Said.ACKNOWLEDGED) -> Attempt:
    at_us = number * 100_000
    payment = f"p{number}" if said is Said.ACKNOWLEDGED else ""
    row = {"status": 201, "noted": {}}
    return Attempt(f"k{number}", Order("a", "b", 1), at_us, at_us + 50_000, said, payment, row)


def ledger(count: int, *, by_id: bool = False, attempts: list[Attempt] | None = None) -> LedgerRecord:
    """A restored ledger with the first `count` payments, and the balances that follow from them."""
    attempts = attempts or [attempt(number) for number in range(COUNT)]
    rows = tuple(Listed(f"p{number}", "", Order("a", "b", 1)) for number in range(count))
    reads = [
        PaymentRead(
            f"p{number}", number < count, Order("a", "b", 1) if number < count else None, 40_000_000, 40_000_001, {}
        )
        for number in range(COUNT)
    ]
    return LedgerRecord(
        attempts=attempts,
        opening=OPENING,
        closing={"a": 1_000 - count, "b": 1_000 + count},
        listings=[]
        if by_id
        else [
            *(Listing(account, "", (), is_before=True, row={}) for account in OPENING),
            *(Listing(account, "", rows, is_before=False, row={}) for account in OPENING),
        ],
        payment_reads=reads if by_id else [],
        is_exclusive=True,
        has_lists=not by_id,
    )


def tried(shown: LedgerRecord, **changes: object) -> TriedBackup:
    right = TriedBackup(shown, ran("backup", 0), BEGAN_US, ENDED_US, None, ran("restore"), SERVED)
    return replace(right, **changes)


def record(first: TriedBackup | None, second: TriedBackup | None = None, **changes: object) -> BackupRecord:
    """One backup under load, and one at rest that has everything."""
    at_rest = tried(ledger(COUNT)) if first is not None and second is None else second
    taken = [first.backup] if first is not None else []
    return replace(BackupRecord(taken=taken, under_load=first, at_rest=at_rest), **changes)


def words(shown: BackupRecord) -> dict[str, Word]:
    return {evidence.promise: evidence.word for evidence in audit_backup(shown, one_in=ONE_IN).evidence}


@pytest.mark.parametrize("by_id", [False, True], ids=["lists", "ids"])
@pytest.mark.parametrize("count", [40, 44, 48], ids=["its start", "meanwhile", "its end"])
def test_a_backup_of_any_moment_from_its_start_to_its_end_is_right(by_id, count):
    """Payments from while it ran, or in flight at its start, may be in it or not."""
    assert set(words(record(tried(ledger(count, by_id=by_id)))).values()) == {Word.PASS}


@pytest.mark.parametrize("by_id", [False, True], ids=["lists", "ids"])
def test_payments_newer_than_the_backup_show_that_it_is_not_that_backup(by_id):
    """Serving the live database instead of restoring shows every payment, including those that no backup can have."""
    live = record(tried(ledger(COUNT, by_id=by_id)), tried(ledger(COUNT, by_id=by_id)))
    assert {words(live)[name] for name in (THERE, OWN, BALANCES, SUM)} == {Word.INCONCLUSIVE}
    told = "what was served isn't this backup: it has 11 payments that were sent after it had ended"
    assert str(audit_backup(live, one_in=ONE_IN)).count(told) >= 4
    assert "isn't this backup" not in str(audit_backup(replace(live, doubt_us=9_000_000), one_in=ONE_IN))


@pytest.mark.parametrize("by_id", [False, True])
def test_a_single_lost_payment_acknowledged_before_it_began_is_noticed(by_id):
    """The last one, acknowledged 0.05 s before."""
    found = audit_backup(record(tried(ledger(39, by_id=by_id))), one_in=ONE_IN)
    assert {one.promise for one in found.evidence if one.word is Word.FAIL} == {THERE}
    (offence,) = found.offences
    assert offence.what == "acknowledged 0.050 s before it began, but missing: 1 from a to b"


@pytest.mark.parametrize("by_id", [False, True])
def test_payments_before_one_in_it_have_to_be_in_it_too(by_id):
    """A copy of two moments lacks a payment acknowledged while it ran, but has one that came after it."""
    shown = ledger(47, by_id=by_id)
    lists = [
        replace(one, payments=tuple(row for row in one.payments if row.payment != "p44")) for one in shown.listings
    ]
    reads = [replace(read, is_there=read.is_there and read.payment != "p44") for read in shown.payment_reads]
    without = replace(shown, listings=lists, payment_reads=reads, closing={"a": 954, "b": 1_046})
    found = audit_backup(record(tried(without)), one_in=ONE_IN)
    assert {one.promise for one in found.evidence if one.word is Word.FAIL} == {THERE}
    assert "acknowledged 0.150 s before 1 from a to b was sent, which is in it" in found.offences[0].what
    assert audit_backup(record(tried(without), doubt_us=200_000), one_in=ONE_IN).offences == ()


def test_serving_the_targets_own_payments_is_no_backup():
    """A `restore` that does nothing, and a `serve` that finds the target's database."""
    strayed = Observation("strayed", "after", "c", 1, 2, 201, "ok", {}, {"payment": "p", "is_there": True})
    shown = record(tried(ledger(COUNT), strayed=strayed))
    assert {promise for promise, word in words(shown).items() if word is Word.FAIL} == {SERVES}


def test_a_second_backup_shows_losses_that_the_first_one_could_excuse():
    """One that lost its newest 8 payments still has the 40 from before it began; at rest it lacks some."""
    shown = record(tried(ledger(48 - 8)), tried(ledger(COUNT - 8)))
    assert {promise for promise, word in words(shown).items() if word is Word.FAIL} == {AT_REST}


def test_balances_have_to_match_the_payments_in_it():
    """Whether a payment is listed or not."""
    for balances, broken in (({"a": 960, "b": 1_041}, {BALANCES, SUM}), ({"a": 959, "b": 1_041}, {BALANCES})):
        shown = record(tried(replace(ledger(40), closing=balances)))
        assert {promise for promise, word in words(shown).items() if word is Word.FAIL} == broken
        shown = record(tried(ledger(40)), tried(replace(ledger(COUNT), closing=balances)))
        assert {promise for promise, word in words(shown).items() if word is Word.FAIL} == {AT_REST}


def test_payments_in_it_are_as_ordered_and_there_once():
    """And a refused one is in no backup."""
    shown = ledger(40)
    other = (Listed("p1", "", Order("a", "b", 2)), *shown.listings[2].payments[2:], shown.listings[2].payments[0])
    changed = [*shown.listings[:2], *(replace(listing, payments=other) for listing in shown.listings[2:])]
    assert words(record(tried(replace(shown, listings=changed))))[OWN] is Word.FAIL
    twice = [*shown.listings[:2], *(replace(one, payments=one.payments * 2) for one in shown.listings[2:])]
    assert words(record(tried(replace(shown, listings=twice))))[OWN] is Word.FAIL
    refused = [replace(attempt(0), said=Said.REFUSED), *(attempt(number) for number in range(1, COUNT))]
    keyed = [
        replace(one, payments=tuple(replace(each, key=f"k{each.payment[1:]}") for each in one.payments))
        for one in shown.listings
    ]
    assert words(record(tried(replace(shown, attempts=refused, listings=keyed))))[OWN] is Word.FAIL


def test_payments_in_the_second_backup_are_as_ordered_too():
    """Even on accounts whose balances can't be added up."""
    shown = replace(ledger(COUNT), is_exclusive=False)
    other = (Listed("p1", "", Order("a", "b", 2)), *shown.listings[2].payments[2:], shown.listings[2].payments[0])
    changed = [*shown.listings[:2], *(replace(listing, payments=other) for listing in shown.listings[2:])]
    found = words(record(tried(ledger(48)), tried(replace(shown, listings=changed))))
    assert {promise for promise, word in found.items() if word is Word.FAIL} == {AT_REST}


def test_without_evidence_nothing_passes():
    """Without a backup, without a payment, without a restore, and without an answer."""
    assert set(words(record(None)).values()) == {Word.INCONCLUSIVE}
    assert VERIFIED not in words(record(None))
    empty = words(record(tried(replace(ledger(0), attempts=()))))
    assert {empty[promise] for promise in (TAKEN, THERE, OWN, BALANCES, SUM)} == {Word.INCONCLUSIVE}
    untried = tried(ledger(48), restored=None, served=None)
    assert {words(record(untried, untried))[promise] for promise in (RESTORES, SERVES, THERE, AT_REST)} == {
        Word.INCONCLUSIVE
    }
    stopped = replace(SERVED, outcome="", trouble="the run was stopped")
    assert words(record(tried(ledger(48), served=stopped)))[THERE] is Word.INCONCLUSIVE
    assert Word.FAIL not in words(record(tried(ledger(48), served=stopped))).values()


@pytest.mark.parametrize(
    ("changes", "lacking"),
    [
        ({"began_us": 60_000_000, "ended_us": 61_000_000}, {TAKEN, THERE}),
        ({"backup": ran("backup", 0, how="stopped", code=-15)}, {TAKEN}),
        ({"ledger": replace(ledger(48), is_exclusive=False)}, {BALANCES, SUM}),
        ({"ledger": replace(ledger(48), closing={})}, {BALANCES, SUM}),
    ],
    ids=["nobody paid then", "stopped", "others pay, too", "no balances"],
)
def test_promises_without_evidence_dont_pass(changes, lacking):
    """Each lacks something else."""
    shown = record(tried(ledger(COUNT if "began_us" in changes else 48), **changes))
    assert {promise for promise, word in words(shown).items() if word is Word.INCONCLUSIVE} == lacking


def test_unknown_times_never_cause_a_fail():
    """A worker's clock was never compared with the backup's."""
    shown = record(tried(ledger(0)), doubt_us=10**12)
    assert words(shown)[THERE] is Word.INCONCLUSIVE


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({"backup": ran("backup", 0, code=1, output="no room\n")}, TAKEN),
        ({"backup": ran("backup", 0, how="overdue", code=-9)}, TAKEN),
        ({"verified": ran("verify", code=2)}, VERIFIED),
        ({"restored": ran("restore", how="overdue", code=-9)}, RESTORES),
        ({"served": replace(SERVED, outcome="connection", status=0, trouble="serve exited with 1")}, SERVES),
    ],
    ids=["fails", "never ends", "is not accepted", "is not restored", "does not boot"],
)
def test_a_command_that_fails_breaks_its_promise(changes, broken):
    """Whatever else the run shows."""
    found = audit_backup(record(tried(ledger(48), **changes)), one_in=ONE_IN)
    assert {one.promise for one in found.evidence if one.word is Word.FAIL} == {broken}
    assert found.word is Word.FAIL


def by_key(count: int, *, asked: int = COUNT) -> LedgerRecord:
    """The same, by lists of what is under each of the first `asked` keys."""
    rows = [Listed(f"p{number}", "", Order("a", "b", 1)) for number in range(count)]
    lists = [
        Listing("", f"k{number}", tuple(rows[number : number + 1]), is_before=False, row={}) for number in range(asked)
    ]
    return replace(ledger(count), listings=lists)


def test_a_payment_that_nobody_looked_for_may_be_in_the_balances():
    """Its key was not listed: for lack of time, or because it is one of our own."""
    assert set(words(record(tried(by_key(48)), tried(by_key(COUNT)))).values()) == {Word.PASS}
    assert Word.FAIL not in words(record(tried(by_key(48)), tried(by_key(COUNT, asked=COUNT - 1)))).values()
