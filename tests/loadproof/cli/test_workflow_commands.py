"""GitHub's runner obeys commands in a program's output: text from outside must not give any."""

from __future__ import annotations

import io
import sys

import pytest

from loadproof.cli.console.terminal import UnreadOutput, write_command
from simulation.locustcsvs import EXCEPTIONS, stats_row, total_row, write, write_stats
from tests.commands import in_process


@pytest.mark.parametrize(
    ("pieces", "shown"),
    [
        (["a ##[error]b\n"], "a ## [error]b\n"),
        (["###[error]b\n"], "### [error]b\n"),
        (["a #", "#", "[error]b\n"], "a ## [error]b\n"),
        (["::error::b\n"], ": :error::b\n"),
        (["a\n \t::error::b\n"], "a\n \t: :error::b\n"),
        (["a\r::error::b\n"], "a\r: :error::b\n"),
        (["a", "\n", "  ", ":", ":error::b\n"], "a\n  : :error::b\n"),
        (["::::error::b\n"], ": :::error::b\n"),
        (["a::error::b\n", "std", "::c #[d] ## [e]\n"], "a::error::b\nstd::c #[d] ## [e]\n"),
    ],
)
def test_a_blank_keeps_text_from_being_a_command(monkeypatch, pieces, shown):
    """In any number of pieces; without GitHub's runner, all is shown as it is."""
    for variable in ("", "GITHUB_ACTIONS"):
        monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
        if variable:
            monkeypatch.setenv(variable, "true")
        stream = io.StringIO()
        output = UnreadOutput(stream)
        assert [output.write(piece) for piece in pieces] == list(map(len, pieces))
        assert stream.getvalue() == (shown if variable else "".join(pieces))


def test_only_commands_of_ours_begin_a_line(monkeypatch):
    """The line after one is a new line."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", UnreadOutput(stream))
    write_command("::error title=a::##[error]b")
    sys.stdout.write("::error::c\n")
    assert stream.getvalue() == "::error title=a::## [error]b\n: :error::c\n"


@pytest.mark.parametrize("environment", [{"GITHUB_ACTIONS": "true"}, {}], ids=["in a workflow", "in its container"])
@pytest.mark.parametrize("text", ["##[stop-commands]q", "::stop-commands::q"])
def test_text_in_locusts_csvs_does_not_switch_annotations_off(tmp_path, monkeypatch, environment, text):
    """Nor does it forge one: an exception's message is anybody's, as is an endpoint's name."""
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    prefix = write_stats(tmp_path / "run", [stats_row(text, p95_ms=400), total_row(p95_ms=400)])
    write(prefix, "exceptions", EXCEPTIONS, [[100, f"ValueError: {text}", "Traceback", ""]])
    (tmp_path / "thresholds.yaml").write_text("thresholds: [{expect: p(95) < 200 ms}]")
    arguments = ("--thresholds", tmp_path / "thresholds.yaml", "--annotate", "github")
    done = in_process("report", prefix, *arguments, **environment)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "stop-commands" in done.stdout
    assert "##[" not in done.stdout + done.stderr
    lines = [line for line in map(str.strip, (done.stdout + done.stderr).splitlines()) if line.startswith("::")]
    assert len(lines) == 2
    assert all(line.startswith("::error title=") for line in lines)
