"""Keeps the latest self-test of this machine in the user's state directory, and copies it into each run."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from loadproof.errors import LoadproofError
from loadproof.rundir.files import SELFTEST, make_directory, write_whole
from loadproof.rundir.selftest import read_selftest

if TYPE_CHECKING:
    from loadproof.rundir.selftest import SelfTest

_STATE: Final = "XDG_STATE_HOME"


def state_directory() -> Path:
    """The directory for state. Source: XDG Base Directory Specification 0.8: a relative path is ignored."""
    named = Path(os.environ.get(_STATE, ""))
    return (named if named.is_absolute() else Path("~/.local/state").expanduser()) / "loadproof"


def keep(selftest: SelfTest) -> Path:
    """Write the self-test and return its path; OutputError if it can't be written."""
    directory = state_directory()
    make_directory(directory)
    write_whole(directory / SELFTEST, selftest.model_dump_json(indent=2) + "\n")
    return directory / SELFTEST


def carry(run: Path) -> None:
    """Copy the latest self-test, if there is one, into a run directory, because a report uses nothing else."""
    # A user without a home directory has no self-test; the run doesn't need it.
    with suppress(LoadproofError, RuntimeError):
        if (latest := read_selftest(state_directory())) is not None:
            write_whole(run / SELFTEST, latest.model_dump_json(indent=2) + "\n")
