"""A correct ledger is never called wrong, and each faulty one breaks its promise."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from loadproof.analysis.audit.ledger.balances import BALANCES, NOT_NEGATIVE, SUM
from loadproof.analysis.audit.ledger.books import NOTHING_ELSE, ONCE, OWN, THERE
from loadproof.analysis.audit.ledger.ledger import audit_ledger
from loadproof.analysis.audit.ledger.reads import READ_BALANCES, READ_PAYMENTS
from loadproof.analysis.audit.ledger.record import Attempt, LedgerRecord, Order, Snapshot
from loadproof.analysis.audit.ledger.replays import OTHER_BODY, SAME_KEY
from loadproof.analysis.audit.ledger.rows import Declared, ledger_record
from loadproof.analysis.word import Word
from loadproof.outcome import Said
from loadproof.plan.evidence import needed_to_see
from loadproof.rundir.observations import Observation
from loadproof.scenario.thresholds.audit import ONE_IN
from tests.analysis.audit import banks
from tests.analysis.audit.ledger.tellers import Load
from tests.profiles import simulations

if TYPE_CHECKING:
    from loadproof.analysis.audit.audit import Audited, Evidence

pytestmark = pytest.mark.slow
"""Each simulated run of many clients takes a tenth of a second."""

PROMISES = [
    THERE,
    ONCE,
    OWN,
    NOTHING_ELSE,
    SAME_KEY,
    OTHER_BODY,
    BALANCES,
    SUM,
    NOT_NEGATIVE,
    READ_PAYMENTS,
    READ_BALANCES,
]
ONE_IN_FEW = 10
"""So that few payments are enough."""


def words(found: Audited) -> dict[str, Word]:
    return {evidence.promise: evidence.word for evidence in found.evidence}


def evidence_of(found: Audited, promise: str) -> Evidence:
    return next(evidence for evidence in found.evidence if evidence.promise == promise)


def broken(found: Audited) -> set[str]:
    return {promise for promise, word in words(found).items() if word is Word.FAIL}


def test_a_correct_ledger_keeps_every_promise():
    """Although its network loses requests and answers, and clients retry."""
    for bank in (banks.Bank, banks.LaxBank, banks.ConflictingBank):
        found = audit_ledger(Load(bank, 1, payments=500).run(), one_in=ONE_IN_FEW)
        assert words(found) == dict.fromkeys(PROMISES, Word.PASS)
        assert (found.word, found.offences, found.offences_total) == (Word.PASS, (), 0)


@pytest.mark.parametrize(
    "seeds",
    [range(60), *(pytest.param(range(first, first + 1_000), marks=pytest.mark.long) for first in (60, 1_060, 2_060))],
    ids=str,
)
def test_a_correct_ledger_is_never_called_wrong(seeds):
    """Whatever gets lost on the way, in whatever order things happen."""
    for seed in seeds:
        bank = banks.LaxBank if seed % 2 else banks.Bank
        record = Load(bank, seed, payments=30, pairs=4).run()
        assert broken(audit_ledger(record, one_in=ONE_IN_FEW)) == set(), seed


def test_a_correct_ledger_is_never_called_wrong_if_reads_are_missing():
    """Any part of the answers may be missing: then less is decided, but nothing wrongly."""
    for seed in range(simulations(60)):
        load = Load(banks.Bank, seed, payments=30, pairs=4)
        load.run()
        chance = random.Random(seed)
        paid = {"replay", "race", "reuse", "overdraft"}
        load.seen = [seen for seen in load.seen if seen.kind in paid or chance.random() < 0.5]
        assert broken(audit_ledger(load.record(), one_in=ONE_IN)) == set(), seed


def test_a_correct_ledger_is_never_called_wrong_if_the_journal_was_torn():
    """Payments that were not recorded are nobody's fault."""
    for seed in range(simulations(40)):
        load = Load(banks.Bank, seed, payments=30, pairs=4)
        load.run()
        chance = random.Random(seed)
        load.rows = [row for row in load.rows if chance.random() < 0.5]
        record = replace(load.record(), is_whole=False)
        found = audit_ledger(record, one_in=ONE_IN_FEW)
        assert (broken(found), found.word) == (set(), Word.INCONCLUSIVE), seed


def test_a_correct_ledger_is_never_called_wrong_if_clocks_differ_within_the_allowance():
    """Without the allowance it would be, so it is needed."""
    allowed, not_allowed = (
        [broken(audit_ledger(record, one_in=ONE_IN)) for record in skewed(doubt_us)] for doubt_us in (3_000, 0)
    )
    assert not any(allowed)
    assert all(found <= {READ_BALANCES, READ_PAYMENTS} for found in not_allowed)
    assert any(not_allowed)


def skewed(doubt_us: int) -> list[LedgerRecord]:
    """Half of the clients record times that are 3 ms late."""
    records = []
    for seed in range(20):
        load = Load(banks.Bank, seed, payments=60, pairs=0)
        load.run()
        for row in load.rows:
            late_us = 3_000 if row["client"] in {"c0", "c1", "c2"} else 0
            row |= {"sent_us": row["sent_us"] + late_us, "ended_us": row["ended_us"] + late_us}
        records.append(load.record(doubt_us=doubt_us))
    return records


WRONG = {
    banks.UnlockedBank: {BALANCES, SUM},
    banks.StaleBank: {READ_BALANCES},
    banks.HastyBank: {THERE, BALANCES},
    banks.ForgetfulBank: {THERE, BALANCES},
    banks.RowlessBank: {THERE},
    banks.UnmovedBank: {BALANCES},
    banks.KeyOutsideBank: {ONCE, BALANCES},
    banks.CheckThenInsertBank: {SAME_KEY, ONCE},
    banks.IndifferentBank: {OTHER_BODY},
    banks.RoundingBank: {OWN},
    banks.SwappingBank: {OWN},
    banks.LendingBank: {NOT_NEGATIVE},
    banks.InventiveBank: {NOTHING_ELSE, BALANCES},
    banks.TornBank: {SUM},
    banks.BookingRefuserBank: {BALANCES},
    banks.FlickeringBank: {OWN},
    banks.ShamefacedBank: {NOT_NEGATIVE},
}


@pytest.mark.parametrize("bank", WRONG, ids=lambda bank: bank.__name__)
def test_each_fault_breaks_its_promise(bank):
    """With the rows that show it."""
    found = audit_ledger(Load(bank, 3, payments=300).run(), one_in=ONE_IN_FEW)
    assert found.word is Word.FAIL
    assert broken(found) >= WRONG[bank]
    assert all(offence.rows for offence in found.offences)
    assert found.offences_total >= len(found.offences)


@pytest.mark.parametrize("way", ["lists", "lists with keys", "ids"])
def test_another_payments_id_doesnt_count_as_there(way):
    """However payments are looked for: each key's own id has to lead to its own payment."""
    load = Load(banks.MistakenBank, 3, payments=300, pairs=4, lists_keys=way == "lists with keys")
    load.run()
    if way == "ids":
        load.seen = [seen for seen in load.seen if seen.kind != "payments"]
        load.read_payments()
    found = audit_ledger(load.record(has_lists=way != "ids"), one_in=ONE_IN_FEW)
    assert THERE in broken(found)
    assert any("which is another payment" in offence.what for offence in found.offences)


def test_differing_lists_of_two_accounts_are_found_whichever_was_read_first():
    """One of them doesn't show what was ordered."""
    for of in (0, -1):
        load = Load(banks.Bank, 3, payments=60, pairs=4)
        load.run()
        listings = [seen for seen in load.seen if seen.kind == "payments" and seen.when == "after"]
        counts = Counter(row["payment"] for seen in listings for row in seen.said["payments"])
        row = next(row for row in listings[of].said["payments"] if counts[row["payment"]] == 2)
        row["amount"] += 1
        assert broken(audit_ledger(load.record(), one_in=ONE_IN_FEW)) >= {OWN}


def test_payments_read_after_the_load_are_never_stale():
    """So they don't show whether they could be read at once."""
    load = Load(banks.Bank, 3, payments=300)
    load.run()
    read = [evidence_of(audit_ledger(load.record(), one_in=ONE_IN_FEW), READ_PAYMENTS).n]
    load.read_payments()
    read.append(evidence_of(audit_ledger(load.record(), one_in=ONE_IN_FEW), READ_PAYMENTS).n)
    assert read[0] == read[1] > 0


def test_overdraft_pairs_count_even_if_all_are_alike():
    """As they soon are on two accounts that hold little."""
    asked = {"debit": "a", "credit": "b", "amount": 2}
    pairs = [
        Observation("overdraft", "after", "c", at, at + 5, status, "ok", {"key": f"{at}{status}", **asked}, {})
        for at in range(0, 100, 10)
        for status in (201, 422)
    ]
    record = ledger_record(
        [], pairs, Declared(is_exclusive=True, has_keys=True, has_reads=True, has_lists=True, has_snapshot=True)
    )
    assert evidence_of(audit_ledger(record, one_in=1), NOT_NEGATIVE).word is Word.PASS


def test_without_payments_nothing_passes():
    """A run that paid nothing passes nothing."""
    found = audit_ledger(LedgerRecord([], is_exclusive=True, has_snapshot=True), one_in=1)
    assert set(words(found).values()) == {Word.INCONCLUSIVE}


def test_one_loss_in_5000_takes_15000_payments_to_see():
    """Rule of three: with 3 r payments, a loss of one in r is missed with a probability of 5 %."""
    assert needed_to_see(ONE_IN) == 15_000
    record = Load(banks.Bank, 1, payments=150).run()
    enough = len({attempt.key for attempt in record.attempts if attempt.said == "acknowledged"})
    assert words(audit_ledger(record, one_in=enough / 3))[THERE] is Word.PASS
    few = audit_ledger(record, one_in=(enough + 1) / 3)
    assert words(few)[THERE] is Word.INCONCLUSIVE
    assert f"{enough} acknowledged payments looked for, needs {enough + 1}" in few.reason


def test_without_exclusive_accounts_balances_decide_nothing():
    """Others may have moved the missing money."""
    load = Load(banks.UnmovedBank, 3, payments=300)
    load.run()
    found = audit_ledger(load.record(is_exclusive=False), one_in=ONE_IN_FEW)
    assert {words(found)[promise] for promise in (BALANCES, SUM)} == {Word.INCONCLUSIVE}
    assert "exclusive_accounts: true" in next(each.reason for each in found.evidence if each.promise == SUM)


def test_without_a_snapshot_balances_can_only_fail():
    """Each account's own balance shows what is missing, but their sum is never seen."""
    for bank, word in ((banks.Bank, Word.INCONCLUSIVE), (banks.UnmovedBank, Word.FAIL)):
        load = Load(bank, 3, payments=300)
        load.run()
        found = audit_ledger(load.record(has_snapshot=False), one_in=ONE_IN_FEW)
        assert words(found)[BALANCES] is word
        assert words(found)[SUM] is Word.INCONCLUSIVE


def test_without_lists_payments_are_looked_for_by_their_ids():
    """And balances show that there are no others."""
    for bank, word in ((banks.Bank, Word.PASS), (banks.RowlessBank, Word.FAIL)):
        load = Load(bank, 3, payments=300)
        load.run()
        load.seen = [seen for seen in load.seen if seen.kind != "payments"]
        assert words(audit_ledger(load.record(has_lists=False), one_in=ONE_IN_FEW))[THERE] is not Word.PASS
        load.read_payments()
        found = words(audit_ledger(load.record(has_lists=False), one_in=ONE_IN_FEW))
        assert (found[THERE], found[ONCE], found[NOTHING_ELSE]) == (word, Word.PASS, Word.PASS)


def test_a_target_without_keys_promises_nothing_about_them():
    """It is not asked about them."""
    record = replace(Load(banks.Bank, 3).run(), has_keys=False)
    assert not {SAME_KEY, OTHER_BODY} & words(audit_ledger(record, one_in=ONE_IN)).keys()


@pytest.mark.parametrize("kept", [(), ("payment",)])
def test_lists_that_dont_identify_payments_never_cause_a_fail(kept):
    """Neither lists without ids, nor lists of payments whose answers had none."""
    load = Load(banks.Bank, 3, payments=100)
    load.run()
    for each in (*load.rows, *load.seen):
        words_of = each["noted"] if isinstance(each, dict) else each.said
        words_of.pop("payment", None)
    for seen in load.seen:
        for number, row in enumerate(seen.said.get("payments", ())):
            ident = row.pop("payment")
            seen.said["payments"][number] = row | ({"payment": ident} if kept else {})
    found = audit_ledger(load.record(), one_in=ONE_IN_FEW)
    assert broken(found) == set()
    assert words(found)[THERE] is Word.INCONCLUSIVE


def test_money_paid_to_an_account_that_is_not_read_is_not_missing():
    """Like a shop's: the sum of the others changes as it should."""
    paid = Attempt("k1", Order("a", "shop", 10), 1_000_000, 1_050_000, Said.ACKNOWLEDGED, "p1", {"status": 201})
    seen = [Snapshot({"a": 100, "b": 100}, 0, 1, {}), Snapshot({"a": 90, "b": 100}, 2_000_000, 2_000_001, {})]
    record = LedgerRecord([paid], snapshots=seen, is_exclusive=True, has_snapshot=True)
    assert words(audit_ledger(record, one_in=1))[SUM] is Word.INCONCLUSIVE
