"""Locust as child processes: one that does all, or a master with its workers."""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import loadproof
from loadproof import variables
from loadproof.run import children
from loadproof.run.openfiles import MOST_CONNECTIONS, allow_open_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from loadproof.run.stopping import StopSignal
    from loadproof.rundir.manifest import Manifest

LISTEN_PORT: Final = 5557
_POLL_S: Final = 0.2
_OUR_LOCUSTFILE: Final = Path(loadproof.__file__).parent / "generator/locustfile.py"
"""Loaded by Locust from its path: nothing on this side of the processes imports it."""


@dataclass(frozen=True)
class CrewOptions:
    """How many processes make the load, and where they come from."""

    locustfiles: Path
    """The directory of what virtual users do, one kind a file."""
    workers: int = 1
    listen: tuple[str, int] | None = None
    """Where workers from elsewhere connect; None: they are our own children."""
    wait_s: int = 60
    """How long to wait for them."""
    ui_port: int | None = None
    """Where Locust's web UI shows the run, on 127.0.0.1; None: nowhere."""

    @property
    def local_workers(self) -> int:
        return 1 if self.listen else self.workers

    @property
    def is_distributed(self) -> bool:
        return self.workers > 1 or self.listen is not None


@dataclass(frozen=True)
class Generator:
    leader: subprocess.Popen[bytes]
    """The process that writes the run directory."""
    pipe: int
    """A descriptor on which it tells how it goes, in lines of JSON."""
    workers: list[subprocess.Popen[bytes]]
    waits_for_workers: bool

    def end_early(self) -> None:
        """Finish what is in flight, and write what there is."""
        self.leader.send_signal(signal.SIGUSR1)


@contextmanager
def started(
    manifest: Manifest, path: Path, crew: CrewOptions, cores: set[int], secret: Mapping[str, str]
) -> Iterator[Generator]:
    """The generator for this run directory; every process of it is gone on the way out."""
    log = path / "generator.log"
    read_end, write_end = os.pipe()
    with ExitStack() as stack:
        stack.callback(os.close, read_end)
        host, port = crew.listen or ("127.0.0.1", _free_port() if crew.workers > 1 else 0)
        command = [*_locust(crew.locustfiles), "--only-summary", *_run_options(manifest), *_shown_by(crew)]
        if crew.is_distributed:
            command += ["--master", "--master-bind-host", host, "--master-bind-port", str(port)]
            command += ["--expect-workers", str(crew.workers)]
            command += ["--expect-workers-max-wait", str(crew.wait_s)]
        environment = {variables.RUN: str(path.resolve()), variables.PROGRESS_FD: str(write_end), **secret}
        leader = children.start(command, environment=environment, cores=cores, log=log, pass_fds=[write_end])
        stack.callback(children.stop, leader)
        os.close(write_end)
        workers = []
        for _ in range(crew.workers if crew.workers > 1 and not crew.listen else 0):
            command = _worker_command(crew.locustfiles, host, port)
            worker = children.start(command, environment=secret, cores=cores, log=log)
            stack.callback(children.stop, worker)
            workers.append(worker)
        yield Generator(leader, read_end, workers, waits_for_workers=crew.is_distributed)


def work_for(host: str, port: int, *, locustfiles: Path, stop_signal: StopSignal, once: bool) -> int:
    """Be a worker of the masters that listen there, one after the other; Locust's last exit code.

    Locust waits for a master by itself, for some minutes; then it is started again.
    """
    allow_open_files(MOST_CONNECTIONS)
    code = 0
    while not stop_signal:
        child = children.start(_worker_command(locustfiles, host, port), environment={}, cores=set(), log=None)
        while child.poll() is None and not stop_signal:
            time.sleep(_POLL_S)
        children.stop(child)
        code = child.returncode
        if once:
            break
        time.sleep(_POLL_S)
    return code


def _locust(locustfiles: Path) -> list[str]:
    files = f"{locustfiles.resolve()},{_OUR_LOCUSTFILE}"
    return [sys.executable, "-m", "locust", "-f", files, "--exit-code-on-error", "0"]


def _worker_command(locustfiles: Path, host: str, port: int) -> list[str]:
    return [*_locust(locustfiles), "--worker", "--master-host", host, "--master-port", str(port)]


def _shown_by(crew: CrewOptions) -> list[str]:
    if crew.ui_port is None:
        return ["--headless"]
    return ["--autostart", "--autoquit", "0", "--web-host", "127.0.0.1", "--web-port", str(crew.ui_port)]


def _run_options(manifest: Manifest) -> list[str]:
    timeouts = manifest.scenario.timeouts
    stop_timeout_s = math.ceil(timeouts.connect + timeouts.total) + 1
    return ["--host", manifest.target.base_url, "--stop-timeout", str(stop_timeout_s)]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
