"""Runs commands that the command line should refuse."""

from __future__ import annotations

from tests.commands import in_process


def refused(*arguments: object, **environment: str) -> str:
    """Standard error of a refused command: exit code 2, no traceback, nothing on standard output."""
    done = in_process(*arguments, **environment)
    assert (done.returncode, done.stdout) == (2, ""), done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr
