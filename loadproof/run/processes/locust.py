"""Runs Locust as child processes: one that does everything, or a master with its workers."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import time
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import loadproof
from loadproof import variables
from loadproof.errors import ExitCode
from loadproof.generator.guards.leftovers import ending_leftovers
from loadproof.run.machine import ports
from loadproof.run.machine.openfiles import MOST_CONNECTIONS, allow_open_files
from loadproof.run.machine.ports import LOOPBACK
from loadproof.run.processes import children
from loadproof.run.processes.maskedlog import mask_file
from loadproof.run.processes.secret import new_crew_secret
from loadproof.rundir import files
from loadproof.scenario.target.variables import masker_of, permissions_of, secret_variables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from socket import socket

    from loadproof.run.processes.stopping import StopSignal
    from loadproof.rundir.manifest import Manifest

LISTEN_PORT: Final = 5557
_POLL_S: Final = 0.2
MODULE: Final = "loadproof.generator.locust"
"""The module that each Locust process runs."""
_OUR_LOCUSTFILE: Final = Path(loadproof.__file__).parent / "generator/locustfile.py"
"""Loaded by Locust from its path: nothing in this process imports it."""


@dataclass(frozen=True)
class CrewOptions:
    """How many processes generate the load, and where they run."""

    locustfiles: Path
    """A directory of virtual users, one kind per file; or a plain locustfile."""
    workers: int = 1
    listen: tuple[str, int] | None = None
    """Where workers on other machines connect; None: the workers are our own children."""
    wait_s: int = 60
    """How long to wait for them, in s."""
    secret: str = field(default="", repr=False)
    """Shared with workers on other machines; empty: a new one for each run."""
    ui_port: int | None = None
    """Where Locust's web UI shows the run, on 127.0.0.1; None: no UI."""
    hosts: tuple[str, ...] = ()
    """Base URLs set by the user classes of a plain locustfile."""
    allowed_hosts: tuple[str, ...] = ()
    """Other hosts that its users may send to, however they name them."""

    @property
    def local_workers(self) -> int:
        return 1 if self.listen else self.workers

    @property
    def is_distributed(self) -> bool:
        return self.workers > 1 or self.listen is not None


@dataclass(frozen=True)
class Generator:
    """The processes that generate the load, while they run."""

    leader: subprocess.Popen[bytes]
    """The process that writes the run directory."""
    pipe: int
    """The descriptor from which to read the leader's announcements, as lines of JSON."""
    workers: list[subprocess.Popen[bytes]]
    wait_s: int
    """How long it may wait for workers before it begins, in s; 0: there are none."""

    def end_early(self) -> None:
        """Tell the leader to finish the requests in flight and write the results so far."""
        self.leader.send_signal(signal.SIGUSR1)


@contextmanager
def running_generator(
    manifest: Manifest, path: Path, crew: CrewOptions, cores: set[int], secret: Mapping[str, str]
) -> Iterator[Generator]:
    """Run the generator for this run directory; all of its processes are gone at the end."""
    log = path / files.GENERATOR_LOG
    environment = {**secret, **permissions_of(manifest.target, crew.hosts, crew.allowed_hosts)}
    if crew.is_distributed:
        environment[variables.SECRET] = crew.secret or new_crew_secret()
    # A plain locustfile may open files relative to the user's working directory.
    directory = Path.cwd() if manifest.scenario.locustfile else path
    read_end, write_end = os.pipe()
    with ExitStack() as stack:
        environment |= stack.enter_context(ending_leftovers()) | _parent()
        stack.callback(os.close, read_end)
        stack.callback(mask_file, log, masker_of(secret_variables(manifest.target), {**os.environ, **secret}))
        start = functools.partial(children.start, directory=directory, cores=cores, log=log)
        leader, port = _start_leader(start, manifest, path, crew, environment=environment, progress_end=write_end)
        stack.callback(children.stop, leader)
        workers = []
        for _ in range(crew.workers if crew.workers > 1 and not crew.listen else 0):
            # Workers need no tag options: they get the master's.
            command = [*_worker_command(crew.locustfiles, LOOPBACK, port), *_host_option(manifest, crew)]
            worker = start(command, environment=environment)
            stack.callback(children.stop, worker)
            workers.append(worker)
        yield Generator(leader, read_end, workers, wait_s=crew.wait_s if crew.is_distributed else 0)


def _start_leader(
    start: Callable[..., subprocess.Popen[bytes]],
    manifest: Manifest,
    path: Path,
    crew: CrewOptions,
    *,
    environment: Mapping[str, str],
    progress_end: int,
) -> tuple[subprocess.Popen[bytes], int]:
    """The process that writes the run directory, and the port where workers connect to it; 0 without workers."""
    command = [*_locust(crew.locustfiles), "--only-summary", *_run_options(manifest, crew), *_shown_by(crew)]
    own = {variables.RUN: str(path.resolve()), variables.PROGRESS_FD: str(progress_end)}
    # Close our copies once the leader has them: a port that we hold open would outlive the leader.
    with ExitStack() as handed_over:
        handed_over.callback(os.close, progress_end)
        pass_fds, port = [progress_end], 0
        if crew.is_distributed:
            listener = handed_over.enter_context(_listening(crew))
            port = listener.getsockname()[1]
            command += _master_options(crew, port)
            own[variables.LISTENER_FD] = str(listener.fileno())
            pass_fds.append(listener.fileno())
        return start(command, environment={**environment, **own}, pass_fds=pass_fds), port


@dataclass(frozen=True)
class WorkerOptions:
    """The master of a worker, and what the worker may do."""

    host: str
    port: int
    locustfiles: Path
    """A directory of virtual users, or a plain locustfile."""
    environment: Mapping[str, str] = field(repr=False)
    """The secret, and the hosts, variables and files that the worker's owner allows."""


def work_for(options: WorkerOptions, stop_signal: StopSignal, *, once: bool) -> int:
    """Act as a worker for one master after another at this address; returns Locust's last exit code.

    Locust waits a few minutes for a master and then exits; it is started again unless it was refused.
    """
    command = _worker_command(options.locustfiles, options.host, options.port)
    allow_open_files(MOST_CONNECTIONS)
    code = 0
    while not stop_signal:
        # The same choice as on the master, which may be another machine.
        place = nullcontext(Path.cwd()) if options.locustfiles.is_file() else children.empty_directory()
        with place as directory, ending_leftovers() as mark:
            environment = {**options.environment, **mark, **_parent()}
            child = children.start(command, directory=directory, environment=environment, cores=set(), log=None)
            while child.poll() is None and not stop_signal:
                time.sleep(_POLL_S)
            children.stop(child)
        code = child.returncode
        if once or code == ExitCode.NOTHING_MEASURED:
            break
        time.sleep(_POLL_S)
    return code


def _parent() -> dict[str, str]:
    return {variables.PARENT: str(os.getpid())}


def _locust(locustfiles: Path) -> list[str]:
    # Ours first, because Locust uses the first of several shapes.
    files = f"{_OUR_LOCUSTFILE},{locustfiles.resolve()}"
    return children.python(MODULE, "-f", files, "--exit-code-on-error", "0")


def _worker_command(locustfiles: Path, host: str, port: int) -> list[str]:
    return [*_locust(locustfiles), "--worker", "--master-host", host, "--master-port", str(port)]


def _listening(crew: CrewOptions) -> socket:
    """The socket where workers connect; the master inherits it, so no other program can take the port meanwhile."""
    return ports.taken(*(crew.listen or (LOOPBACK, 0)), "--listen")


def _master_options(crew: CrewOptions, port: int) -> list[str]:
    host = crew.listen[0] if crew.listen else LOOPBACK
    bind = ["--master", "--master-bind-host", host, "--master-bind-port", str(port)]
    return [*bind, "--expect-workers", str(crew.workers), "--expect-workers-max-wait", str(crew.wait_s)]


def _shown_by(crew: CrewOptions) -> list[str]:
    if crew.ui_port is None:
        return ["--headless"]
    return ["--autostart", "--autoquit", "0", "--web-host", "127.0.0.1", "--web-port", str(crew.ui_port)]


def _run_options(manifest: Manifest, crew: CrewOptions) -> list[str]:
    stop_timeout_s = manifest.scenario.timeouts.stop_s
    return [*_host_option(manifest, crew), "--stop-timeout", str(stop_timeout_s), *_tag_options(manifest)]


def _host_option(manifest: Manifest, crew: CrewOptions) -> list[str]:
    """--host, unless users name several hosts: Locust would send everything to that one."""
    return [] if len(crew.hosts) > 1 else ["--host", manifest.target.base_url]


def _tag_options(manifest: Manifest) -> list[str]:
    options: list[str] = []
    for option, tags in (("--tags", manifest.scenario.tags), ("--exclude-tags", manifest.scenario.exclude_tags)):
        options += [option, *tags] if tags else []
    return options
