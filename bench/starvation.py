"""Does the verdict tell a starved generator from a slow target? Runs each experiment many times.

    python -m bench.starvation [TIMES]        writes bench/results/starvation.json

Each run is disturbed while it measures: with a starved generator it must be INVALID every time, with a slow target
never. INVALID is a result here, and only runs without a verdict are repeated.
"""

from __future__ import annotations

import functools
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from bench.rounds import Rounds
from bench.runs import BackgroundRun, only_run, verdict_of
from bench.serving import machine, pinned, write_results

if TYPE_CHECKING:
    import psutil

SCENARIO = {
    "name": "starved",
    "model": "open",
    "client_count": 100,
    "deadline": "1 s",
    "timeouts": {"connect": "1 s", "total": "1500 ms"},
    "mix": {"balance": {"share": "50 %"}, "health": {"share": "50 %"}},
    "phases": [
        {"name": "warm-up", "warm_up": True, "duration": "2 s", "rate": "200 rps"},
        {"name": "steady", "duration": "6 s", "rate": "200 rps"},
    ],
    "thresholds": [
        {"expect": "p(95) < 100 ms"},
        {"expect": "error_ratio < 5 %"},
        {"expect": "goodput_ratio >= 90 %"},
    ],
    "settings": {"limiter": "off"},
}
RIVALS = 40
"""Enough to leave the generator less CPU time than it needs.

A few would hardly hurt a process that needs a twentieth of a core.
"""
BUSY_S = 5


@dataclass(frozen=True)
class Experiment:
    disturb: Callable[[BackgroundRun], None]
    is_generators: bool
    """Whether the generator is disturbed: then the verdict must be INVALID, otherwise anything else."""
    options: tuple[str, ...] = ()


def busy_core(run: BackgroundRun) -> None:
    """Other processes compete for the generator's core."""
    (core,) = run.child("loadproof.generator.locust").cpu_affinity()
    with rivals(core):
        time.sleep(BUSY_S)


@contextmanager
def rivals(core: int) -> Iterator[None]:
    loop = f"import time\nend = time.time() + {BUSY_S}\nwhile time.time() < end: 0"
    command = pinned([sys.executable, "-c", loop], core)
    # Linux divides a core among sessions first, and the run has its own, so each rival gets one, too.
    started = [subprocess.Popen(command, start_new_session=True) for _ in range(RIVALS)]
    try:
        yield
    finally:
        for one in started:
            one.kill()
            one.wait()


def stopped_generator(run: BackgroundRun) -> None:
    stop_for(run.child("loadproof.generator.locust"), 2.0)


def stopped_target(run: BackgroundRun) -> None:
    """Stop the target for 2 s."""
    stop_for(run.child("payments_api"), 2.0)


def stop_for(process: psutil.Process, seconds: float) -> None:
    process.send_signal(signal.SIGSTOP)
    time.sleep(seconds)
    process.send_signal(signal.SIGCONT)


def killed_worker(run: BackgroundRun) -> None:
    """Kill one of two workers."""
    workers = [one for one in run.children() if "--worker" in one.cmdline()]
    workers[0].kill()


def slow_target(run: BackgroundRun) -> None:
    """Other processes compete for the target's core."""
    (core,) = run.child("payments_api").cpu_affinity()
    with rivals(core):
        time.sleep(BUSY_S)


EXPERIMENTS = {
    "busy loops on the generator's core": Experiment(busy_core, is_generators=True),
    "generator stopped for 2 s": Experiment(stopped_generator, is_generators=True),
    "worker killed": Experiment(killed_worker, is_generators=True, options=("--workers", "2")),
    "target stopped for 2 s": Experiment(stopped_target, is_generators=False),
    "busy loops on the target's core": Experiment(slow_target, is_generators=False),
}


def perform(experiment: Experiment) -> dict[str, object]:
    """The verdict of one disturbed run."""
    with tempfile.TemporaryDirectory() as name:
        scenario, reports = Path(name) / "starved.yaml", Path(name) / "reports"
        scenario.write_text(yaml.safe_dump(SCENARIO))
        run = BackgroundRun("run", scenario, "--out", reports, *experiment.options)
        try:
            run.wait_for_phase(reports, "steady")
            experiment.disturb(run)
        finally:
            run.end()
        return verdict_of(only_run(reports))


def is_right(experiment: Experiment, verdict: dict[str, object]) -> bool:
    return (verdict["verdict"] == "INVALID") == experiment.is_generators


def main() -> None:
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    rounds = Rounds()
    experiments = {name: verdicts_of(name, experiment, times, rounds) for name, experiment in EXPERIMENTS.items()}
    counts = rounds.reported()
    write_results("starvation", {**machine(), "command": "make bench-starvation", "experiments": experiments, **counts})


def verdicts_of(name: str, experiment: Experiment, times: int, rounds: Rounds) -> dict[str, object]:
    """The verdicts of an experiment, and how many of them were right."""
    words: Counter[str] = Counter()
    right = 0
    for number in range(times):
        verdict = rounds.measured(name, functools.partial(perform, experiment))
        if verdict is not None:
            words[str(verdict["verdict"])] += 1
            right += is_right(experiment, verdict)
            sys.stderr.write(f"{name} {number + 1}: {verdict['verdict']}: {verdict['reason']}\n")
    return {
        "times": words.total(),
        "right": right,
        "is_generators": experiment.is_generators,
        "verdicts": dict(words),
    }


if __name__ == "__main__":
    main()
