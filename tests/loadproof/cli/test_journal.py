"""`loadproof journal`: the complete rows of whatever a run left."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from loadproof.cli import journal
from loadproof.cli.console.terminal import UnreadOutput
from loadproof.rundir import files
from loadproof.rundir.journal import HEADER, append_journal, journal_lines, noted_text, quoted
from loadproof.rundir.members import packed
from loadproof.rundir.rows import JournalRow
from tests.commands import ROOT, in_process

ROWS = [
    JournalRow("1", "127.1.0.1", "balance", "steady", number, number, number + 5, 200, "ok", "", 0, "")
    for number in range(60_000)
]
"""More rows than are read at a time."""
ROWS[1] = ROWS[1]._replace(retry_after=quoted("Sun, 06"), noted=quoted(noted_text({"key": "k", "amount": 5})))


@pytest.fixture
def run(tmp_path):
    for first in range(0, len(ROWS), 15_000):
        append_journal(tmp_path / files.JOURNAL, packed(journal_lines(ROWS[first : first + 15_000])))
    return tmp_path


@pytest.mark.slow
def test_a_journal_is_printed_as_csv(run):
    """With one header."""
    done = in_process("journal", run)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == HEADER + journal_lines(ROWS)


@pytest.mark.slow
@pytest.mark.parametrize("size", [0, 5, 180_000])
def test_the_complete_rows_of_a_torn_journal_are_printed(run, size):
    """With a note that it is torn, unless it is empty."""
    path = run / files.JOURNAL
    content = path.read_bytes()
    assert len(content) > 180_000
    path.write_bytes(content[:size])
    done = in_process("journal", run)
    assert done.returncode == 0
    assert done.stderr == (f"note: {path} is damaged: these are all complete rows\n" if size else "")
    assert (HEADER + journal_lines(ROWS)).startswith(done.stdout)
    assert done.stdout.endswith("\n")
    assert (done.stdout.count("\n") > 15_000) == (size == 180_000)


def test_a_directory_without_a_journal_is_refused(tmp_path):
    """In one line that says what to do."""
    done = in_process("journal", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    remedy = "give the directory of a run whose scenario has `record: requests`"
    assert done.stderr == f"{tmp_path / files.JOURNAL}: can't be read: No such file or directory; {remedy}\n"


@pytest.mark.long
@pytest.mark.process
@pytest.mark.parametrize(
    ("pipe", "code", "told"),
    [
        ("| head -n 2", 0, ""),
        ("> /dev/full", 2, "standard output: can't be written: No space left on device\n"),
    ],
)
def test_an_output_that_cannot_be_written_ends_the_command(run, pipe, code, told):
    """Without a traceback: with 0 if the reader has seen enough, else with a reason."""
    line = f"{sys.executable} -m loadproof journal {run} {pipe}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (code, told)
    assert done.stdout == ("" if code else HEADER + journal_lines(ROWS[:1]))


def test_a_journal_is_not_read_on_without_a_reader(tmp_path, monkeypatch):
    """The journal of a day has millions of rows."""
    reading, writing = os.pipe()
    os.close(reading)

    def lines(_):
        yield HEADER.encode() + b"1,2\n" * 10_000
        pytest.fail("it was read on")

    monkeypatch.setattr(journal, "read_journal", lines)
    with open(writing, "w", encoding="utf-8") as gone:  # noqa: PTH123 - a descriptor
        monkeypatch.setattr(sys, "stdout", UnreadOutput(gone))
        journal.journal(tmp_path)


@pytest.mark.long
@pytest.mark.process
def test_pandas_loads_the_journal_as_the_readme_shows(run):
    """With a type for each column, also from a torn journal."""
    readme = (ROOT / "reports/README.md").read_text(encoding="utf-8")
    lines = readme.split("```python\n")[1].split("```")[0]
    assert len([line for line in lines.splitlines() if line]) == 3
    path = run / files.JOURNAL
    path.write_bytes(path.read_bytes()[:-5])
    here = {"run": str(run)}
    exec(lines.replace('["loadproof"', f'[{sys.executable!r}, "-m", "loadproof"'), here)  # noqa: S102 - the README's own
    loaded = here["journal"]
    assert list(loaded.columns) == list(JournalRow._fields)
    assert len(loaded) > 45_000
    assert loaded.loc[1].tolist() == [*[1, *ROWS[1][1:9]], "Sun, 06", 0, '{"key":"k","amount":5}']
