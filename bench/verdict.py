"""Whose verdict is right? Plays the cases of `loadproof selftest` with loadproof, k6, Locust and wrk.

    python -m bench.verdict [ROUNDS]        writes bench/results/verdict.json

loadproof/run/experiments/truthserver.py answers as scripted, at 400 requests/s. The limit is p(95) < 100 ms; the
script `steady` takes 33 ms. Peers have two verdicts, as their thresholds do, and a single run of each release: slower
means that it takes more than 5 % longer. loadproof compares four runs per side, as it recommends.
"""

from __future__ import annotations

import functools
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import psutil

from bench import truthtools
from bench.rounds import Rounds, Unmeasured
from bench.serving import machine, write_results
from bench.throughput import versions
from bench.truth import truth_server
from loadproof.analysis.compare.calibration import calls_it_slower, compared_runs, verdict_word
from loadproof.analysis.word import Word
from loadproof.run.experiments.selftest import LIMIT_MS, STOPPED_S, ScriptedRun, perform
from loadproof.run.processes.stopping import StopSignal

RATE_RPS, SECONDS = 400, 8
SLOWER = 1.05
SERVER = "loadproof.run.experiments.truthserver"
DISTURBED = {
    "a good server": (None, "PASS"),
    "generator stopped for 2 s": ("generator", "INVALID"),
    "server stopped for 2 s": ("server", "FAIL"),
}
"""By case: the process that is stopped, and the right verdict."""
COMPARED = {
    "the same server again": ("steady", "not slower"),
    "a server that takes 10 % longer": ("steady*1.1", "slower"),
}
PEERS: dict[str, tuple[str, Callable[[truthtools.Load], truthtools.Reported]]] = {
    "k6": ("k6", truthtools.k6),
    "Locust HttpUser": ("locust", truthtools.locust),
    "wrk": ("wrk", truthtools.wrk),
}
"""By name: the program, and the function that runs it."""
TRIAL = ScriptedRun("case", rate_rps=RATE_RPS, seconds=SECONDS)
A_SIDE = 4


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    rounds = Rounds()
    words: dict[tuple[str, str], Counter[str]] = {}
    for number in range(count):
        for tool, case, word in (*ours(number, rounds), *theirs(number, rounds)):
            sys.stderr.write(f"{number + 1}: {tool}: {case}: {word}\n")
            words.setdefault((tool, case), Counter())[word] += 1
    right = {case: word for case, (_, word) in (*DISTURBED.items(), *COMPARED.items())}
    rows = [
        {
            "tool": tool,
            "case": case,
            "expected": right[case],
            "right": told[right[case]],
            "n": told.total(),
            "words": told,
        }
        for (tool, case), told in words.items()
    ]
    counts = rounds.reported()
    write_results(
        "verdict", {**machine(), "command": "make bench-verdict", "versions": versions(), "rows": rows, **counts}
    )


def ours(number: int, rounds: Rounds) -> Iterator[tuple[str, str, str]]:
    """Verdicts of loadproof: INVALID counts in the first cases, but runs for comparisons are repeated if INVALID."""
    with tempfile.TemporaryDirectory() as name:
        run = functools.partial(_run_of, Path(name))
        for case, (stopped, _) in DISTURBED.items():
            word = rounds.measured("loadproof", functools.partial(_word_of, run, replace(TRIAL, stopped=stopped)))
            if word is not None:
                yield "loadproof", case, word
        for case, (script, _) in COMPARED.items():
            paths = [
                rounds.measured("loadproof", functools.partial(_valid, run, replace(TRIAL, script=one, seed=seed)))
                for seed, one in enumerate(("steady", script, script, "steady") * (A_SIDE // 2), start=100 * number)
            ]
            whole = [path for path in paths if path is not None]
            if len(whole) == len(paths):
                sides = (
                    [path for place, path in enumerate(whole) if place % 4 in {0, 3}],
                    [path for place, path in enumerate(whole) if place % 4 in {1, 2}],
                )
                yield "loadproof", case, "slower" if calls_it_slower(compared_runs(*sides)) else "not slower"


def _run_of(out: Path, trial: ScriptedRun) -> Path:
    return perform(trial, out, StopSignal()).run


def _word_of(run: Callable[[ScriptedRun], Path], trial: ScriptedRun) -> str:
    return str(verdict_word(run(trial)))


def _valid(run: Callable[[ScriptedRun], Path], trial: ScriptedRun) -> Path:
    """The run; Unmeasured if it is INVALID."""
    path = run(trial)
    if verdict_word(path) is Word.INVALID:
        raise Unmeasured(f"{path.name} is INVALID")
    return path


def theirs(number: int, rounds: Rounds) -> Iterator[tuple[str, str, str]]:
    """Verdicts of a threshold on each tool's own p95, and of comparing one run of each release."""
    for tool in PEERS:
        for case, (stopped, _) in DISTURBED.items():
            p95_s = rounds.measured(tool, functools.partial(_p95_s, tool, "steady", number, stopped))
            if p95_s is not None:
                yield tool, case, "PASS" if p95_s < LIMIT_MS / 1000 else "FAIL"
        was_s = rounds.measured(tool, functools.partial(_p95_s, tool, "steady", 100 + number, None))
        for case, (script, _) in COMPARED.items():
            now_s = rounds.measured(tool, functools.partial(_p95_s, tool, script, 200 + number, None))
            if was_s is not None and now_s is not None:
                yield tool, case, "slower" if now_s > SLOWER * was_s else "not slower"


def _p95_s(tool: str, script: str, seed: int, stopped: str | None) -> float:
    program, measure = PEERS[tool]
    load = truthtools.Script(script, RATE_RPS, SECONDS)
    victim = {"generator": program, "server": SERVER}.get(stopped or "")
    with (
        tempfile.TemporaryDirectory() as name,
        truth_server(load, seed, Path(name)) as (url, _),
        stopped_for_a_while(victim, program),
    ):
        return measure(truthtools.Load(load, url, Path(name))).service[0.95]


@contextmanager
def stopped_for_a_while(name: str | None, loading: str) -> Iterator[None]:
    """Stop the child with this word in its command, 2 s after the load generator has its first connection."""
    over = threading.Event()

    def stop() -> None:
        until_s = time.monotonic() + 30
        while not any(_is_connected(child) for child in _children(loading)):
            if over.wait(0.05) or time.monotonic() > until_s:
                return
        over.wait(2)
        with suppress(psutil.Error):
            for child in _children(name or ""):
                child.send_signal(signal.SIGSTOP)
            over.wait(STOPPED_S)
            for child in _children(name or ""):
                child.send_signal(signal.SIGCONT)

    thread = threading.Thread(target=stop, daemon=True)
    if name is not None:
        thread.start()
    try:
        yield
    finally:
        over.set()
        if name is not None:
            thread.join(STOPPED_S + 1)


def _children(name: str) -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if any(Path(word).name == name or word == name for word in child.cmdline()):
                found.append(child)
    return found


def _is_connected(child: psutil.Process) -> bool:
    try:
        return any(one.status == psutil.CONN_ESTABLISHED for one in child.net_connections("tcp"))
    except psutil.Error:
        return False


if __name__ == "__main__":
    main()
