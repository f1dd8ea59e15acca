"""A threshold that names an audit, from the run directory to each output."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from xml.etree import ElementTree

import jsonschema_rs
import pandas as pd
import pytest
from rich.console import Console

from loadproof.analysis.audit.audit import MOST_OFFENCES, Evidence, Offence, audited, promise_word
from loadproof.analysis.audit.auditing import audits_of
from loadproof.analysis.frames.run import load_run
from loadproof.analysis.judge import journalled
from loadproof.analysis.judge.verdict import verdict_on_run
from loadproof.analysis.outputs.ci.judged import Judged
from loadproof.analysis.outputs.tables import terminal_view
from loadproof.analysis.outputs.verdict.schema import verdict_schema
from loadproof.analysis.report.run_page import run_files
from loadproof.analysis.word import Word
from loadproof.rundir import files
from loadproof.rundir.journal import append_journal, journal_lines
from loadproof.rundir.manifest import read_manifest, write_manifest
from loadproof.rundir.members import packed
from loadproof.rundir.rows import JournalRow
from loadproof.scenario.target.limits import DeclaredLimit
from simulation.limiters import FixedWindow, Limiter, MovingLog, Traffic, journal_of
from simulation.rundirs import scenario, write_run

THRESHOLDS = [{"audit": "limits"}, {"expect": "goodput_ratio >= 50 %"}]
MUCH = Traffic(clients=30, seconds=30.0)


@pytest.fixture(autouse=True)
def of_other_requests(monkeypatch):
    """Make the intervals agree with the journal: here they count other requests, which would be a finding."""

    def count(run):
        has_journal = (run.path / files.JOURNAL).exists()
        return journalled.count_journal(run).by_kind if has_journal else Counter()

    monkeypatch.setattr(journalled, "count_intervals", count)


def run_of(path, limiter: Limiter | None, kind: str = "own"):
    """A run with the journal of this limiter's clients; None: without a journal. Five may pass in two seconds."""
    plan = scenario(thresholds=THRESHOLDS, settings={"limits": {"health": "5/s"}})
    run = write_run(path, plan=plan)
    manifest = read_manifest(run)
    limits = {"health": DeclaredLimit(amount=5, period="2 s", algorithm="moving-window")}  # type: ignore[arg-type]
    target = manifest.target.model_copy(update={"kind": kind, "limits": limits})
    write_manifest(run, manifest.model_copy(update={"target": target}))
    if limiter is not None:
        rows = journal_of(limiter, MUCH, 5)[list(JournalRow._fields)]
        append_journal(run / files.JOURNAL, packed(journal_lines(map(tuple, rows.to_numpy().tolist()))))
    return load_run(run)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limiter", "word"),
    [(MovingLog(5, 2.0), Word.PASS), (MovingLog(6, 2.0), Word.FAIL), (None, Word.INCONCLUSIVE)],
    ids=["right", "one more", "no journal"],
)
def test_an_audit_decides_with_the_other_thresholds(tmp_path, limiter, word):
    verdict = verdict_on_run(run_of(tmp_path / "run", limiter))
    assert (verdict.word, [audit.word for audit in verdict.audits]) == (word, [word])
    assert verdict.reason.startswith("Both thresholds were met" if word is Word.PASS else "Audit of limits: ")
    assert ("audit.json" in verdict.next_step) is (word is Word.FAIL)


@pytest.mark.slow
def test_an_embedded_targets_algorithm_is_known(tmp_path):
    """From its settings: five a second, in a moving window."""
    verdict = verdict_on_run(run_of(tmp_path / "run", FixedWindow(5, 1.0), kind="embedded"))
    assert [promise.word for promise in verdict.audits[0].evidence][:1] == [Word.FAIL]


class Lapsing(MovingLog):
    """Three a second, and more than any number of processes would admit while it has no Redis."""

    def take(self, client: str, now: float) -> float:
        return 0.0 if self.since <= now < self.until else super().take(client, now)

    def __init__(self, since: float, until: float) -> None:
        super().__init__(3, 1.0)
        self.since, self.until = since, until


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limiter", "rises", "word"),
    [
        (Lapsing(10.0, 11.0), (), Word.FAIL),
        (Lapsing(10.0, 11.0), (11.0,), Word.PASS),
        (Lapsing(10.0, 11.0), (20.0,), Word.FAIL),
        (Lapsing(0.0, 40.0), range(40), Word.INCONCLUSIVE),
    ],
    ids=["said nothing", "then", "at another time", "all the time"],
)
def test_the_limit_holds_except_while_redis_was_lost(tmp_path, limiter, rises, word):
    """According to samples of /metrics; a target that never has Redis keeps no promise."""
    run = run_of(tmp_path / "run", limiter, kind="embedded")
    settings = {"limits": {"health": "3/s"}, "processes": 1, "limiter": "redis"}
    plan = scenario(thresholds=THRESHOLDS, settings=settings)
    run = replace(run, manifest=run.manifest.model_copy(update={"scenario": plan}))
    samples = [(float(second), files.FALLBACKS, sum(rise <= second for rise in rises)) for second in range(40)]
    lost = pd.DataFrame(samples, columns=["time_s", "metric", "value"])
    clocks = run.generator.assign(worker="1", clock_doubt_s=0.001)
    (audit,) = audits_of(replace(run, target=lost, generator=clocks))
    assert {evidence.promise: evidence.word for evidence in audit.evidence}["health: quota"] is word
    assert (audit.word is Word.PASS) is (word is Word.PASS)


@pytest.mark.slow
def test_every_output_has_the_audit_and_its_promises(tmp_path):
    run = run_of(tmp_path / "run", MovingLog(6, 2.0))
    verdict = verdict_on_run(run)
    texts = {path.name: text for path, text in run_files(run, verdict).items()}
    whole = json.loads(texts[files.AUDIT])["audits"][0]
    brief = json.loads(texts[files.VERDICT])["audits"][0]
    assert brief == {key: value for key, value in whole.items() if key != "offences"}
    assert whole["offences"][0]["rows"][0]["request"] == "health"
    jsonschema_rs.validate(verdict_schema(), json.loads(texts[files.VERDICT]))
    suite = ElementTree.fromstring(texts[files.JUNIT])
    assert suite.find("testcase[@name='audit of limits: health: quota']/failure") is not None
    assert "| FAIL | limits\\: health\\: quota |" in texts[files.SUMMARY]
    assert "Audit of limits" in texts[files.REPORT]
    assert "admitted within" in texts[files.REPORT]
    console = Console(width=200, record=True)
    console.print(terminal_view(verdict))
    assert "limits: health: quota: " in console.export_text()
    assert any("audit of limits" in line for line in Judged("x", run, verdict).annotations(lenient=False))


@pytest.mark.slow
def test_without_an_audit_there_is_no_audit_file(tmp_path):
    run = load_run(write_run(tmp_path / "run"))
    assert files.AUDIT not in {path.name for path in run_files(run, verdict_on_run(run))}


def test_an_audit_is_as_good_as_its_worst_promise():
    kept, open_, broken = (
        Evidence(word, word, n, 10, "why") for word, n in ((Word.PASS, 10), (Word.INCONCLUSIVE, 3), (Word.FAIL, 1))
    )
    assert audited("x", [kept]).word is Word.PASS
    assert audited("x", [kept, open_]).word is Word.INCONCLUSIVE
    assert audited("x", [kept, open_, broken]).word is Word.FAIL
    assert audited("x", []).word is Word.INCONCLUSIVE
    many = audited("x", [broken], [Offence("p", "w")] * (MOST_OFFENCES + 1), total=500)
    assert (len(many.offences), many.offences_total) == (MOST_OFFENCES, 500)


def test_no_samples_are_never_a_pass_and_one_offence_is_always_a_fail():
    assert promise_word(broken=0, n=0, needed=0) is Word.INCONCLUSIVE
    assert promise_word(broken=1, n=0, needed=10) is Word.FAIL
    assert promise_word(broken=0, n=10, needed=10) is Word.PASS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limiter", "word"),
    [(MovingLog(5, 2.0), Word.INCONCLUSIVE), (MovingLog(4, 2.0), Word.INCONCLUSIVE), (MovingLog(8, 2.0), Word.FAIL)],
    ids=["right", "refuses early", "admits more"],
)
def test_early_refusals_dont_count_if_the_journal_lacks_requests(tmp_path, limiter, word):
    """The missing ones may have counted; but whatever is missing, too many admitted are too many."""
    run = run_of(tmp_path, limiter)
    killed = run.manifest.model_copy(update={"ending": "running"})
    (found,) = audits_of(replace(run, manifest=killed))
    assert found.word is word
    assert Word.PASS not in {evidence.word for evidence in found.evidence}
