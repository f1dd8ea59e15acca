"""A row per request: whatever is noted is read back as it was written, and only in whole rows."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadproof.rundir.journal import (
    HEADER,
    LONGEST,
    append_journal,
    cut,
    header_text,
    journal_lines,
    noted_text,
    quoted,
    read_journal,
)
from loadproof.rundir.members import packed
from loadproof.rundir.rows import JournalRow
from tests.loadproof.rundir.disks import small_disk

ROW = JournalRow("1", "127.1.0.1", "balance", "steady", -5, 10, 1_000_000, 200, "ok", "", 0, "")
VALUES = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=50)
NOTES = st.dictionaries(st.text(max_size=20), VALUES, max_size=5)


def member(*rows: JournalRow) -> bytes:
    cells = [row._replace(retry_after=quoted(header_text(row.retry_after)), noted=quoted(row.noted)) for row in rows]
    return packed(journal_lines(cells))


def read(path) -> list[list[str]]:
    text = b"".join(read_journal(path)).decode()
    assert text.startswith(HEADER)
    return list(csv.reader(io.StringIO(text, newline="")))[1:]


@pytest.mark.slow
@given(st.lists(st.tuples(st.text(max_size=50), NOTES), min_size=1, max_size=5))
def test_any_header_or_note_is_read_back(tmp_path_factory, said):
    """One line per row, with nothing that could move a cursor; unprintable characters of a header are escaped."""
    path = tmp_path_factory.mktemp("journal") / "journal.csv.gz"
    rows = [ROW._replace(retry_after=header, noted=noted_text(note)) for header, note in said]
    append_journal(path, member(*rows))
    text = b"".join(read_journal(path)).decode()
    assert all(line.isprintable() for line in text.split("\n"))
    assert text.count("\n") == 1 + len(rows)
    for (header, note), row in zip(said, read(path), strict=True):
        assert row[:9] == ["1", "127.1.0.1", "balance", "steady", "-5", "10", "1000000", "200", "ok"]
        assert row[9] == header or not header.isprintable()
        assert json.loads(row[11] or "{}") == note


@pytest.mark.parametrize(
    ("note", "written"),
    [
        ({}, ""),
        ({"key": "a", "amount": 5}, '{"key":"a","amount":5}'),
        ({"price": Decimal("1.50")}, '{"price":"1.50"}'),
        ({"id": UUID(int=1)}, '{"id":"00000000-0000-0000-0000-000000000001"}'),
        ({"many": [1, {"a": b"x"}]}, '{"many":[1,{"a":"b\'x\'"}]}'),
        ({1: 2**70}, '{"1":1180591620717411303424}'),
        ({"odd": "\ud800"}, '{"odd":"\\ud800"}'),
        ({"odd": "\u2028\x9b"}, '{"odd":"\\u2028\\u009b"}'),
    ],
)
def test_a_note_is_compact_json(note, written):
    """Values that JSON doesn't know are written as text."""
    assert noted_text(note) == written


def test_texts_too_long_for_a_row_are_cut():
    """A target that answers with a megabyte must not fill the disk with it."""
    assert cut("x" * LONGEST) == "x" * LONGEST
    assert cut("x" * (LONGEST + 1)) == "x" * (LONGEST - 1) + "…"
    assert cut(10**400) == "1" + "0" * (LONGEST - 2) + "…"
    assert cut([5]) == [5]
    assert len(cut(list(range(1000)))) == LONGEST
    assert json.loads(noted_text({"deep": [list(range(1000))]})) == {"deep": cut([list(range(1000))])}
    several = {f"word {number}": "é" * LONGEST for number in range(3)}
    assert noted_text(several) == json.dumps(several, separators=(",", ":"), ensure_ascii=False)
    long = {f"word {number}": "x" * 5000 for number in range(50)}
    note = json.loads(noted_text(long))
    assert note == {f"word {number}": cut("x" * 5000) for number in range(len(note))}
    assert len(noted_text(long)) < 3000


@pytest.mark.slow
def test_a_journal_torn_at_any_byte_is_a_prefix_of_whole_rows(tmp_path):
    """It is reported as torn, unless it ends where a member does."""
    whole, torn, ends = tmp_path / "whole", tmp_path / "torn", {0}
    append_journal(whole, b"")
    ends.add(whole.stat().st_size)
    for second in range(3):
        append_journal(
            whole, member(*(ROW._replace(sent_us=second, noted=noted_text({"key": str(key)})) for key in range(9)))
        )
        ends.add(whole.stat().st_size)
    content, rows = whole.read_bytes(), read(whole)
    assert len(rows) == 27
    for size in range(len(content) + 1):
        torn.write_bytes(content[:size])
        lines = read_journal(torn)
        found = list(csv.reader(io.StringIO(b"".join(lines).decode(), newline="")))[1:]
        assert found == rows[: len(found)]
        assert lines.is_torn == (size not in ends)
    append_journal(whole, packed("1,2"))
    lines = read_journal(whole)
    assert b"".join(lines).count(b"\n") == 28
    assert lines.is_torn


def test_a_member_that_the_disk_has_no_room_for_leaves_nothing(tmp_path):
    """Members appended once there is room again are readable."""
    path = tmp_path / "journal.csv.gz"
    append_journal(path, member(ROW))
    with small_disk(path.stat().st_size + 20), pytest.raises(OSError, match="too large"):
        append_journal(path, member(*[ROW] * 10))
    append_journal(path, member(ROW._replace(worker="2")))
    assert [row[0] for row in read(path)] == ["1", "2"]
    assert not read_journal(path).is_torn
