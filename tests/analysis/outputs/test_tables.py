"""The outputs besides the report: the same words everywhere, and inert whatever the names are."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import jsonschema_rs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from loadproof.analysis.estimates.summary import summary
from loadproof.analysis.frames.run import load_run
from loadproof.analysis.inert import markdown
from loadproof.analysis.judge.verdict import verdict_on_run
from loadproof.analysis.outputs import tables
from loadproof.analysis.outputs.ci.junit import junit_xml
from loadproof.analysis.outputs.verdict.verdictfile import verdict_json
from loadproof.analysis.report.page import threshold_row
from loadproof.errors import escaped
from loadproof.rundir import files
from loadproof.rundir.manifest import read_manifest, write_manifest
from simulation.rundirs import open_scenario, outcomes, write_run
from simulation.traffic import run_of
from tests.commands import ROOT
from tests.hostile import HOSTILE


@pytest.fixture
def failing(tmp_path):
    run = load_run(write_run(tmp_path / "run", outcomes_of=outcomes(server_error=0.2)))
    return run, verdict_on_run(run)


@pytest.fixture
def hostile(tmp_path):
    """A run directory made by somebody else, in which every text tries to be read as something else."""
    path = write_run(tmp_path / "run", ending="target_died")
    manifest = read_manifest(path)
    host = {"system": HOSTILE}
    write_manifest(path, manifest.model_copy(update={"ending_detail": HOSTILE, "host": host, "run_id": HOSTILE}))
    run = load_run(path)
    return run, verdict_on_run(run)


@pytest.mark.slow
def test_every_output_says_the_same_word(failing):
    """JSON, Markdown, JUnit, terminal."""
    run, verdict = failing
    assert json.loads(verdict_json(run, verdict))["verdict"] == "FAIL"
    assert tables.summary_markdown(run, verdict).startswith("## FAIL: synthetic\n")
    suite = ElementTree.fromstring(junit_xml(run, verdict))
    assert int(suite.get("failures")) == len(suite.findall("testcase/failure")) == 2
    assert "FAIL" in _printed(verdict)


@pytest.mark.slow
def test_every_output_gives_both_answers_and_says_which_decided(failing):
    """Whether it was met in this run, and would be next time."""
    run, verdict = failing
    (errors,) = (one for one in json.loads(verdict_json(run, verdict))["thresholds"] if "error_ratio" in one["expect"])
    assert (errors["in_this_run"], errors["next_time"], errors["decided_by"]) == ("violated", "violated", "in this run")
    assert "| in this run | next time |" in tables.summary_markdown(run, verdict)
    assert "| violated \\(decided\\) | violated |" in tables.summary_markdown(run, verdict)
    assert "error_ratio < 1 %; in this run violated (decided), next time violated" in _printed(verdict)
    row = next(threshold_row(one) for one in verdict.judgements if "error_ratio" in one.threshold.expect)
    assert row["answers"] == ("violated (decided)", "violated")


def test_junit_has_one_case_per_threshold_and_calls_inconclusive_an_error(tmp_path):
    """CI shows thin evidence as an error, not as a failure."""
    run = load_run(write_run(tmp_path / "run", ending="interrupted", lived_s=8))
    verdict = verdict_on_run(run)
    suite = ElementTree.fromstring(junit_xml(run, verdict))
    assert int(suite.get("tests")) == len(verdict.judgements) + 2 == len(suite.findall("testcase"))
    assert int(suite.get("errors")) == len(suite.findall("testcase/error")) > 0
    assert suite.findall("testcase/failure") == []


NAMES = [
    "balance · steady: p(95) < 200 ms",
    "all endpoints · bursts: spread <= 50 ms",
    "all endpoints · all phases: error_ratio < 1 %",
    "all endpoints · all phases: goodput_ratio >= 98 %",
    "the measurement can be trusted",
    "no failures beyond the thresholds",
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("knobs", "broken"),
    [
        ({}, []),
        ({"steal": 0.2}, []),
        ({"cpu": 0.98}, [NAMES[4]]),
        ({"ending": "target_died", "lived_s": 20}, [NAMES[1], NAMES[5]]),
        ({"spread_s": 0.08, "late": 9}, [NAMES[1], NAMES[5]]),
    ],
    ids=str,
)
def test_junit_cases_keep_their_names_whatever_was_measured(tmp_path, knobs, broken):
    """A CI server tracks a case from run to run by its name; numbers are in the messages, notes in no case at all."""
    run = load_run(write_run(tmp_path / "run", **knobs))
    suite = ElementTree.fromstring(junit_xml(run, verdict_on_run(run)))
    assert [case.get("name") for case in suite.findall("testcase")] == NAMES
    assert [case.get("name") for case in suite.findall("testcase") if len(case)] == broken
    assert (suite.find("system-out") is not None) == ("steal" in knobs)


@pytest.mark.slow
def test_junit_times_are_seconds_of_the_load_that_was_read(failing):
    """And the suite began when the run did."""
    suite = ElementTree.fromstring(junit_xml(*failing))
    assert [case.get("time") for case in suite.findall("testcase")] == [
        "30.000",
        "10.000",
        "40.000",
        "40.000",
        "45.000",
        "45.000",
    ]
    assert (suite.get("time"), suite.get("timestamp")) == ("45.000", "2026-11-23T06:00:00+00:00")


def test_the_summary_says_when_and_against_what(failing):
    """It gets pasted into places that don't say so."""
    told = "Run 20261123T060000Z-synthetic, 2026-11-23 06:00:00 UTC, against the embedded target http://127.0.0.1:8000,"
    assert f"{told} by loadproof at revision 0123456789ab." in tables.summary_markdown(*failing).replace("\\", "")


def test_a_note_is_not_tagged_as_pass(tmp_path):
    """In JSON and Markdown it is tagged as a note."""
    run = load_run(write_run(tmp_path / "run", steal=0.2))
    verdict = verdict_on_run(run)
    assert [finding["word"] for finding in json.loads(verdict_json(run, verdict))["findings"]] == ["NOTE"]
    assert "| NOTE | 20% of the machine" in tables.summary_markdown(run, verdict)


@pytest.mark.slow
def test_verdict_json_has_value_interval_limit_and_n(failing):
    """Everything that a program needs to decide differently."""
    run, verdict = failing
    for one in json.loads(verdict_json(run, verdict))["thresholds"]:
        assert {"expect", "scope", "word", "reason", "unit", "limit", "value", "low", "high", "n"} <= set(one)
        assert one["n"] == 0 or one["low"] <= one["value"] <= (one["high"] or one["value"])


def test_an_open_interval_is_null_in_json(tmp_path):
    """JSON has no infinity."""
    run = load_run(write_run(tmp_path / "run", lived_s=6.5, ending="interrupted"))
    text = verdict_json(run, verdict_on_run(run))
    assert "Infinity" not in text
    assert "NaN" not in text


@pytest.mark.slow
def test_hostile_text_is_inert_in_every_output(hostile):
    """No control character, no XML break, no Markdown link, no terminal escape."""
    run, verdict = hostile
    xml = junit_xml(run, verdict)
    assert ElementTree.fromstring(xml) is not None
    for text in (xml, tables.summary_markdown(run, verdict), verdict_json(run, verdict), _printed(verdict)):
        assert not any(character in text for character in "\x00\x1b\u202e")
    assert "](javascript" not in tables.summary_markdown(run, verdict)
    assert "<img" not in tables.summary_markdown(run, verdict).replace("\\<", "")


@pytest.mark.slow
def test_rich_markup_in_a_run_is_shown_as_it_is(tmp_path):
    """`[red]` is plain text here."""
    path = write_run(tmp_path / "run", ending="target_died")
    manifest = read_manifest(path)
    write_manifest(path, manifest.model_copy(update={"ending_detail": "[bold]exit[/bold]"}))
    assert "[bold]exit[/bold]" in _printed(verdict_on_run(load_run(path)))


@given(st.text())
def test_markdown_cells_hold_any_text(text):
    """On one line, with a backslash before each meaningful character."""
    cell = markdown(text)
    assert cell.isprintable()
    assert all(cell[index - 1] == "\\" for index, character in enumerate(cell) if character in "|<>`[]")


@given(st.text())
def test_escaped_text_is_printable_and_keeps_printable_characters(text):
    """Nothing that is printable changes."""
    assert escaped(text).isprintable()
    if text.isprintable():
        assert escaped(text) == text


@pytest.mark.slow
def test_outputs_are_the_same_bytes_for_the_same_run(tmp_path):
    """At another time, in another process: they contain no clock."""
    run = load_run(write_run(tmp_path / "run"))
    once, again = ([write(run, verdict_on_run(run)) for write in _WRITERS] for _ in range(2))
    assert once == again


_WRITERS = (verdict_json, tables.summary_markdown, junit_xml)


def _printed(verdict):
    console = Console(width=200, force_terminal=False)
    with console.capture() as capture:
        console.print(tables.terminal_view(verdict))
    return capture.get()


@pytest.mark.parametrize("name", ["fail", "interrupted", "invalid", "pass"])
def test_verdicts_match_their_published_schema(name):
    """According to an independent validator."""
    schema = json.loads((ROOT / "reports/verdict.schema.json").read_text(encoding="utf-8"))
    verdict = json.loads((ROOT / "tests/golden" / name / files.VERDICT).read_text(encoding="utf-8"))
    validator = jsonschema_rs.Draft202012Validator(schema)
    assert list(validator.iter_errors(verdict)) == []
    assert list(validator.iter_errors({**verdict, "verdict": 1}))


@pytest.mark.parametrize(("requests", "offered"), [(1, "30.0 rps"), (2, "60.0 rps (30.0 arrivals)")])
def test_requests_beyond_the_arrivals_are_named_as_such(requests, offered):
    """For tasks of two requests, at 30 arrivals a second."""
    phases = [{"name": "steady", "duration": "20 s", "rate": "30 rps"}]
    plan = open_scenario(phases=phases, mix={"balance": {"share": "100 %"}})
    at_s = np.repeat(np.arange(0, 20, 1 / 30), requests)
    (row, _) = summary(run_of(plan, at_s, np.full(at_s.size, 0.01)))
    assert tables.offered_text(row, " rps") == offered
