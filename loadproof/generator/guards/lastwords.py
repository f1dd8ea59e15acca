"""Passes on why a locustfile's code ended one of Locust's processes: as a line in its log, read by its parent."""

from __future__ import annotations

import os
import sys
import sysconfig
import traceback
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import loadproof
from loadproof.rundir.rows import ENDED_BY

if TYPE_CHECKING:
    from collections.abc import Iterable
    from traceback import FrameSummary

_READ_BYTES: Final = 65_536
"""How much of the end of a log is searched."""


def say_what_ended_it(error: BaseException) -> None:
    """Log the error if a locustfile's code raised it, rather than Locust or loadproof at a regular end."""
    if place := place_in(traceback.extract_tb(error.__traceback__)):
        _say(f"{place}: {traceback.format_exception_only(error)[-1].strip()}")


def say_who_ends_it() -> None:
    """Log the place if a locustfile's code is in the current call stack."""
    if place := place_in(traceback.extract_stack()):
        _say(place)


def say_who_leaves_at_once() -> None:
    """From now on, log the place if a locustfile's code calls `os._exit`, after which nothing else runs."""
    leave, process = os._exit, os.getpid()

    def leave_told(status: int) -> NoReturn:
        # A fork of this process normally ends like this.
        if os.getpid() == process and (place := place_in(traceback.extract_stack())):
            _say(f"{place}: os._exit({status})")
        leave(status)

    os._exit = leave_told


def _say(words: str) -> None:
    sys.stderr.write(f"\n{ENDED_BY}{words}\n")
    sys.stderr.flush()


def said_in(log: Path) -> str:
    """The last such line in a log of these processes, as ', ended by …'; '' without any."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _READ_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((f", {line}" for line in reversed(lines) if line.startswith(ENDED_BY)), "")


def place_in(frames: Iterable[FrameSummary]) -> str:
    """'own.py, line 12, in on_start': the innermost frame of a locustfile's code; '' without any."""
    own = [frame for frame in frames if not _is_of_others(frame.filename)]
    return f"{Path(own[-1].filename).name}, line {own[-1].lineno}, in {own[-1].name}" if own else ""


def _is_of_others(file: str) -> bool:
    installed = Path(sysconfig.get_path("purelib"))
    is_standard = file.startswith(f"{sysconfig.get_path('stdlib')}{os.sep}") and installed not in Path(file).parents
    return is_standard or file.startswith("<") or any(file.startswith(root) for root in _roots())


def _roots() -> Iterable[str]:
    """Directories of loadproof, Locust and gevent."""
    yield f"{Path(loadproof.__file__).parent}{os.sep}"
    for package in ("locust", "gevent"):
        found = find_spec(package)
        yield from (f"{place}{os.sep}" for place in (found.submodule_search_locations or ()) if found) if found else ()
