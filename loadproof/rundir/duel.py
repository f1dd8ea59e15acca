"""duel.json: what a duel compares, its looks and its order, fixed beforehand, and the runs that it has made so far."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Final, Literal

from pydantic import ValidationError

from loadproof.errors import Problem, RunDirectoryError
from loadproof.plan.interleaving import SIDES, Side, Turn, turns
from loadproof.rundir.files import why_unreadable, write_whole
from loadproof.scenario.strict import Strict

DUEL: Final = "duel.json"
FORMAT: Final = 1
_REMEDY: Final = "give a directory that `loadproof duel` of this version created, or leave out --resume"
Ending = Literal["running", "decided", "interrupted", "terminated", "died", "unmeasured"]
"""`died`: a target died; `unmeasured`: a run was INVALID too many times in a row."""


class DuelRun(Strict):
    """One run of a duel, recorded as soon as it is known whether it counts."""

    run: str
    """Its directory, relative to the duel's."""
    side: Side
    block: int
    invalid: str = ""
    """Why it is INVALID, and was repeated; empty if it counts."""


class Duel(Strict):
    """Everything needed to resume a duel."""

    format: int = FORMAT
    scenario: str
    """Its name."""
    scenario_file: str
    settings: dict[str, str]
    """What `--set` changed."""
    sides: dict[Side, str]
    """URLs, or commands."""
    kind: Literal["duel", "aa"] = "duel"
    """`aa`: both sides are the same release."""
    is_quick: bool = False
    is_duet: bool = False
    """The two runs of a pair happen at the same time, on halves of the machine that they swap in each block."""
    looks: tuple[int, ...]
    """Runs of each side at each look."""
    seed: int
    target_file: str | None
    locustfiles: str
    workers: int
    machine: str
    runs: tuple[DuelRun, ...] = ()
    """In order, the INVALID ones included."""
    ending: Ending = "running"
    reason: str = ""
    changed: int | None = None
    """Once it is decided: how many rows of its family changed."""

    @property
    def turns(self) -> list[Turn]:
        return turns(self.looks[-1], self.seed)

    @property
    def counted(self) -> tuple[DuelRun, ...]:
        """Runs that count."""
        return tuple(run for run in self.runs if not run.invalid)

    @property
    def repeated(self) -> int:
        """INVALID runs."""
        return len(self.runs) - len(self.counted)

    @property
    def pairs(self) -> int:
        """Runs of each side that count."""
        return min(len(self.of(side)) for side in SIDES)

    def of(self, side: Side) -> tuple[DuelRun, ...]:
        """A side's runs that count, in order."""
        return tuple(run for run in self.counted if run.side == side)


def write_duel(path: Path, duel: Duel) -> None:
    """OutputError if it can't be written; the file is then left as it was."""
    write_whole(path / DUEL, duel.model_dump_json(indent=2) + "\n")


def resume_command(path: Path) -> str:
    """The command line that resumes the duel in this directory."""
    return shlex.join(["loadproof", "duel", "--resume", str(path)])


def read_duel(path: Path) -> Duel:
    """RunDirectoryError if there is none, or none that this version can resume."""
    file = path / DUEL
    try:
        return Duel.model_validate_json(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunDirectoryError(Problem(str(path), why_unreadable(file, error), _REMEDY)) from None
    except ValueError as error:
        first = str(error.errors(include_url=False)[0]["msg"]) if isinstance(error, ValidationError) else str(error)
        raise RunDirectoryError(Problem(str(file), f"no readable duel: {first}", _REMEDY)) from None
