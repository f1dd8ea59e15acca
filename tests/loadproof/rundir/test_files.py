"""The run directory stays readable, whatever happens while it is written."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadproof.errors import OutputError, RunDirectoryError
from loadproof.rundir import files
from loadproof.rundir.intervals import append_intervals, read_intervals
from loadproof.rundir.manifest import read_manifest, write_manifest
from loadproof.rundir.rows import EventRow, IntervalRow
from simulation.rundirs import manifest, scenario
from tests.loadproof.rundir.disks import small_disk

ROWS = [IntervalRow(second, "steady", "balance", "ok", "response", 100 + second, 1) for second in range(50)]


@pytest.mark.slow
def test_intervals_survive_being_torn_at_any_byte(tmp_path):
    """A prefix of the file gives a prefix of the rows: nothing invented, nothing raised."""
    whole = tmp_path / "whole"
    for second in range(0, 50, 10):
        append_intervals(whole, ROWS[second : second + 10])
    packed, text = whole.read_bytes(), b"".join(read_intervals(whole)).decode()
    assert len(text.splitlines()) == 51
    torn = tmp_path / "torn"
    for size in range(len(packed)):
        torn.write_bytes(packed[:size])
        assert text.startswith(b"".join(read_intervals(torn)).decode())


@given(st.binary(max_size=300))
def test_reading_never_raises_whatever_the_bytes(tmp_path_factory, garbage):
    """A damaged file reads as a shorter one."""
    path = tmp_path_factory.mktemp("damaged") / "garbage"
    path.write_bytes(garbage)
    list(read_intervals(path))
    files.read_lines_text(path)


def test_an_unfinished_line_is_left_out(tmp_path):
    """The last line of a killed run may be half a line."""
    path = tmp_path / "events.csv"
    files.append_rows(path, [EventRow(1.0, "phase", "a"), EventRow(2.0, "phase", "b")])
    path.write_bytes(path.read_bytes()[:-3])
    assert files.read_lines_text(path).splitlines() == ["time_s,kind,detail", "1,phase,a"]


def test_rows_are_appended_under_one_header(tmp_path):
    """Commas and quotes in a detail are quoted."""
    path = tmp_path / "events.csv"
    files.append_rows(path, [])
    assert not path.exists()
    files.append_rows(path, [EventRow(1.0, "burst", '{"a": 1, "b": 2}')])
    files.append_rows(path, [EventRow(2.0, "phase", "x")])
    assert path.read_text().splitlines() == ["time_s,kind,detail", '1,burst,"{""a"": 1, ""b"": 2}"', "2,phase,x"]


def test_a_manifest_reads_back_as_it_was(tmp_path):
    """The resolved scenario included, to the last digit."""
    plan = scenario(deadline="333 ms", timeouts={"connect": "1.5 s", "total": "7 s"})
    write_manifest(tmp_path, manifest(plan))
    assert read_manifest(tmp_path) == manifest(plan)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"format": 2}, "another format version"), ({"seed": "one"}, "manifest.json seed"), ({"extra": 1}, "extra")],
)
def test_an_incompatible_manifest_is_refused_with_the_place(tmp_path, change, message):
    """Another format version, a field of another type."""
    write_manifest(tmp_path, manifest(scenario()))
    path = tmp_path / files.MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(RunDirectoryError, match=message):
        read_manifest(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{", "null"])
def test_anything_but_a_manifest_is_refused(tmp_path, content):
    """A file that is not a manifest."""
    (tmp_path / files.MANIFEST).write_text(content)
    with pytest.raises(RunDirectoryError):
        read_manifest(tmp_path)


def test_runs_started_in_the_same_second_get_numbers(tmp_path):
    """Two directories never share a name."""
    paths = {files.create_run_directory(tmp_path / "reports", "smoke") for _ in range(3)}
    assert len(paths) == 3
    assert all(path.is_dir() for path in paths)


def test_an_unwritable_place_is_reported(tmp_path):
    """A file is where the directory or one of its parents should be, so the remedy is not to free space."""
    (tmp_path / "reports").write_text("")
    for place in (tmp_path / "reports", tmp_path / "reports" / "deeper"):
        with pytest.raises(OutputError, match="can't be written: not a directory; choose another --out"):
            files.create_run_directory(place, "smoke")
    with pytest.raises(OutputError, match="can't be written"):
        files.write_whole(tmp_path / "no" / "where", "text")


def test_a_failed_write_leaves_the_old_file(tmp_path):
    """It is written completely or not at all."""
    path = tmp_path / "verdict.json"
    files.write_whole(path, "old")
    with pytest.raises(UnicodeEncodeError):
        files.write_whole(path, "\ud800")
    assert path.read_text() == "old"


def test_a_reader_keeps_the_old_file_while_it_is_rewritten(tmp_path):
    """A new file takes over the name; a file opened before stays as it was."""
    paths = [tmp_path / "verdict.json", tmp_path / "report.html"]
    files.write_all(dict.fromkeys(paths, "the old text"))
    with paths[0].open() as verdict, paths[1].open() as report:
        files.write_all(dict.fromkeys(paths, "new"))
        assert (verdict.read(), report.read()) == ("the old text", "the old text")
    assert [path.read_text() for path in paths] == ["new", "new"]
    assert sorted(tmp_path.iterdir()) == sorted(paths)


@pytest.fixture
def grudging(monkeypatch):
    """A kernel that takes three bytes per write, as it may."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, chunk: write(descriptor, bytes(chunk[:3])))


def test_rows_are_complete_however_little_a_write_takes(tmp_path, grudging):
    """The first row and all others."""
    rows = [EventRow(float(second), "phase", "a phase with a name") for second in range(5)]
    files.append_rows(tmp_path / "events.csv", rows)
    assert files.read_lines_text(tmp_path / "events.csv").count("a phase with a name\n") == 5


def _append_as_one_of_two(path: Path, kind: str) -> None:
    for second in range(200):
        files.append_rows(path, [EventRow(float(second), kind, "x" * 50)])


@pytest.mark.slow
def test_two_processes_append_whole_rows_under_one_header(tmp_path):
    """The generator and the runner write their events to one file."""
    path = tmp_path / "events.csv"
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=_append_as_one_of_two, args=(path, kind)) for kind in ("ours", "theirs")]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    lines = path.read_text().splitlines()
    assert (len(lines), lines.count("time_s,kind,detail")) == (401, 1)
    assert {len(line.split(",")) for line in lines} == {3}


def test_a_row_that_the_disk_has_no_room_for_leaves_nothing(tmp_path):
    """Rows appended once there is room again are readable."""
    path, intervals = tmp_path / "events.csv", tmp_path / "intervals.csv.gz"
    files.append_rows(path, [EventRow(1.0, "phase", "a")])
    append_intervals(intervals, ROWS[:10])
    with small_disk(40), pytest.raises(OSError, match="too large"):
        files.append_rows(path, [EventRow(2.0, "phase", "too long for what is left")])
    with small_disk(intervals.stat().st_size + 20), pytest.raises(OSError, match="too large"):
        append_intervals(intervals, ROWS[10:30])
    files.append_rows(path, [EventRow(3.0, "phase", "b")])
    append_intervals(intervals, ROWS[30:])
    assert path.read_text().splitlines() == ["time_s,kind,detail", "1,phase,a", "3,phase,b"]
    assert len(b"".join(read_intervals(intervals)).splitlines()) == 1 + 10 + 20


def test_either_all_of_several_files_are_written_or_none(tmp_path):
    """A verdict of PASS without its report would be half the truth."""
    small, large = tmp_path / "verdict.json", tmp_path / "report.html"
    files.write_whole(small, "old")
    with small_disk(100), pytest.raises(OutputError, match=r"report\.html: can't be written: File too large"):
        files.write_all({small: "new", large: "x" * 200})
    assert [path.name for path in tmp_path.iterdir()] == ["verdict.json"]
    assert small.read_text() == "old"


def test_a_manifest_can_reuse_the_space_of_the_previous_one(tmp_path):
    """How a run ended is recorded even if the disk has no room for two manifests; failing that, the old one stays."""
    before = manifest(scenario()).model_copy(update={"ending": "running", "end_unix_s": None})
    after = before.model_copy(update={"ending": "disk_full", "ending_detail": "x" * 300, "end_unix_s": 1.5})
    write_manifest(tmp_path, before)
    size = (tmp_path / files.MANIFEST).stat().st_size
    with small_disk(100), pytest.raises(OutputError, match=r"manifest\.json: can't be written"):
        write_manifest(tmp_path, after)
    assert read_manifest(tmp_path) == before
    with small_disk(size):
        write_manifest(tmp_path, after)
    assert read_manifest(tmp_path) == after
