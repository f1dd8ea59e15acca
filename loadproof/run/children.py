"""Child processes that always end: the embedded target, and stopping politely, then firmly."""

from __future__ import annotations

import os
import subprocess
from contextlib import nullcontext
from typing import IO, TYPE_CHECKING, Final

from loadproof import variables
from loadproof.errors import OutputError, Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

_STOP_TIMEOUT_S: Final = 10.0


def share_cores(workers: int = 1) -> tuple[set[int], set[int]]:
    """Cores for the generator's processes and for the target: different ones, where there are two."""
    if not hasattr(os, "sched_getaffinity"):
        return set(), set()
    cores = sorted(os.sched_getaffinity(0))
    ours = max(1, min(workers, len(cores) - 1))
    return set(cores[:ours]), set(cores[ours:]) or set(cores)


def start(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    cores: set[int],
    log: Path | None,
    pipe_output: bool = False,
    pass_fds: Sequence[int] = (),
    without: Collection[str] = (),
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own, so that a Ctrl-C in the terminal reaches us alone.

    It inherits our environment, but for the variables in `without`. What it prints goes to `log`, or to where we print.
    """
    with nullcontext() if log is None else _opened(log) as log_file:
        child = subprocess.Popen(
            command,
            env={name: value for name, value in os.environ.items() if name not in without} | dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if pipe_output else log_file,
            stderr=log_file,
            start_new_session=True,
            pass_fds=pass_fds,
        )
    if cores:
        os.sched_setaffinity(child.pid, cores)
    return child


def _opened(log: Path) -> IO[bytes]:
    try:
        return log.open("ab")
    except OSError as error:
        what = f"can't be written: {error.strerror or error}"
        raise OutputError(Problem(str(log), what, "free space there or choose another --out")) from None


def environment_with(changes: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with changes; the secret of master and workers only where it is one of them."""
    own = {name: value for name, value in os.environ.items() if name not in {variables.SECRET, variables.SECRET_FILE}}
    return {**own, **changes}


def stop(child: subprocess.Popen[bytes], timeout_s: float = _STOP_TIMEOUT_S) -> None:
    """SIGTERM, and SIGKILL when that did not end it in time."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            child.kill()
    child.wait()
