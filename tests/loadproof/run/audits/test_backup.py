"""Correct and faulty backups, by commands in a target file, of a program that shares no code with the reference API."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, Any, Self

import pytest
import requests

from loadproof.analysis.audit.backup.backup import AT_REST, BALANCES, OWN, RESTORES, SERVES, SUM, TAKEN, THERE
from loadproof.analysis.audit.journalaudits import backup_audit
from loadproof.analysis.frames.journal import load_journal
from loadproof.analysis.frames.run import load_run
from loadproof.analysis.word import Word
from loadproof.plan.faultspans import FaultSpan
from loadproof.plan.phases import plan_phases
from loadproof.run.audits.auditing import Auditing
from loadproof.run.faults.commands import commands_of
from loadproof.run.faults.faults import Faults
from loadproof.run.faults.keeperclient import fault_keeper
from loadproof.rundir import files
from loadproof.rundir.commands import read_commands
from loadproof.rundir.journal import append_journal, journal_lines, noted_text, quoted
from loadproof.rundir.manifest import Manifest, TargetFacts, write_manifest
from loadproof.rundir.members import packed
from loadproof.rundir.rows import GeneratorRow
from loadproof.scenario.target.targetfile import TargetFile
from simulation.rundirs import scenario
from tests.loadproof.run.audits.vault import ACCOUNTS
from tests.loadproof.run.audits.vaultserver import serving_vault, target_of

if TYPE_CHECKING:
    from pathlib import Path

    from loadproof.analysis.audit.audit import Audited

pytestmark = [pytest.mark.process, pytest.mark.long]
LONGEST_S = 1.5
SCENARIO = scenario(
    phases=[{"name": "steady", "duration": "10 s", "users": 1}],
    faults=[{"fault": "backup", "phase": "steady", "lasts": f"{LONGEST_S} s"}],
    thresholds=[{"audit": "backup", "detects": "1 in 20"}, {"expect": "goodput_ratio >= 9 %"}],
)


@pytest.fixture(scope="module")
def keeper(tmp_path_factory):
    with fault_keeper(tmp_path_factory.mktemp("keeper"), cores=set()) as keeper:
        yield keeper


class Payers:
    """Make payments one after the other until stopped, and keep rows as a journal would have them."""

    def __init__(self, url: str) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self.is_over = threading.Event()
        self._threads = [threading.Thread(target=self._pay, args=[url, number]) for number in range(2)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_over.set()
        for thread in self._threads:
            thread.join(10)

    def _pay(self, url: str, payer: int) -> None:
        with requests.Session() as session:
            while not self.is_over.wait(0.005):
                number = len(self.rows)
                order = {"debit": ACCOUNTS[number % 6], "credit": ACCOUNTS[(number + 1) % 6], "amount": number % 9 + 1}
                key, sent_s = f"payment {payer} {number}", time.time()
                answer = session.post(f"{url}/transactions", json=order, headers={"Idempotency-Key": key}, timeout=10)
                noted = {"key": key, "payment": answer.json()["id"], **order}
                times_us = [round(1e6 * at_s) for at_s in (sent_s, sent_s, time.time())]
                self.rows.append((*times_us, quoted(noted_text(noted))))

    def lines(self, start_unix_s: float) -> str:
        start_us = round(1e6 * start_unix_s)
        return journal_lines(
            (
                "local",
                "127.1.0.1",
                "transactions",
                "steady",
                *(at_us - start_us for at_us in times),
                201,
                "ok",
                "",
                0,
                note,
            )
            for *times, note in self.rows
        )


def backed_up(keeper: Any, path: Path, **ways: Any) -> Audited:
    """The audit of a backup that is taken in these ways while two users pay."""
    file = path / "vault.sqlite3"
    with serving_vault(file) as url, sqlite3.connect(file) as database:
        database.execute("VACUUM INTO ?", (str(file.with_suffix(".old")),))
        target = TargetFile.model_validate(target_of(url, file, **ways))
        commands, faults = (
            commands_of(target, keeper, path),
            Faults([FaultSpan(0, SCENARIO.faults[0], 0.0, LONGEST_S)], keeper),
        )
        faults.commands = commands
        manifest = manifest_of(target)
        auditing = Auditing(manifest, path, secret={}, stop_requested=lambda: False, commands=commands)
        auditing.before()
        start_unix_s, noted = time.time(), []
        with Payers(url) as payers:
            while len(payers.rows) < 80:
                time.sleep(0.02)
            faults.begin(time.time(), lambda kind, detail: noted.append((kind, json.loads(detail))))
            deadline_s = time.monotonic() + 20
            while len(noted) < 2 and time.monotonic() < deadline_s:
                time.sleep(0.02)
            faults.end()
        write_manifest(path, manifest.model_copy(update={"start_unix_s": start_unix_s}))
        # A worker with the same clock.
        files.append_rows(path / files.GENERATOR, [GeneratorRow(0, "local", *[0] * 9)])
        append_journal(path / files.JOURNAL, packed(payers.lines(start_unix_s)))
        auditing.after()
    run = load_run(path)
    return backup_audit(run, load_journal(run))


def manifest_of(target: TargetFile) -> Manifest:
    facts: dict[str, Any] = target.model_dump(include={"headers", "endpoints", "exclusive_accounts"})
    return Manifest(
        run_id="of-a-test",
        scenario=SCENARIO,
        scenario_file="",
        seed=1,
        command="",
        target=TargetFacts(kind="own", base_url=target.base_url, limits={}, account_ids=target.account_ids, **facts),
        phases=plan_phases(SCENARIO),
        workers=1,
        revision="",
        versions={},
        host={},
        start_unix_s=time.time(),
        ending="completed",
    )


def words(found: Audited) -> dict[str, Word]:
    return {evidence.promise: evidence.word for evidence in found.evidence}


def reasons(found: Audited) -> str:
    return "\n".join(f"{evidence.word} {evidence.promise}: {evidence.reason}" for evidence in found.evidence)


@pytest.mark.parametrize("how", ["online", "vacuum"])
def test_a_correct_backup_keeps_every_promise(tmp_path, keeper, how):
    """A backup shows one moment between its start and its end: payments made meanwhile may be in it or not."""
    found = backed_up(keeper, tmp_path, backup=how)
    assert set(words(found).values()) == {Word.PASS}, reasons(found)
    assert [done.name for done in read_commands(tmp_path)] == 2 * ["backup", "restore", "serve"]


@pytest.mark.parametrize(
    ("wrong", "broken"),
    [
        ({"backup": "live file"}, {THERE, AT_REST}),
        ({"backup": "old"}, {THERE, AT_REST}),
        ({"restore": "newest undone"}, {AT_REST}),
        ({"restore": "newest lost"}, {BALANCES, AT_REST}),
        ({"restore": "half a payment"}, {BALANCES, SUM, AT_REST}),
        ({"backup": "endless"}, {TAKEN}),
        ({"backup": "failing"}, {TAKEN}),
        ({"serve": ("broken",)}, {SERVES}),
    ],
    # Explicit ids: the order of a set differs between processes, and so would ids made from it.
    ids=["live file", "old", "newest undone", "newest lost", "half a payment", "endless", "failing", "broken"],
)
def test_a_faulty_backup_fails_and_nothing_untested_passes(tmp_path, keeper, wrong, broken):
    """Each breaks its own promise; payments made during the first backup may hide what the second one shows."""
    found = backed_up(keeper, tmp_path, **wrong)
    failed = {promise for promise, word in words(found).items() if word is Word.FAIL}
    assert broken <= failed <= broken | {THERE}, reasons(found)
    if AT_REST not in broken:
        assert {words(found)[promise] for promise in (THERE, OWN, BALANCES, SUM, AT_REST)} == {Word.INCONCLUSIVE}
    if TAKEN in broken:
        assert words(found)[RESTORES] is Word.INCONCLUSIVE


def test_serving_the_live_ledger_does_not_pass_for_a_restored_backup(tmp_path, keeper):
    """All payments are there, but also ones newer than the backup: nothing restored was read."""
    found = backed_up(keeper, tmp_path, is_live=True)
    assert {promise for promise, word in words(found).items() if word is Word.FAIL} >= {SERVES}, reasons(found)
    assert words(found)[THERE] is Word.INCONCLUSIVE
