"""What a webhook and a chat get to know about verdicts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loadproof.analysis.frames.run import load_run
from loadproof.analysis.judge.verdict import verdict_on_run
from loadproof.analysis.outputs.ci.judged import Judged
from loadproof.analysis.outputs.ci.notice import LONGEST_TEXT, notice_json, notice_text
from loadproof.analysis.outputs.gate import gate_junit
from loadproof.analysis.outputs.gatefile import gate_json
from loadproof.errors import ExitCode, InvalidRunError, Problem
from loadproof.outcome import Outcome
from simulation.rundirs import outcomes, scenario, write_run

REPORT = Path("reports/run/report.html")


@pytest.fixture(scope="module")
def passed(tmp_path_factory):
    run = load_run(write_run(tmp_path_factory.mktemp("passed")))
    return Judged("good", run, verdict_on_run(run))


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    run = load_run(write_run(tmp_path_factory.mktemp("failed"), outcomes_of=outcomes(server_error=0.2)))
    return Judged("bad", run, verdict_on_run(run))


@pytest.fixture(scope="module")
def thin(tmp_path_factory):
    thresholds = [{"endpoint": "webhooks", "expect": "p(99) < 200 ms"}, {"expect": "goodput_ratio >= 98 %"}]
    run = load_run(write_run(tmp_path_factory.mktemp("thin"), plan=scenario(thresholds=thresholds)))
    return Judged("thin", run, verdict_on_run(run))


DOWN = Judged("down", trouble="http://127.0.0.1:1: no HTTP answer", ended_as=ExitCode.NOTHING_MEASURED)


def told(*judged, is_gate=False, lenient=False, report=REPORT):
    return json.loads(notice_json(judged, report, is_gate=is_gate, lenient=lenient))


@pytest.mark.slow
def test_a_single_verdict_has_word_reason_target_counts_and_report(failed):
    notice = told(failed)
    assert (notice["type"], notice["format"], notice["word"], notice["exit_code"]) == (
        "loadproof.verdict",
        1,
        "FAIL",
        1,
    )
    assert notice["reason"] == failed.verdict.reason
    assert (notice["scenario"], notice["report"]) == ("bad", str(REPORT))
    assert notice["target"] == failed.run.manifest.target.base_url
    assert notice["run"] == failed.run.path.name


def test_counts_add_up_to_what_was_sent(failed):
    counts = told(failed)["counts"]
    assert counts["sent"] == sum(counts[outcome] for outcome in Outcome) > 0
    assert counts["server_error"] > 0
    assert set(counts) == {"sent", "dropped", *Outcome}


@pytest.mark.slow
def test_a_gate_has_its_worst_word_and_all_scenarios_below(passed, failed):
    notice = told(passed, failed, is_gate=True)
    assert (notice["type"], notice["word"], notice["exit_code"]) == ("loadproof.gate", "FAIL", 1)
    assert notice["reason"].startswith("bad: ")
    assert [(each["scenario"], each["word"]) for each in notice["scenarios"]] == [("good", "PASS"), ("bad", "FAIL")]


def test_a_scenario_that_was_not_measured_is_reported_as_such(passed):
    notice = told(passed, DOWN, is_gate=True)
    assert (notice["word"], notice["exit_code"]) == ("NOT MEASURED", 2)
    assert notice["scenarios"][1]["counts"] is None
    alone = told(DOWN, report=None)
    assert (alone["word"], alone["reason"], alone["target"]) == ("NOT MEASURED", DOWN.trouble, None)
    assert alone["report"] is None


def test_a_measurement_that_has_no_verdict_has_the_word_of_its_exit_code(passed):
    """Everywhere: memory ran out while a complete run was judged, for example."""
    lost = Judged.of_error("lost", InvalidRunError(Problem("reports/run", "out of memory", "judge it again")))
    alone = told(lost)
    assert (alone["word"], alone["exit_code"], alone["reason"]) == ("INVALID", 4, lost.trouble)
    assert told(passed, lost, is_gate=True)["word"] == "INVALID"
    assert notice_text([lost], None, is_gate=False, lenient=False).startswith("🚫 lost: INVALID\n")
    gated = json.loads(gate_json([passed, lost], lenient=False))
    assert (gated["exit_code"], gated["scenarios"][1]["verdict"]) == (4, "INVALID")
    assert 'type="INVALID"' in gate_junit([lost])
    (annotation,) = lost.annotations(lenient=False)
    assert annotation.startswith("::error title=lost%3A INVALID::reports/run")


def test_csvs_have_a_word_and_no_counts(failed):
    notice = told(Judged("run", verdict=failed.verdict))
    assert (notice["word"], notice["counts"], notice["target"]) == ("FAIL", None, None)


def test_the_text_says_the_same_in_a_few_lines(failed):
    text = notice_text([failed], REPORT, is_gate=False, lenient=False)
    first, second, third, *_, last = text.splitlines()
    assert first == f"❌ bad: FAIL against {failed.run.manifest.target.base_url}"
    assert second == failed.verdict.reason
    assert " sent, " in third
    assert " server_error" in third
    assert " 0 " not in f" {third}"
    assert last == f"report: {REPORT}"


def test_the_text_of_a_gate_begins_with_its_word(passed, failed):
    lines = notice_text([passed, failed, DOWN], REPORT, is_gate=True, lenient=False).splitlines()
    assert lines[0] == "❔ loadproof gate: NOT MEASURED"
    assert any(line.startswith("✅ good: PASS") for line in lines)
    assert "❔ down: NOT MEASURED" in lines


def test_the_text_is_inert_and_of_bounded_length():
    """Names and reasons come from files that anyone could have written."""
    hostile = Judged("\x1b[31mred\nline", trouble="x" * 10_000)
    text = notice_text([hostile] * 50, None, is_gate=True, lenient=False)
    assert "\x1b" not in text
    assert len(text) <= LONGEST_TEXT
    assert "\\x1b[31mred\\nline" in text


@pytest.mark.slow
def test_the_worst_word_is_reported_whatever_the_order(passed, thin):
    """Even if both let the gate pass."""
    for order in ((passed, thin), (thin, passed)):
        assert told(*order, is_gate=True, lenient=True)["word"] == "INCONCLUSIVE"
