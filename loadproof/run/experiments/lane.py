"""Makes one of two runs that happen at the same time: `python -m loadproof.run.experiments.lane DESCRIPTOR`.

A separate process, because a run handles signals, and only the main thread of a process can. It reads from a socket
what to run, and ends the run when that socket closes.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import sys
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from loadproof import variables
from loadproof.run import runner
from loadproof.run.processes import children
from loadproof.run.processes.stopping import StopSignal
from loadproof.run.watching.progress import Progress
from loadproof.run.watching.watch import stop_patience_s
from loadproof.rundir.files import GENERATOR_LOG
from loadproof.rundir.manifest import read_manifest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from loadproof.run.assignment import Assignment

LEAST_CORES: Final = 4
"""Two generators and two targets need one core each."""
_LEAD_S: Final = 8.0
"""Time for both to get ready; then they begin together."""
_APART_S: Final = 0.02
"""Two runs that begin further apart than this don't count as simultaneous."""
_LOOK_S: Final = 0.1


class Lane(NamedTuple):
    """One half of the machine."""

    generator: frozenset[int]
    target: frozenset[int]


def lanes(cores: Sequence[int]) -> tuple[Lane, Lane]:
    """Two equal halves of these cores, of which there are at least LEAST_CORES; one core of each is the generator's."""
    half = len(cores) // 2
    left, right = sorted(cores)[:half], sorted(cores)[half : 2 * half]
    return Lane(frozenset(left[:1]), frozenset(left[1:])), Lane(frozenset(right[:1]), frozenset(right[1:]))


class LaneRun(NamedTuple):
    """One of the two runs."""

    assignment: Assignment
    path: Path
    lane: Lane


def run_both(runs: tuple[LaneRun, LaneRun], stop_requested: Callable[[], bool]) -> str:
    """Make both runs, each in its lane, starting at the same moment; returns what is wrong with the pair, or "".

    If a stop is requested, both end early.
    """
    began_unix_s = time.time() + _LEAD_S
    with _running(runs[0], began_unix_s) as left, _running(runs[1], began_unix_s) as right:
        while not stop_requested() and None in {left.poll(), right.poll()}:
            time.sleep(_LOOK_S)
    manifests = [read_manifest(run.path) for run in runs]
    apart_s = abs(manifests[0].start_unix_s - manifests[1].start_unix_s)
    if apart_s > _APART_S and not stop_requested():
        return f"the two runs of the pair began {apart_s:.1f} s apart: this machine is too slow to start both in time"
    return ""


@contextmanager
def _running(run: LaneRun, began_unix_s: float) -> Iterator[subprocess.Popen[bytes]]:
    """The process that makes the run; it is ended on leaving, early if necessary."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            process = children.start(
                children.python("loadproof.run.experiments.lane", str(theirs.fileno())),
                directory=run.path,
                environment={variables.BEGINS_AT: repr(began_unix_s)},
                cores={*run.lane.generator, *run.lane.target},
                log=run.path / GENERATOR_LOG,
                pass_fds=[theirs.fileno()],
            )
        try:
            ours.sendall(pickle.dumps((run.assignment, run.path.resolve())))
            yield process
        finally:
            ours.close()
            children.stop(process, stop_patience_s(run.assignment.scenario) + _LEAD_S)


def _heed_closing(orders: socket.socket) -> None:
    """Send ourselves SIGTERM once the socket closes, because nobody waits for the run any more."""
    with suppress(OSError):
        # Returns only when the socket closes: nothing more is ever sent.
        orders.recv(1)
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    orders = socket.socket(fileno=int(sys.argv[1]))
    with orders.makefile("rb") as told:
        assignment, path = pickle.load(told)  # noqa: S301 - from the process that started this one
    stop_signal = StopSignal()
    with stop_signal.installed():
        threading.Thread(target=_heed_closing, args=[orders], daemon=True).start()
        with Progress.silent(assignment.scenario.duration_s) as silent:
            runner.run(assignment, path, silent, stop_signal)


if __name__ == "__main__":
    main()
