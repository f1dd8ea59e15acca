"""Child processes that always end: the embedded target, and stopping politely, then firmly."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import time
from contextlib import contextmanager, nullcontext
from typing import IO, TYPE_CHECKING, Final

from loadproof.errors import Problem, TargetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

READY_PREFIX: Final = "payments_api: ready on "
_READY_TIMEOUT_S: Final = 20.0
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
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own, so that a Ctrl-C in the terminal reaches us alone.

    What it prints goes to `log`, or to where we print.
    """
    with nullcontext() if log is None else log.open("ab") as log_file:
        child = subprocess.Popen(
            command,
            env=environment_with(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if pipe_output else log_file,
            stderr=log_file,
            start_new_session=True,
            pass_fds=pass_fds,
        )
    if cores:
        os.sched_setaffinity(child.pid, cores)
    return child


def environment_with(variables: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, **variables}


def stop(child: subprocess.Popen[bytes], timeout_s: float = _STOP_TIMEOUT_S) -> None:
    """SIGTERM, and SIGKILL when that did not end it in time."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            child.kill()
    child.wait()


@contextmanager
def embedded_target(
    settings: Mapping[str, str], *, cores: set[int], log: Path, stop_requested: Callable[[], bool]
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The reference target on a free loopback port, and its base URL; stopped on the way out.

    The base URL is empty when the wait for it was stopped.
    """
    command = [sys.executable, "-m", "payments_api", "--port", "0", "--exit-with-parent"]
    child = start(command, environment=settings, cores=cores, log=log, pipe_output=True)
    try:
        yield child, _await_ready(child, log, stop_requested)
    finally:
        stop(child)
        if child.stdout is not None:
            child.stdout.close()


def _await_ready(child: subprocess.Popen[bytes], log: Path, stop_requested: Callable[[], bool]) -> str:
    output: IO[bytes] | None = child.stdout
    assert output is not None  # noqa: S101 - it was started with a pipe
    deadline_s = time.monotonic() + _READY_TIMEOUT_S
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while time.monotonic() < deadline_s:
            if stop_requested():
                return ""
            if not selector.select(timeout=0.1):
                continue
            line = output.readline().decode(errors="replace").strip()
            if line.startswith(READY_PREFIX):
                return line.removeprefix(READY_PREFIX)
            if not line and child.wait() is not None:
                break
    raise TargetError(Problem("embedded target", "did not get ready", f"see {log}", got=_last_line(log)))


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "no output"
