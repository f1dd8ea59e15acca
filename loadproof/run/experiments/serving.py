"""Serves a release for one run: at its URL if it runs already, or by a command that is started and ended."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from loadproof import variables
from loadproof.errors import InputError, OwnWantError, Problem, TargetError
from loadproof.generator.guards.leftovers import ending_leftovers
from loadproof.run.machine.ports import LOOPBACK, free_port
from loadproof.run.processes import children, overseer
from loadproof.run.processes.maskedlog import mask_file
from loadproof.run.servers.readiness import last_line
from loadproof.run.target.probe import probe, probe_within
from loadproof.scenario.safety import check_base_url, check_host
from loadproof.scenario.target.targetfile import TargetFile
from loadproof.scenario.target.variables import check_hosts, masker_of, secret_variables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from loadproof.scenario.scenario import Scenario

_PORT: Final = "PORT"
_IN_COMMAND: Final = "{port}"
_NOT_INHERITED: Final = variables.FOR_NO_CHILD | {variables.SECRET, variables.SECRET_FILE}
_ENDS_WITHIN_S: Final = 2 * overseer.PATIENCE_S + 5


def is_url(release: str) -> bool:
    """Whether a release is given as a URL; otherwise it is a command."""
    return release.startswith(("http://", "https://"))


def target_at(release: str, described: TargetFile | None, *, where: str, allowed: Sequence[str] = ()) -> TargetFile:
    """A release as a target, still without its port if it is a command; `described` is the target file, if any.

    InputError if it isn't valid, UnsafeTargetError if it may not receive load.
    """
    if not release.strip():
        raise InputError(Problem(where, "nothing to run", "give a URL, or a command that listens on $PORT"))
    base_url = release.rstrip("/") if is_url(release) else f"http://{LOOPBACK}"
    check_base_url(base_url, where)
    target = TargetFile(base_url=base_url) if described is None else described.model_copy(update={"base_url": base_url})
    check_host(base_url, allowed, where)
    check_hosts(target, allowed)
    return target


@dataclass(frozen=True)
class Served:
    """A release that responds."""

    target: TargetFile
    _process: subprocess.Popen[bytes] | None = None

    def ended(self, _: float = 0.0) -> str | None:
        """Why the release no longer runs; None if it still does, or wasn't started by us."""
        if self._process is None or (code := self._process.poll()) is None:
            return None
        return f"its command ended with code {code}"

    def gone(self, starting: Starting) -> str:
        """Why the release no longer responds; empty if it does, or if this machine couldn't ask it."""
        try:
            probe(self.target, starting.scenario)
        except OwnWantError:
            return self.ended() or ""
        except TargetError as error:
            return self.ended() or "; ".join(problem.what for problem in error.problems)
        return self.ended() or ""


@dataclass(frozen=True)
class Starting:
    """How to start a release and wait for it."""

    scenario: Scenario
    cores: set[int]
    """Cores for a release's command."""
    wait_s: float
    """How long a release may take to respond."""
    stop_requested: Callable[[], bool]


@contextmanager
def served(release: str, target: TargetFile, *, name: str, log: Path, starting: Starting) -> Iterator[Served]:
    """The release, once it responds; everything that its command has started is gone at the end.

    TargetError about `name` if it doesn't respond in time.
    """
    if is_url(release):
        try:
            _await(Served(target), starting)
        except TargetError as error:
            problems = (replace(problem, where=f"{name} {problem.where}") for problem in error.problems)
            raise TargetError(problems) from None
        yield Served(target)
        return
    port = free_port()
    target = target.model_copy(update={"base_url": f"http://{LOOPBACK}:{port}"})
    with (
        _masked(log, target),
        _running(release.replace(_IN_COMMAND, str(port)), port, log=log, cores=starting.cores) as process,
    ):
        release_served = Served(target, process)
        try:
            _await(release_served, starting)
        except TargetError as error:
            raise _unready(release_served, error, name=name, log=log, port=port) from None
        yield release_served


@contextmanager
def _masked(log: Path, target: TargetFile) -> Iterator[None]:
    """Mask the target file's secrets in the log at the end."""
    try:
        yield
    finally:
        mask_file(log, masker_of(secret_variables(target)))


def _await(release: Served, starting: Starting) -> None:
    probe_within(
        starting.wait_s,
        release.target,
        starting.scenario,
        stop_requested=lambda: starting.stop_requested() or release.ended() is not None,
    )


def _unready(release: Served, error: TargetError, *, name: str, log: Path, port: int) -> TargetError:
    """The error to report: the command has ended, or could not be asked, or listens elsewhere."""
    if (ended := release.ended()) is not None:
        return TargetError(Problem(name, f"{ended} before it answered", f"see {log}", got=last_line(log)))
    if isinstance(error, OwnWantError):
        return error
    what = "; ".join(problem.what for problem in error.problems)
    remedy = (
        f"have it listen on {LOOPBACK}, on the port in ${_PORT} or in the place of {_IN_COMMAND} ({port} this time)"
    )
    return TargetError(Problem(name, f"its command runs, but doesn't answer: {what}", f"{remedy}; see {log}"))


@contextmanager
def _running(command: str, port: int, *, log: Path, cores: set[int]) -> Iterator[subprocess.Popen[bytes]]:
    """The process that runs the command, and ends it when we end."""
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    order = {"command": command, "directory": str(Path.cwd()), "environment": environment | {_PORT: str(port)}}
    ours, theirs = socket.socketpair()
    # If that process is killed, we end what the command has left.
    with ending_leftovers() as mark, ours:
        with theirs:
            process = children.start(
                children.python("loadproof.run.processes.overseer", str(theirs.fileno())),
                directory=log.parent,
                environment={},
                cores=cores,
                log=log,
                pass_fds=[theirs.fileno()],
            )
        try:
            ours.sendall(json.dumps(order | {"mark": mark[variables.MARK]}).encode() + b"\n")
            yield process
        finally:
            ours.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_ENDS_WITHIN_S)
            children.stop(process)
