"""The questions that audits ask a target suffice to judge it, and stay within its limits."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from drills.target import running_target
from loadproof.analysis.audit.journalaudits import ledger_audit, webhooks_audit
from loadproof.analysis.audit.ledger.balances import NOT_NEGATIVE, SUM
from loadproof.analysis.audit.ledger.reads import READ_BALANCES, READ_PAYMENTS
from loadproof.analysis.audit.ledger.replays import OTHER_BODY, SAME_KEY
from loadproof.analysis.frames.journal import load_journal
from loadproof.analysis.frames.run import load_run
from loadproof.analysis.word import Word
from loadproof.plan.phases import plan_phases
from loadproof.run.audits.auditing import Auditing
from loadproof.run.target.reference import AUDITED
from loadproof.rundir import files
from loadproof.rundir.journal import append_journal, journal_lines, noted_text, quoted
from loadproof.rundir.manifest import Manifest, TargetFacts, write_manifest
from loadproof.rundir.members import packed
from loadproof.rundir.observations import read_observations
from loadproof.scenario.target.operations import PaymentReadOperation
from loadproof.scenario.target.targetfile import TargetFile
from payments_api.settings import DEVELOPMENT_SECRET
from simulation.rundirs import scenario
from tests.loadproof.run.audits.bankserver import OWN_KEYS, bank_server

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadproof.analysis.audit.audit import Audited

pytestmark = pytest.mark.process
FEW = [{"audit": "ledger", "detects": "1 in 20"}, {"audit": "webhooks", "detects": "1 in 20"}]
PHASES = [{"name": "steady", "duration": "5 s", "users": 1}]


def run_against(target: TargetFile, path: Path, *, audits: list[str], load: Callable[[], str] = str) -> Path:
    """A run directory whose load left these journal lines; all other payments and events are the audit's own."""
    thresholds = [*(threshold for threshold in FEW if threshold["audit"] in audits), {"expect": "goodput_ratio >= 9 %"}]
    content = scenario(phases=PHASES, thresholds=thresholds)
    facts: dict[str, Any] = target.model_dump(include={"headers", "endpoints", "exclusive_accounts"})
    now_s = time.time()
    manifest = Manifest(
        run_id="of-a-test",
        scenario=content,
        scenario_file="",
        seed=1,
        command="",
        target=TargetFacts(kind="own", base_url=target.base_url, limits={}, account_ids=target.account_ids, **facts),
        phases=plan_phases(content),
        workers=1,
        revision="",
        versions={},
        host={},
        start_unix_s=now_s,
        ending="completed",
    )
    auditing = Auditing(manifest, path, secret={"WEBHOOK_SECRET": DEVELOPMENT_SECRET}, stop_requested=lambda: False)
    auditing.before()
    write_manifest(path, manifest.model_copy(update={"start_unix_s": time.time()}))
    append_journal(path / files.JOURNAL, packed(load()))
    auditing.after()
    return path


def judged(path: Path, audit: Any = ledger_audit) -> Audited:
    run = load_run(path)
    return audit(run, load_journal(run))


def words(found: Audited) -> dict[str, Word]:
    return {evidence.promise: evidence.word for evidence in found.evidence}


NEEDS_LOAD = {SUM, READ_BALANCES}
"""Promises that can only be checked while others pay."""


def test_a_correct_target_with_another_vocabulary_passes(tmp_path):
    """Its amounts are decimal, and its lists nested."""
    with bank_server() as (bank, target):
        found = judged(run_against(target, tmp_path, audits=["ledger"]))
    assert set(words(found).values()) == {Word.PASS, Word.INCONCLUSIVE}
    assert {promise for promise, word in words(found).items() if word is Word.INCONCLUSIVE} == NEEDS_LOAD
    assert sum(bank.balances.values()) == len(bank.balances) * 500_00


@pytest.mark.parametrize(
    ("fault", "promise"),
    [
        ("checks, then inserts", SAME_KEY),
        ("ignores other bodies", OTHER_BODY),
        ("compares amounts", OTHER_BODY),
        ("lends", NOT_NEGATIVE),
    ],
)
def test_the_audit_provokes_faults_that_normal_load_does_not_show(tmp_path, fault, promise):
    """One key twice at once, one key with two bodies, and payments of more than the balance."""
    with bank_server(fault) as (_, target):
        assert words(judged(run_against(target, tmp_path, audits=["ledger"])))[promise] is Word.FAIL


def test_keys_of_the_load_are_reused_after_it(tmp_path):
    """The first payments are sent once more; to a target that forgot their keys, they are new ones."""
    order = {"from": "a1", "to": "a2", "value": "7.00"}
    with bank_server() as (bank, target):

        def load() -> str:
            _, paid = bank.pay("k1", order, "127.1.0.1")
            bank.keys.clear()
            noted = {"key": "k1", "debit": "a1", "credit": "a2", "amount": 700, "payment": paid["ref"]}
            times = ("local", "127.1.0.1", "transactions", "steady", 1, 2, 3)
            return journal_lines([(*times, 201, "ok", "", 0, quoted(noted_text(noted)))])

        found = judged(run_against(target, tmp_path, audits=["ledger"], load=load))
    assert words(found)[SAME_KEY] is Word.FAIL


def test_the_targets_limits_are_respected_by_asking_as_several_clients(tmp_path):
    """None of them is a client of the load, whose limits are its own."""
    with bank_server(allows=20) as (bank, target):
        found = judged(run_against(target, tmp_path, audits=["ledger"]))
    assert words(found)[SAME_KEY] is Word.PASS
    assert max(bank.counts.values()) <= 22
    assert len(bank.counts) > 10
    assert "127.1.0.1" not in bank.counts


def test_an_open_payment_is_replayed_by_the_client_that_sent_it(tmp_path):
    """If each client has its own keys, the same key from another client would be a new payment."""
    order = {"from": "a1", "to": "a2", "value": "7.00"}
    noted = {"key": "k1", "debit": "a1", "credit": "a2", "amount": 700}
    row = ("local", "127.1.0.1", "transactions", "steady", 1, 2, 3, 0, "timeout", "", 0, quoted(noted_text(noted)))
    with bank_server(OWN_KEYS) as (bank, target):

        def load() -> str:
            bank.pay("k1", order, "127.1.0.1")
            return journal_lines([row])

        found = judged(run_against(target, tmp_path, audits=["ledger"], load=load))
    assert [row["ref"] for row in bank.rows if row["value"] == "7.00"] == [bank.rows[0]["ref"]]
    assert {promise for promise, word in words(found).items() if word is not Word.PASS} == NEEDS_LOAD


def test_questions_that_could_not_be_asked_are_reported_and_nothing_passes(tmp_path, monkeypatch):
    """Here because a limit leaves no time."""
    monkeypatch.setattr("loadproof.run.audits.inquiry._CLIENTS", 1)
    monkeypatch.setattr("loadproof.run.audits.auditing._AFTER_S", 5.0)
    with bank_server(allows=20) as (_, target):
        found = judged(run_against(target, tmp_path, audits=["ledger"]))
    assert found.word is Word.INCONCLUSIVE
    assert "the target's limits left no time" in next(
        each.reason for each in found.evidence if each.promise == SAME_KEY
    )


def test_a_target_that_is_gone_is_given_up_on_soon(tmp_path, monkeypatch):
    """No payment is reported as lost."""
    monkeypatch.setattr("loadproof.run.audits.auditing._STARTING_S", 1.0)
    with bank_server() as (_, target):
        pass
    began_s = time.monotonic()
    found = judged(run_against(target, tmp_path, audits=["ledger"]))
    assert time.monotonic() - began_s < 30
    assert (found.word, found.offences) == (Word.INCONCLUSIVE, ())
    assert "the target stopped responding" in found.evidence[0].reason


def test_the_reference_api_keeps_its_promises_and_shows_its_ledger_only_to_an_auditor(tmp_path, shared_target):
    """Auditing has to be enabled."""
    accounts = [f"acct-{number:06d}" for number in range(100, 106)]
    with running_target(LIMITER="off", AUDIT="on") as reference:
        content = {"base_url": reference.url, "accounts": accounts, "exclusive_accounts": True, "endpoints": AUDITED}
        target = TargetFile.model_validate(content)
        run = run_against(target, tmp_path, audits=["ledger", "webhooks"])
    assert {promise for promise, word in words(judged(run)).items() if word is not Word.PASS} == {
        *NEEDS_LOAD,
        READ_PAYMENTS,
    }
    assert set(words(judged(run, webhooks_audit)).values()) == {Word.PASS}
    manifest = (run / files.MANIFEST).read_text()
    assert "/audit/effects" in manifest
    seen = list(read_observations(run / files.OBSERVATIONS, 0))
    assert DEVELOPMENT_SECRET.removeprefix("whsec_") not in "".join(map(str, seen))
    for path in ("accounts", "payments/acct-000001", "effects/evt_1"):
        assert requests.get(f"{shared_target.url}/audit/{path}", timeout=5).status_code == 404


@pytest.mark.parametrize("way", ["by key", "by id"])
def test_the_audits_own_payments_are_looked_for_however_they_are_shown(tmp_path, way):
    """Otherwise no target that shows them like this could pass."""
    with bank_server() as (bank, target):
        by_account, answer = bank.get, target.endpoints.payments.answer

        def get(path: str) -> tuple[int, Any]:
            name = path.rpartition("/")[2]
            if path.startswith("/under/"):
                return 200, {"data": {"list": [bank.keys[name]] if name in bank.keys else []}}
            if path.startswith("/paid/"):
                row = next((row for row in bank.rows if row["ref"] == name), None)
                return (200, row) if row else (404, {})
            return by_account(path)

        bank.get = get
        changes = {
            "by key": {"payments": target.endpoints.payments.model_copy(update={"path": "/under/{key}"})},
            "by id": {"payments": None, "transaction": PaymentReadOperation(path="/paid/{id}", answer=answer)},
        }[way]
        shown = target.model_copy(update={"endpoints": target.endpoints.model_copy(update=changes)})
        found = judged(run_against(shown, tmp_path, audits=["ledger"]))
    undecided = {promise for promise, word in words(found).items() if word is not Word.PASS}
    assert undecided == NEEDS_LOAD | ({READ_PAYMENTS} if way == "by id" else set())
