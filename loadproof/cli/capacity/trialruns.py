"""Makes the runs of a capacity search: trials of the target, and rising steps of the generator alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from rich.text import Text

from loadproof.cli.console.options import console, terminal_only
from loadproof.errors import OwnWantError, TargetError, escaped
from loadproof.plan.trials import Goal, ceiling_of, trial_of
from loadproof.run import runner
from loadproof.run.experiments.capacity import SearchStoppedError, UnsendableError
from loadproof.run.experiments.standin import standin
from loadproof.run.machine.shipped import scenario_file
from loadproof.run.processes import children
from loadproof.run.target.probe import probe_within
from loadproof.run.watching.progress import Progress
from loadproof.rundir.files import create_run_directory, make_directory
from loadproof.rundir.trials import RUNS, append_trial, read_trials
from loadproof.scenario.target.targetfile import TargetFile
from loadproof.units import Dimension, format_quantity

if TYPE_CHECKING:
    from pathlib import Path

    from loadproof.run.assignment import Assignment
    from loadproof.run.processes.stopping import StopSignal
    from loadproof.rundir.manifest import Manifest
    from loadproof.rundir.trials import Search, Stage, Trial
    from loadproof.scenario.scenario import Scenario

_RECOVERS_WITHIN_S: Final = 30.0
"""A target that was overloaded may take a while to respond again."""
_CEILING_STEP_S, _QUICK_CEILING_STEP_S = 3.0, 2.0


class TargetGoneError(Exception):
    """A target of your own that no longer responds."""


@dataclass(frozen=True)
class TrialRuns:
    """Makes the trials of one search, in its directory."""

    assignment: Assignment
    goals: list[Goal]
    search: Search
    directory: Path
    stop_signal: StopSignal

    def measure(self, load_rps: float, duration_s: float, stage: Stage) -> Trial:
        """One trial, recorded and shown; SearchStoppedError after a signal, TargetGoneError if nothing responds.

        UnsendableError if this machine still lacks what earlier trials have used up.
        """
        from loadproof.analysis.capacity.trials import trial_in
        from loadproof.analysis.frames.run import load_run

        number = len(read_trials(self.directory)) + 1
        scenario = trial_of(
            self.assignment.scenario,
            self.goals,
            load_rps=load_rps,
            warm_up_s=self.search.warm_up_s,
            duration_s=duration_s,
        )
        try:
            path, ended = self._run(self._of(scenario, number))
        except OwnWantError as error:
            if number == 1:
                raise
            raise UnsendableError(load_rps, _what(error)) from None
        trial = trial_in(load_run(path, ended), self.goals, number=number, stage=stage)
        append_trial(self.directory, trial)
        console.print(Text(trial_text(trial)), soft_wrap=True)
        return trial

    def ceiling(self) -> tuple[float, str]:
        """The rate in rps that the generator alone sends on time, up to the highest load, and what kept it from more.

        A stand-in that answers everything at once replaces the target, without its TLS and its tokens.
        """
        from loadproof.analysis.capacity.trials import ceiling_in
        from loadproof.analysis.frames.run import load_run

        step_s = _QUICK_CEILING_STEP_S if self.search.is_quick else _CEILING_STEP_S
        scenario = ceiling_of(self.assignment.scenario, self.goals, to_rps=self.search.to_rps, step_s=step_s)
        make_directory(self.directory / RUNS)
        _, target_cores = children.share_cores(self.assignment.crew.local_workers)
        with standin(self.directory / RUNS, target_cores) as base_url:
            alone = replace(self._of(scenario, 0), target=TargetFile(base_url=base_url))
            path, ended = self._run(alone)
        return ceiling_in(load_run(path, ended))

    def _of(self, scenario: Scenario, number: int) -> Assignment:
        """A trial's assignment: each trial draws its own arrivals, and its manifest has the scenario as it was run."""
        assignment = self.assignment
        text = assignment.scenario_text or scenario_file(assignment.scenario_file).read_text(encoding="utf-8")
        return replace(
            assignment,
            scenario=scenario,
            seed=assignment.seed + number,
            scenario_text=f"# What the search was given; its trials' own phases are in manifest.json.\n{text}",
        )

    def _run(self, assignment: Assignment) -> tuple[Path, Manifest]:
        if assignment.target is not None:
            self._await(assignment.target, assignment.scenario)
        path = create_run_directory(self.directory / RUNS, assignment.scenario.name)
        with Progress(terminal_only(), duration_s=assignment.scenario.duration_s) as progress:
            ended = runner.run(assignment, path, progress, self.stop_signal)
        if self.stop_signal:
            raise SearchStoppedError(f"the search was {self.stop_signal.ending}")
        return path, ended

    def _await(self, target: TargetFile, scenario: Scenario) -> None:
        trials = read_trials(self.directory)
        try:
            wait_s = _RECOVERS_WITHIN_S if trials else 0.0
            probe_within(wait_s, target, scenario, stop_requested=self.stop_signal.__bool__)
        except TargetError as error:
            if self.stop_signal:
                raise SearchStoppedError(f"the search was {self.stop_signal.ending}") from None
            if not trials or isinstance(error, OwnWantError):
                raise
            load = format_quantity(trials[-1].load_rps, Dimension.RATE)
            raise TargetGoneError(
                f"the target no longer responds after {load}, and didn't recover within "
                f"{_RECOVERS_WITHIN_S:g} s: {_what(error)}"
            ) from None


def _what(error: TargetError) -> str:
    return "; ".join(problem.what for problem in error.problems)


def trial_text(trial: Trial) -> str:
    """One line: 'trial 7: 1,030 rps for 10 s: missed p(95) < 200 ms (7.1 % lost, 5 % allowed)'."""
    head = f"trial {trial.number}: {format_quantity(trial.load_rps, Dimension.RATE)} for {trial.duration_s:g} s"
    if trial.invalid is not None:
        return escaped(f"{head}: INVALID, to be repeated: {trial.invalid}")
    if trial.ending != "completed":
        return f"{head}: the target died"
    if trial.is_kept:
        return f"{head}: held"
    worst = trial.worst
    lost, allowed = (format_quantity(ratio, Dimension.RATIO) for ratio in (worst.ratio, worst.allowed))
    return f"{head}: missed {worst.goal} ({lost} lost, {allowed} allowed)"
