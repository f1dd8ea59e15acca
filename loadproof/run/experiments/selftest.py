"""Makes the runs of a self-test: loads a server with scripted answers; generator or server may be paused meanwhile."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import psutil
import yaml

from loadproof import variables
from loadproof.run import runner
from loadproof.run.assignment import Assignment
from loadproof.run.machine.shipped import LOCUSTFILES
from loadproof.run.processes.children import python, share_cores, start, stop
from loadproof.run.processes.locust import MODULE, CrewOptions
from loadproof.run.servers import readiness
from loadproof.run.watching.progress import Progress
from loadproof.rundir import files
from loadproof.scenario.scenario import Scenario
from loadproof.scenario.target.targetfile import TargetFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from loadproof.run.processes.stopping import StopSignal
    from loadproof.rundir.manifest import Manifest

ENDPOINT: Final = "balance"
PHASE: Final = "steady"
STOPPED_S: Final = 2.0
LIMIT_MS: Final = 100
"""Threshold of p(95) in ms: three times the p(95) of the script `steady`, and far less than the pause of a server."""
_WARM_UP_S: Final = 1
_WAIT_S: Final = 30.0
_LOG: Final = "truth.npy"


@dataclass(frozen=True)
class ScriptedRun:
    """A run at a fixed rate against a script of the truth server."""

    name: str
    script: str = "steady"
    rate_rps: int = 500
    seconds: int = 5
    seed: int = 1
    stopped: Literal["generator", "server"] | None = None
    """Which of the two is paused for STOPPED_S in the middle, if any."""

    @property
    def scenario(self) -> Scenario:
        return Scenario.model_validate(yaml.safe_load(self.text))

    @property
    def text(self) -> str:
        load = {"rate": f"{self.rate_rps} rps"}
        content = {
            "name": self.name,
            "model": "open",
            "client_count": 100,
            "max_in_flight": 4000,
            "deadline": "1 s",
            "timeouts": {"connect": "1 s", "total": "3 s"},
            "mix": {ENDPOINT: {"share": "100 %"}},
            "phases": [
                {"name": "warm-up", "warm_up": True, "duration": f"{_WARM_UP_S} s", **load},
                {"name": PHASE, "duration": f"{self.seconds} s", **load},
            ],
            "thresholds": [{"expect": "goodput_ratio >= 90 %"}, {"expect": f"p(95) < {LIMIT_MS} ms"}],
        }
        return yaml.safe_dump(content, sort_keys=False)


@dataclass(frozen=True)
class Tried:
    """The results of a trial."""

    trial: ScriptedRun
    run: Path
    manifest: Manifest
    log: NDArray[np.float64]
    """Shape (n, 2), one row per request in the order of answers: when it was read and answered, Unix times in s."""


def perform(trial: ScriptedRun, out: Path, stop_signal: StopSignal) -> Tried:
    """Run one trial into a new run directory below `out`; TargetError if the server doesn't come up."""
    run = files.create_run_directory(out, trial.name)
    with _truth_server(trial, run, stop_signal) as (base_url, pid):
        assignment = Assignment(
            scenario=trial.scenario,
            scenario_file=run / files.SCENARIO,
            target=TargetFile(base_url=base_url),
            seed=trial.seed,
            command="loadproof selftest",
            crew=CrewOptions(LOCUSTFILES, 1),
            scenario_text=trial.text,
        )
        silent = Progress.silent(assignment.scenario.duration_s)
        with silent, _disturbed(trial, run, pid):
            manifest = runner.run(assignment, run, silent, stop_signal)
    return Tried(trial, run, manifest, _log_of(run))


@contextmanager
def _truth_server(trial: ScriptedRun, run: Path, stop_signal: StopSignal) -> Iterator[tuple[str, int]]:
    """Run the truth server on the target's cores; yields its base URL and process id."""
    server = start(
        python("loadproof.run.experiments.truthserver", trial.script, str(trial.seed), str(run / _LOG)),
        directory=run,
        environment={variables.PARENT: str(os.getpid())},
        cores=share_cores()[1],
        log=run / "target.log",
        pipe_output=True,
    )
    try:
        port = readiness.address(
            server, "", what="truth server", log=run / "target.log", stop_requested=stop_signal.__bool__
        )
        yield f"http://127.0.0.1:{port}", server.pid
    finally:
        stop(server)
        if server.stdout is not None:
            server.stdout.close()


def _log_of(run: Path) -> NDArray[np.float64]:
    """The server's log; empty if it left none."""
    try:
        log: NDArray[np.float64] = np.load(run / _LOG)
    except (OSError, ValueError):
        return np.empty((0, 2))
    return log


@contextmanager
def _disturbed(trial: ScriptedRun, run: Path, server: int) -> Iterator[None]:
    """Pause generator or server, if the trial says so, from another thread during the body of this context."""
    if trial.stopped is None:
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=_stop_for_a_while, args=(trial, run, server, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(STOPPED_S + 1)


def _stop_for_a_while(trial: ScriptedRun, run: Path, server: int, over: threading.Event) -> None:
    """Pause a process 1 s after the measured phase began; does nothing if the process is gone."""
    until_s = time.monotonic() + _WAIT_S
    while f"phase,{PHASE}" not in _events(run):
        if over.wait(0.02) or time.monotonic() > until_s:
            return
    over.wait(1.0)
    with suppress(psutil.Error):
        process = psutil.Process(server) if trial.stopped == "server" else _generator()
        process.send_signal(signal.SIGSTOP)
        try:
            over.wait(STOPPED_S)
        finally:
            process.send_signal(signal.SIGCONT)


def _events(run: Path) -> str:
    try:
        return (run / files.EVENTS).read_text(encoding="utf-8")
    except OSError:
        return ""


def _generator() -> psutil.Process:
    """The generator's process; NoSuchProcess if it is gone already."""
    for child in psutil.Process().children(recursive=True):
        if MODULE in child.cmdline():
            return child
    raise psutil.NoSuchProcess(0)
