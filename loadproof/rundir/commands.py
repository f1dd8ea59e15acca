"""commands.jsonl: the target's commands that a run has executed, one line of JSON each, written as they end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import orjson

from loadproof.errors import escaped, excerpt
from loadproof.rundir.files import COMMANDS, append
from loadproof.units import format_duration

if TYPE_CHECKING:
    from pathlib import Path

How = Literal["exited", "overdue", "stopped", "unstarted"]
"""Ended by itself; ended because it took too long; ended because it was no longer needed; could not be started."""


@dataclass(frozen=True, slots=True)
class CommandRun:
    """One command from start to end. Times in s."""

    name: str
    fault: int | None
    """The number in the scenario, from 0, of the fault that it is; None if an audit needed it."""
    arguments: list[str]
    """As the target file has them: without the values of variables."""
    began_unix_s: float
    took_s: float
    how: How
    code: int | None
    """Its exit code, or minus the signal that ended it; None if it never ran."""
    output: str
    """The end of what it printed, without secrets."""

    @property
    def is_done(self) -> bool:
        return self.how == "exited" and self.code == 0

    @property
    def said(self) -> str:
        """Its last line, inert in a terminal."""
        lines = self.output.strip().splitlines()
        return escaped(excerpt(lines[-1])) if lines else "no output"

    @property
    def text(self) -> str:
        """How it ended, in a few words."""
        took = format_duration(self.took_s)
        match self.how:
            case "overdue":
                return f"{self.name} did not end within {took}, and was ended: {self.said}"
            case "unstarted":
                return f"{self.name} did not start: {self.said}"
            case "stopped":
                return f"{self.name} was stopped after {took}"
            case _:
                why = f"was ended by signal {-self.code}" if self.code and self.code < 0 else f"exited with {self.code}"
                return f"{self.name} {why} after {took}: {self.said}"


def append_command(run: Path, done: CommandRun) -> None:
    """OSError if it can't be written."""
    append(run / COMMANDS, orjson.dumps(done) + b"\n")


def read_commands(run: Path) -> list[CommandRun]:
    """In the order in which they ended; empty if there is no such file. A line that a crash cut short is skipped."""
    runs = []
    path = run / COMMANDS
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            runs.append(CommandRun(**orjson.loads(line)))
        except (TypeError, ValueError):
            continue
    return runs
