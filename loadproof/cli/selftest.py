"""`loadproof selftest`: makes scripted runs to see whether this machine can be trusted, and up to which load."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.text import Text

from loadproof import __version__
from loadproof.cli import judging
from loadproof.cli.console.options import DEFAULT_OUT, console, output_option
from loadproof.errors import ExitCode, LoadproofError
from loadproof.plan.phases import peak_rps
from loadproof.run.experiments.selftest import ScriptedRun, Tried, perform
from loadproof.run.machine import environment, selftests
from loadproof.run.machine.extras import JUDGE, require
from loadproof.run.machine.shipped import SCENARIOS
from loadproof.run.processes.stopping import StopSignal
from loadproof.rundir.files import create_run_directory, make_directory
from loadproof.rundir.selftest import HitRate, SelfTest, Size
from loadproof.scenario.loading import load_scenario
from loadproof.units import format_duration

if TYPE_CHECKING:
    from loadproof.analysis.compare.comparison import Comparison

_RATES_RPS: Final = (500, 1000, 2000, 4000, 8000, 16_000)
_LAG_RPS: Final = 500
_PLANTED: Final = 0.1
_ORDER: Final = "ABCCBA" * 2
"""Runs of a round: A and B use the same server, C a slower one; mirrored, so that none always goes first."""
_REPEATS: Final = 2
"""How often an INVALID run is repeated: its numbers say nothing about the server."""
_THOROUGH_S: Final = 3600.0
_CASES: Final = {
    "generator": ("A generator that stalls for 2 s", "INVALID"),
    "server": ("A server that stalls for 2 s", "FAIL"),
    "same": ("Two groups of runs of the same server", "not called different"),
    "planted": ("A server that takes 10 % longer", "called slower"),
}


def selftest(
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Repeat it for an hour, to measure how often its answer is right.")
    ] = False,
    out: Annotated[Path, output_option(metavar="DIR", help="Directory for the self-test's runs.")] = DEFAULT_OUT,
) -> None:
    """Test in five minutes what this machine can measure and decide."""
    require(JUDGE)
    make_directory(selftests.state_directory())
    stop_signal = StopSignal()
    with stop_signal.installed():
        session = _Session(create_run_directory(out, "selftest"), stop_signal)
        try:
            measured = session.measured(until_s=session.began_s + (_THOROUGH_S if thorough else 0.0), thorough=thorough)
        except _StoppedError:
            console.print(Text(f"stopped: nothing is kept; the runs so far are in {session.directory}"), soft_wrap=True)
            raise typer.Exit(stop_signal.exit_code) from None
    _show(measured)
    judging.show_path(console, "self-test", selftests.keep(measured))
    raise typer.Exit(_exit_code(measured))


def _exit_code(selftest: SelfTest) -> ExitCode:
    """FAIL for a wrong answer; INVALID if this machine was too busy for an answer."""
    if any(rate.right < rate.n for rate in selftest.rates):
        return ExitCode.FAIL
    was_tried = selftest.ceiling_rps and all(rate.n for rate in selftest.rates)
    return ExitCode.PASS if was_tried else ExitCode.INVALID


class _StoppedError(Exception):
    """A signal stopped the self-test."""


@dataclass
class _Session:
    """One self-test: its runs, and how often their answer was right."""

    directory: Path
    stop_signal: StopSignal
    began_s: float = field(default_factory=time.monotonic)
    n: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)

    def measured(self, *, until_s: float, thorough: bool) -> SelfTest:
        from loadproof.analysis.compare import calibration

        ceiling_rps, is_ceiling, lag = self._ceiling()
        first: tuple[list[Tried], Comparison | None, Comparison | None] | None = None
        while first is None or time.monotonic() < until_s:
            self._disturbed()
            around = self._round(sum(self.n.values()))
            first = first or around
        baseline, same, planted = first
        return SelfTest(
            measured_unix_s=time.time(),
            took_s=time.monotonic() - self.began_s,
            thorough=thorough,
            loadproof=__version__,
            host=environment.host(),
            ceiling_rps=ceiling_rps,
            is_ceiling=is_ceiling,
            lag_rps=_LAG_RPS if lag else 0,
            lag_p50_s=lag[0] if lag else 0,
            lag_p99_s=lag[1] if lag else 0,
            accuracy=calibration.accuracy_of([(tried.run, tried.log) for tried in baseline]),
            rates=[
                HitRate(name=name, expected=expected, right=self.right[case], n=self.n[case])
                for case, (name, expected) in _CASES.items()
            ],
            same=calibration.p95_change(same) if same else None,
            planted=calibration.p95_change(planted) if planted else None,
            planted_ratio=_PLANTED,
            sizes=list(_sizes(ceiling_rps)),
        )

    def _ceiling(self) -> tuple[float, bool, tuple[float, float] | None]:
        """The highest rate kept up, whether the next one wasn't, and the start lag in s at `_LAG_RPS` (p50, p99)."""
        from loadproof.analysis.compare.calibration import lag_of

        kept_rps, lag = 0.0, None
        for rate_rps in _RATES_RPS:
            for _ in range(_REPEATS):
                p50_s, p99_s, keeps_up = lag_of(self._perform(_of_rate(rate_rps)).run)
                if keeps_up:
                    break
            kept = "kept up" if keeps_up else "not kept up"
            console.print(f"{rate_rps:,} requests/s: {kept}, 99 % began at most {format_duration(p99_s)} late")
            if rate_rps == _LAG_RPS and keeps_up:
                lag = p50_s, p99_s
            if not keeps_up:
                return kept_rps, True, lag
            kept_rps = float(rate_rps)
        return kept_rps, False, lag

    def _disturbed(self) -> None:
        from loadproof.analysis.compare.calibration import verdict_word
        from loadproof.analysis.word import Word

        word = verdict_word(self._perform(ScriptedRun("stopped-generator", stopped="generator", seconds=6)).run)
        self._count("generator", is_right=word is Word.INVALID, word=word)
        # If the generator was starved as well, the run decides nothing about the server.
        if (tried := self._valid(ScriptedRun("stopped-server", stopped="server", seconds=6))) is not None:
            word = verdict_word(tried.run)
            self._count("server", is_right=word is Word.FAIL, word=word)

    def _round(self, seed: int) -> tuple[list[Tried], Comparison | None, Comparison | None]:
        """Runs of side A, and its comparisons with B (the same server) and with C (the slower one)."""
        from loadproof.analysis.compare import calibration

        sides: dict[str, list[Tried]] = {name: [] for name in "ABC"}
        for number, name in enumerate(_ORDER):
            script = "steady" if name in "AB" else f"steady*{1 + _PLANTED}"
            tried = self._valid(ScriptedRun(f"side-{name.lower()}", script=script, seed=1000 * seed + number))
            if tried is None:
                return sides["A"], None, None
            sides[name].append(tried)
        paths = {name: [tried.run for tried in side] for name, side in sides.items()}
        same = _compared(paths["A"], paths["B"])
        planted = _compared(paths["A"], paths["C"])
        if same is not None:
            self._count("same", is_right=not calibration.calls_it_changed(same), word=same.word)
        if planted is not None:
            self._count("planted", is_right=calibration.calls_it_slower(planted), word=planted.word)
        return sides["A"], same, planted

    def _valid(self, trial: ScriptedRun) -> Tried | None:
        """The run, repeated while it is INVALID; None if it stays INVALID."""
        from loadproof.analysis.compare.calibration import verdict_word
        from loadproof.analysis.word import Word

        for number in range(1 + _REPEATS):
            tried = self._perform(replace(trial, seed=trial.seed + 500 * number))
            if verdict_word(tried.run) is not Word.INVALID:
                return tried
        console.print(
            f"{trial.name}: INVALID {1 + _REPEATS} times in a row, so it decides nothing: this machine is too busy"
        )
        return None

    def _perform(self, trial: ScriptedRun) -> Tried:
        tried = perform(trial, self.directory, self.stop_signal)
        if self.stop_signal:
            raise _StoppedError
        return tried

    def _count(self, case: str, *, is_right: bool, word: str) -> None:
        self.n[case] += 1
        self.right[case] += is_right
        console.print(f"{_CASES[case][0]}: {word}{'' if is_right else ', WRONG'}")


def _of_rate(rate_rps: int) -> ScriptedRun:
    return ScriptedRun(f"rate-{rate_rps}", script="none", rate_rps=rate_rps, seconds=3)


def _compared(baseline: list[Path], candidate: list[Path]) -> Comparison | None:
    """The comparison; None, with the reason on the terminal, if a side has no valid runs."""
    from loadproof.analysis.compare.calibration import compared_runs

    try:
        return compared_runs(baseline, candidate)
    except LoadproofError as error:
        console.print(Text(f"not compared: {error}"), soft_wrap=True)
        return None


def _sizes(ceiling_rps: float) -> Iterator[Size]:
    for file in sorted(SCENARIOS.glob("*.yaml")):
        scenario = load_scenario(file)
        peak = peak_rps(scenario)
        yield Size(scenario=scenario.name, peak_rps=peak, fits=peak <= ceiling_rps)


def _show(selftest: SelfTest) -> None:
    from loadproof.analysis.outputs.selftesttext import sentences, sizes

    for sentence in (*sentences(selftest), sizes(selftest)):
        console.print(Text(sentence), soft_wrap=True)
