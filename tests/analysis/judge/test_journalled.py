"""A journal with other requests than the intervals is a bug of ours, unless a crash tore it."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from loadproof.analysis.frames.run import Run, load_run
from loadproof.analysis.judge.journalled import count_intervals
from loadproof.analysis.judge.verdict import verdict_on_run
from loadproof.analysis.word import Word
from loadproof.outcome import SETUP
from loadproof.rundir import files
from loadproof.rundir.intervals import append_intervals
from loadproof.rundir.journal import append_journal, journal_lines
from loadproof.rundir.members import packed
from loadproof.rundir.rows import ABANDONED, WANTS, IntervalRow, JournalRow
from simulation.rundirs import scenario, write_run

ROW = JournalRow("local", "127.1.0.1", "balance", "steady", 0, 0, 0, 200, "ok", "", 0, "")


def journalled_run(path, *, without: int = 0, more=(), record="requests", **knobs) -> Run:
    """A run whose journal has each request of its intervals, except this many."""
    write_run(path, plan=scenario(record=record), **knobs)
    append_intervals(path / files.INTERVALS, more)
    run = load_run(path)
    rows = [
        ROW._replace(request=request, outcome=outcome, phase=phase)
        for (request, outcome, phase), count in count_intervals(run).items()
        for _ in range(count)
    ]
    append_journal(path / files.JOURNAL, packed(journal_lines(rows[without:])))
    return load_run(path)


@pytest.mark.slow
def test_the_same_requests_in_both_give_no_finding(tmp_path):
    """Including setup, and requests that ended without an outcome."""
    ends = (ABANDONED, WANTS["ports"])
    more = [IntervalRow(20, "steady", "balance", "", end, 0, 2) for end in ends]
    more.append(IntervalRow(0, SETUP, "health", "ok", "response", 9, 3))
    run = journalled_run(tmp_path, more=more)
    counted = count_intervals(run)
    assert [counted["balance", end, "steady"] for end in ends] == [2, 2]
    assert counted["health", "ok", SETUP] == 3
    assert [one.what for one in verdict_on_run(run).findings if files.JOURNAL in one.what] == []


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["completed", "target_died"])
def test_a_journal_that_lacks_a_request_is_a_bug_of_ours(tmp_path, ending):
    """The run completed, or its target died."""
    verdict = verdict_on_run(journalled_run(tmp_path, without=1, ending=ending))
    assert verdict.word is Word.INVALID
    (finding,) = [one for one in verdict.findings if files.JOURNAL in one.what]
    assert (
        "journal.csv.gz has 1,566 requests, intervals.csv.gz 1,567; of balance, ok, in warm-up: 99 and 100"
        in finding.what
    )
    assert "this is a bug in loadproof" in finding.remedy


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["running", "generator_died", "disk_full", "terminated"])
def test_a_run_cut_off_between_its_files_is_no_bug(tmp_path, ending):
    """The last report was in one of them, but not yet in the other."""
    findings = verdict_on_run(journalled_run(tmp_path, without=100, ending=ending)).findings
    (finding,) = [one for one in findings if files.JOURNAL in one.what]
    assert finding.word is Word.PASS
    assert finding.what.startswith("the run was cut off between two files: ")


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["running", "completed"])
def test_a_torn_journal_is_damage_and_not_a_bug(tmp_path, ending):
    """Audits that need the missing rows have to say so."""
    run = journalled_run(tmp_path, ending=ending)
    content = (tmp_path / files.JOURNAL).read_bytes()
    (tmp_path / files.JOURNAL).write_bytes(content[:-100])
    (finding,) = [one for one in verdict_on_run(run).findings if files.JOURNAL in one.what]
    assert finding.word is Word.PASS
    what = "journal.csv.gz is damaged: everything after its last complete row is lost; it has "
    assert finding.what.startswith(what)
    assert finding.what.endswith(" requests, intervals.csv.gz 1,567")


def unreadable(path):
    """A line of a journal that can't be read."""
    append_journal(path / files.JOURNAL, packed("no row\n"))


@pytest.mark.slow
@pytest.mark.parametrize(("ending", "word"), [("completed", Word.INVALID), ("running", Word.PASS)])
def test_a_damaged_journal_can_only_have_lost_requests(tmp_path, ending, word):
    """It may lack as many as lines can't be read; it can't have more of a kind than there were."""
    run = journalled_run(tmp_path, without=1, ending=ending)
    unreadable(tmp_path)
    told = [one for one in verdict_on_run(run).findings if files.JOURNAL in one.what]
    assert [one.word for one in told] == [Word.PASS]
    append_journal(tmp_path / files.JOURNAL, packed(journal_lines([ROW._replace(request="health", phase="warm-up")])))
    _, finding = [one for one in verdict_on_run(run).findings if files.JOURNAL in one.what]
    assert finding.word is word
    assert "of health, ok, in warm-up: " in finding.what
    if word is Word.INVALID:
        assert finding.what.endswith(", which the damage doesn't explain")


@pytest.mark.slow
def test_more_may_be_missing_than_a_damaged_line_explains(tmp_path):
    """One line can't be read, and two requests are missing."""
    run = journalled_run(tmp_path, without=2)
    unreadable(tmp_path)
    verdict = verdict_on_run(run)
    assert verdict.word is Word.INVALID
    _, finding = [one for one in verdict.findings if files.JOURNAL in one.what]
    assert finding.remedy == "restore the run directory as the run left it, or run again"


@pytest.mark.slow
def test_what_a_process_could_not_hold_is_said_of_a_damaged_journal_too(tmp_path):
    """Whatever else it lost."""
    run = journalled_run(tmp_path, without=50)
    unreadable(tmp_path)
    run = replace(run, events=pd.DataFrame({"time_s": [9.0], "kind": [files.UNJOURNALLED], "detail": ["49 requests"]}))
    assert "journal.csv.gz lacks 49 requests, which" in " ".join(one.what for one in verdict_on_run(run).findings)


@pytest.mark.slow
def test_damaged_intervals_can_only_have_lost_requests(tmp_path):
    """A request that they have, and a whole journal hasn't, is missing there."""
    run = replace(journalled_run(tmp_path, without=1), damage=("intervals.csv.gz: 1 unreadable line was left out",))
    verdict = verdict_on_run(run)
    assert verdict.word is Word.INVALID
    assert any("99 and 100, which the damage doesn't explain" in one.what for one in verdict.findings)
    (tmp_path / "more").mkdir()
    more = replace(journalled_run(tmp_path / "more"), damage=run.damage)
    append_journal(tmp_path / "more" / files.JOURNAL, packed(journal_lines([ROW])))
    assert verdict_on_run(more).word is Word.PASS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ending", "record", "word"),
    [
        ("completed", "requests", Word.INVALID),
        ("running", "requests", Word.INCONCLUSIVE),
        ("completed", None, Word.PASS),
    ],
)
def test_a_missing_journal_is_reported_if_it_was_requested(tmp_path, ending, record, word):
    """A completed run has written it."""
    run = journalled_run(tmp_path, ending=ending, record=record)
    (tmp_path / files.JOURNAL).unlink()
    verdict = verdict_on_run(run)
    assert verdict.word is word
    told = [one.what for one in verdict.findings if files.JOURNAL in one.what]
    assert told == (["journal.csv.gz is missing"] if record else [])


@pytest.mark.slow
def test_damaged_intervals_are_not_held_against_the_journal(tmp_path):
    """Their own damage is reported."""
    run = journalled_run(tmp_path)
    append_intervals(tmp_path / files.INTERVALS, [(20, "steady", "balance", "no such", "response", 5, 1)])
    run = load_run(run.path)
    assert [one.what for one in verdict_on_run(run).findings] == ["intervals.csv.gz: 1 unreadable line was left out"]
