"""How accurate each tool's numbers are, compared with the log of the server that it loaded.

    python -m bench.truth [ROUNDS]        writes bench/results/truth.json

loadproof/run/experiments/truthserver.py, on a separate core, delays its answers by a seeded script. There are two
truths:

- service time: the server's own write − read, for the requests that this tool sent;
- response time: write − intended start, for requests that arrive at the planned rate whatever the server does. Only an
  open model has intended starts: loadproof's plan has them, and its n-th arrival is the n-th request that was read.

Other tools report one set of percentiles, which users might take for either truth; loadproof reports one of each kind.
"""

from __future__ import annotations

import functools
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.rounds import Rounds, Unmeasured
from bench.serving import ROOT, SERVER_CORE, machine, pinned, write_results
from bench.throughput import versions
from bench.truthtools import TOOLS, Load, Quantiles, Reported, Script, quantiles_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOLERANCES = (0.01, 0.0003)
"""For a quantile, relative and in seconds; the larger one counts."""

SCRIPTS = (
    Script("lognormal", 400, 10),
    Script("bimodal", 400, 10, gaps=(0.8,)),
    Script("stops", 100, 22, gaps=(20 / 22,)),
)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    rounds = Rounds()
    errors: list[dict[str, Any]] = []
    for number in range(count):
        for script in SCRIPTS:
            errors += one_round(script, number, rounds)
    counts = rounds.reported()
    write_results(
        "truth",
        {
            **machine(),
            "command": "make bench-truth",
            "versions": versions(),
            "rounds": count,
            **counts,
            "scripts": {script.name: {"rate_rps": script.rate_rps, "seconds": script.seconds} for script in SCRIPTS},
            "tolerances": {"relative": TOLERANCES[0], "absolute_s": TOLERANCES[1]},
            "errors": summarised(errors),
        },
    )


def one_round(script: Script, seed: int, rounds: Rounds) -> Iterator[dict[str, Any]]:
    """The errors of each tool in turn.

    loadproof comes first, because its plan shows what users at the planned rate experience.
    """
    users_see: Quantiles = {}
    for tool, measure in TOOLS.items():
        turn = rounds.measured(tool, functools.partial(one_turn, measure, script, seed))
        if turn is None:
            continue
        reported, read_s, written_s = turn
        if reported.intended_s is not None:
            users_see = quantiles_of(written_s - reported.intended_s)
        sys.stderr.write(f"{script.name} {seed}: {tool}: {read_s.size} requests\n")
        for kind, quantiles_s, truth_s in (
            ("service", reported.service, quantiles_of(written_s - read_s)),
            ("response", reported.response, users_see),
        ):
            # The truth is empty if loadproof's round failed: without its plan, what users experience is unknown.
            for quantile in truth_s:
                if all(abs(quantile - gap) > 0.02 for gap in script.gaps):
                    yield {
                        "script": script.name,
                        "tool": tool,
                        "kind": kind,
                        "quantile": quantile,
                        "true_s": truth_s[quantile],
                        "reported_s": quantiles_s[quantile],
                    }


def one_turn(
    measure: Callable[[Load], Reported], script: Script, seed: int
) -> tuple[Reported, NDArray[np.float64], NDArray[np.float64]]:
    """What a tool reported, and when the server read each request and wrote its answer, in the order of reading."""
    with tempfile.TemporaryDirectory() as directory, truth_server(script, seed, Path(directory)) as (url, log):
        reported = measure(Load(script, url, Path(directory)))
        times = log()
    intended = times.shape[0] if reported.intended_s is None else reported.intended_s.size
    if intended != times.shape[0] or not intended:
        raise Unmeasured(f"{intended} requests were planned, {times.shape[0]} read")
    read_s, written_s = times[np.argsort(times[:, 0], kind="stable")].T
    return reported, read_s, written_s


def summarised(errors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Medians over the rounds, of the error and of its ratio to the tolerance."""
    keys = ("script", "kind", "tool", "quantile")
    cells: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for error in errors:
        cells.setdefault(tuple(error[key] for key in keys), []).append(error)
    return [
        dict(zip(keys, cell, strict=True))
        | {
            "true_s": round(statistics.median(error["true_s"] for error in of_cell), 6),
            "reported_s": round(statistics.median(error["reported_s"] for error in of_cell), 6),
            "error_s": round(statistics.median(error["reported_s"] - error["true_s"] for error in of_cell), 6),
            "of_tolerance": round(statistics.median(of_tolerance(error) for error in of_cell), 2),
        }
        for cell, of_cell in cells.items()
    ]


def of_tolerance(error: dict[str, Any]) -> float:
    relative, absolute_s = TOLERANCES
    return float(abs(error["reported_s"] - error["true_s"]) / max(relative * error["true_s"], absolute_s))


@contextmanager
def truth_server(script: Script, seed: int, directory: Path) -> Iterator[tuple[str, Callable[[], NDArray[np.float64]]]]:
    """Run the server; yields its URL, and a function that stops it and returns its log."""
    path = directory / "log.npy"
    command = pinned(
        [sys.executable, "-m", "loadproof.run.experiments.truthserver", script.name, seed, path], SERVER_CORE
    )
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None

        def ended() -> NDArray[np.float64]:
            server.terminate()
            server.wait(10)
            log: NDArray[np.float64] = np.load(path)
            return log

        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}", ended
        finally:
            server.kill()


if __name__ == "__main__":
    main()
