"""Why somebody's own code ended one of Locust's processes, from there to whoever started it: by a line of the log."""

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
"""Of the log's end."""


def say_what_ended_it(error: BaseException) -> None:
    """If it was raised by somebody's own code, and not where Locust's or loadproof's ends as it should."""
    if place := place_in(traceback.extract_tb(error.__traceback__)):
        _say(f"{place}: {traceback.format_exception_only(error)[-1].strip()}")


def say_who_ends_it() -> None:
    """If somebody's own code called whatever calls this."""
    if place := place_in(traceback.extract_stack()):
        _say(place)


def say_who_leaves_at_once() -> None:
    """From now on, if somebody's own code calls `os._exit`: nothing comes after it."""
    leave, process = os._exit, os.getpid()

    def leave_told(status: int) -> NoReturn:
        # A fork of this process ends in this way by itself.
        if os.getpid() == process and (place := place_in(traceback.extract_stack())):
            _say(f"{place}: os._exit({status})")
        leave(status)

    os._exit = leave_told


def _say(words: str) -> None:
    sys.stderr.write(f"\n{ENDED_BY}{words}\n")
    sys.stderr.flush()


def said_in(log: Path) -> str:
    """The last words in a log of some of these processes, as ', ended by …'; '' without any."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _READ_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((f", {line}" for line in reversed(lines) if line.startswith(ENDED_BY)), "")


def place_in(frames: Iterable[FrameSummary]) -> str:
    """'own.py, line 12, in on_start': the innermost frame of somebody's own code; '' without any."""
    own = [frame for frame in frames if not _is_of_others(frame.filename)]
    return f"{Path(own[-1].filename).name}, line {own[-1].lineno}, in {own[-1].name}" if own else ""


def _is_of_others(file: str) -> bool:
    installed = Path(sysconfig.get_path("purelib"))
    is_standard = file.startswith(f"{sysconfig.get_path('stdlib')}{os.sep}") and installed not in Path(file).parents
    return is_standard or file.startswith("<") or any(file.startswith(root) for root in _roots())


def _roots() -> Iterable[str]:
    """Directories of Locust, of what it runs on, and of loadproof."""
    yield f"{Path(loadproof.__file__).parent}{os.sep}"
    for package in ("locust", "gevent"):
        found = find_spec(package)
        yield from (f"{place}{os.sep}" for place in (found.submodule_search_locations or ()) if found) if found else ()
