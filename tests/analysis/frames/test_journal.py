"""A run's journal as a frame, by the master's clock and with the doubt about it; and its requests by kind."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from loadproof.analysis.frames.journal import UNKNOWN_US, count_journal, load_journal, noted_frame
from loadproof.analysis.frames.run import load_run
from loadproof.rundir import files
from loadproof.rundir.journal import append_journal, journal_lines, noted_text, quoted
from loadproof.rundir.members import packed
from loadproof.rundir.rows import GeneratorRow, JournalRow
from simulation.rundirs import manifest, scenario

NOTE = quoted(noted_text({"key": "k", "amount": 5}))
ROWS = [
    JournalRow("1", "127.1.0.1", "balance", "steady", 100, 2_100, 3_100, 200, "ok", "", 0, NOTE),
    JournalRow("2", "127.1.0.2", "health", "setup", 200, 2_200, 3_200, 429, "throttled", quoted("Sun, 06"), 1, ""),
    JournalRow("2", "127.1.0.2", "health", "steady", 300, 2_300, 3_300, 0, "abandoned", "", 0, ""),
    JournalRow("3", "127.1.0.3", "health", "steady", 400, 2_400, 3_400, 0, "timeout", "", 0, ""),
]
HEALTHY = GeneratorRow(0, "1", 0.3, 0.0, 0.001, 0.001, 100, 3, 1, 0, 0)


def run_with(path, *members: bytes, generator=(HEALTHY,)):
    for member in members:
        append_journal(path / files.JOURNAL, member)
    files.append_rows(path / files.GENERATOR, generator)
    return load_run(path, manifest(scenario(record="requests")))


def test_times_are_by_the_masters_clock(tmp_path):
    """By each worker's last known skew; a clock that was never compared has a huge doubt."""
    skewed = HEALTHY._replace(worker="2", clock_skew_s=0.1, clock_doubt_s=math.inf)
    known = skewed._replace(second=1, clock_skew_s=0.001, clock_doubt_s=0.0000201)
    run = run_with(
        tmp_path, packed(journal_lines(ROWS[:2])), packed(journal_lines(ROWS[2:])), generator=[HEALTHY, skewed, known]
    )
    journal = load_journal(run)
    assert list(journal.columns) == [*JournalRow._fields, "doubt_us"]
    assert journal["sent_us"].tolist() == [2_100, 1_200, 1_300, 2_400]
    assert journal["ended_us"].tolist() == [3_100, 2_200, 2_300, 3_400]
    assert journal["intended_us"].tolist() == [100, -800, -700, 400]
    assert journal["doubt_us"].tolist() == [0, 21, 21, UNKNOWN_US]
    assert {str(journal[name].dtype) for name in ("intended_us", "sent_us", "ended_us", "doubt_us")} == {"int64"}
    for name in ("worker", "client", "request", "phase", "status", "outcome", "repeated"):
        assert journal[name].tolist() == [getattr(row, name) for row in ROWS]
    assert journal["retry_after"].tolist() == ["", "Sun, 06", "", ""]


def test_noted_values_are_found_by_their_words(tmp_path):
    """Unchanged; None if the word was not noted, or the note is invalid."""
    broken = ROWS[3]._replace(noted="5"), ROWS[3]._replace(noted="{")
    journal = load_journal(run_with(tmp_path, packed(journal_lines([*ROWS, *broken]))))
    noted = noted_frame(journal[::-1], ["amount", "key", "event"])
    assert noted.index.tolist() == journal.index.tolist()[::-1]
    assert noted.iloc[-1].tolist() == [5, "k", None]
    assert noted.iloc[:-1].isna().all().all()


def test_a_run_without_a_journal_has_an_empty_one(tmp_path):
    """With the same columns."""
    journal = load_journal(run_with(tmp_path))
    assert journal.empty
    assert list(journal.columns) == [*JournalRow._fields, "doubt_us"]
    with pytest.raises(FileNotFoundError):
        count_journal(run_with(tmp_path))


def test_requests_are_counted_by_kind(tmp_path):
    """Over all members."""
    counts = count_journal(run_with(tmp_path, *(packed(journal_lines([row])) for row in ROWS * 2)))
    assert counts.damage == ()
    assert counts.by_kind == {
        ("balance", "ok", "steady"): 2,
        ("health", "throttled", "setup"): 2,
        ("health", "abandoned", "steady"): 2,
        ("health", "timeout", "steady"): 2,
    }


def test_damage_is_reported_and_the_rest_is_read(tmp_path):
    """A torn end, and invalid lines in the middle."""
    lines = journal_lines(ROWS)
    bad = ["1,2,3\n", lines.splitlines()[0].replace("2100", "soon") + "\n", '1,"unclosed\n']
    run = run_with(tmp_path, packed(lines), packed(lines + "".join(bad) + lines))
    run = replace(run, path=tmp_path)
    whole = count_journal(run)
    assert whole.damage == ("journal.csv.gz: 3 unreadable lines were left out",)
    assert whole.by_kind.total() == 3 * len(ROWS) == len(load_journal(run))
    path = tmp_path / files.JOURNAL
    path.write_bytes(path.read_bytes()[:-9])
    (torn, unread) = count_journal(run).damage
    assert torn == "journal.csv.gz is damaged: everything after its last complete row is lost"
    assert unread == whole.damage[0]
