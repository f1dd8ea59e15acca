"""Makes a duel's runs and judges them: after each run, and at each look."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from loadproof.cli.console.options import terminal_only
from loadproof.cli.duel.ending import say
from loadproof.errors import InvalidRunError, TargetError
from loadproof.plan.interleaving import SIDES
from loadproof.run import runner
from loadproof.run.experiments.duel import Performed
from loadproof.run.experiments.lane import LaneRun, lanes, run_both
from loadproof.run.experiments.serving import Starting, served
from loadproof.run.processes import children
from loadproof.run.watching.progress import Progress
from loadproof.rundir.files import create_run_directory

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from loadproof.analysis.compare.duel.sequential import InterimResult
    from loadproof.analysis.compare.replicates import Replicate
    from loadproof.plan.interleaving import Side, Turn
    from loadproof.run.assignment import Assignment
    from loadproof.run.experiments.serving import Served
    from loadproof.run.processes.stopping import StopSignal
    from loadproof.rundir.duel import Duel, DuelRun

_CUT_SHORT: Final = frozenset({"interrupted", "terminated"})


def lost_run(duel: Duel) -> str:
    """Why the latest run doesn't count, and what follows; empty if it counts."""
    why = duel.runs[-1].invalid
    if not why:
        return ""
    match duel.ending:
        case "died":
            return f"died: {why}"
        case "running":
            return f"INVALID, to be repeated: {why}"
        case _:
            return f"INVALID again: {why}"


class DuelReferee:
    """Makes a duel's runs and judges them; `interim` is the result of the latest look."""

    def __init__(
        self, path: Path, assignments: Mapping[Side, Assignment], stop_signal: StopSignal, *, wait_s: float
    ) -> None:
        self._path = path
        self._assignments = assignments
        self._stop_signal = stop_signal
        first = assignments["baseline"]
        _, cores = children.share_cores(first.crew.local_workers)
        self._starting = Starting(first.scenario, cores, wait_s, stop_signal.__bool__)
        self._replicates: dict[str, Replicate] = {}
        self._performed: dict[Turn, Performed] = {}
        """The other run of a pair that was made at the same time."""
        self.interim: InterimResult | None = None

    def rehearse(self, duel: Duel) -> None:
        """Start each release once: TargetError before anything is measured, rather than an hour later."""
        for side in SIDES:
            try:
                with self._served(duel, side, self._starting):
                    pass
            except TargetError:
                if not self._stop_signal:
                    raise

    def perform(self, turn: Turn, duel: Duel) -> Performed | None:
        """Make this run, or both of its pair; None if a signal ended it. TargetError if a release doesn't start."""
        if turn in self._performed:
            return self._performed.pop(turn)
        try:
            if duel.is_duet:
                return self._pair(turn, duel)
            with self._served(duel, turn.side, self._starting) as release:
                return None if self._stop_signal else self._run(release, turn, duel)
        except TargetError:
            if self._stop_signal:
                return None
            raise

    def _served(self, duel: Duel, side: Side, starting: Starting) -> AbstractContextManager[Served]:
        target = self._assignments[side].target
        assert target is not None  # noqa: S101 - a duel has no embedded target
        log = self._path / f"{side}.log"
        return served(duel.sides[side], target, name=side, log=log, starting=starting)

    def _run(self, release: Served, turn: Turn, duel: Duel) -> Performed | None:
        assignment, path = self._assigned(release, turn, duel)
        shown = f"run {len(duel.runs) + 1}, {turn.side}"
        progress = Progress(
            terminal_only(),
            duration_s=assignment.scenario.duration_s,
            thresholds_so_far=lambda: shown,
        )
        with progress:
            ended = runner.run(assignment, path, progress, self._stop_signal, broken=release.ended)
        if ended.ending in _CUT_SHORT:
            return None
        return Performed(path, invalid=self._invalid(path), died=release.gone(self._starting))

    def _assigned(self, release: Served, turn: Turn, duel: Duel) -> tuple[Assignment, Path]:
        assignment = replace(self._assignments[turn.side], target=release.target, seed=duel.seed + turn.pair)
        return assignment, create_run_directory(self._path / turn.side, assignment.scenario.name)

    def _pair(self, turn: Turn, duel: Duel) -> Performed | None:
        """Make both runs of a pair at the same time: `turn` in the first lane, the other side in the second."""
        other_turn = turn._replace(side=SIDES[turn.side == SIDES[0]])
        left, right = lanes(sorted(os.sched_getaffinity(0)))
        with (
            self._served(duel, turn.side, replace(self._starting, cores=set(left.target))) as first,
            self._served(duel, other_turn.side, replace(self._starting, cores=set(right.target))) as second,
        ):
            runs = (
                LaneRun(*self._assigned(first, turn, duel), left),
                LaneRun(*self._assigned(second, other_turn, duel), right),
            )
            trouble = run_both(runs, self._stop_signal.__bool__)
            if self._stop_signal:
                return None
            pair = [
                Performed(run.path, trouble or self._invalid(run.path), release.gone(self._starting), its_turn)
                for run, release, its_turn in zip(runs, (first, second), (turn, other_turn), strict=True)
            ]
        # A pair counts as a whole or not at all.
        if broken := [run for run in pair if run.died] or [run for run in pair if run.invalid]:
            return broken[0]
        performed, self._performed[other_turn] = pair
        return performed

    def _invalid(self, path: Path) -> str:
        """Why the run's measurement can't be trusted; empty if it can."""
        from loadproof.analysis.compare.replicates import replicate

        try:
            self._replicates[str(path.relative_to(self._path))] = replicate(path)
        except InvalidRunError as error:
            return "; ".join(problem.got or problem.what for problem in error.problems)
        return ""

    def sides(self, duel: Duel) -> tuple[list[Replicate], list[Replicate]]:
        """The runs that count so far, in order, with their blocks."""
        from loadproof.analysis.compare.replicates import replicate

        for run in duel.counted:
            if run.run not in self._replicates:
                self._replicates[run.run] = replicate(self._path / run.run)
        baseline, candidate = ([self._of_duel(run, duel) for run in duel.of(side)] for side in SIDES)
        return baseline, candidate

    def _of_duel(self, run: DuelRun, duel: Duel) -> Replicate:
        """The run with its block; its target is the release as given, because a command's port differs each time."""
        known = self._replicates[run.run]
        target = known.manifest.target.model_copy(update={"base_url": duel.sides[run.side]})
        return replace(known, block=run.block, manifest=known.manifest.model_copy(update={"target": target}))

    def after_run(self, duel: Duel) -> None:
        """Print one line: how the run went, and what is known so far."""
        run = duel.runs[-1]
        most = 2 * duel.looks[-1]
        what = lost_run(duel) or self._so_far(duel)
        say(f"{len(duel.counted)} of at most {most} runs · {run.side} · {what}")

    def _so_far(self, duel: Duel) -> str:
        """The change so far of each timing metric in the thresholds; no verdict before the next look."""
        from loadproof.analysis.compare.comparison import compare

        sides = self.sides(duel)
        if not all(sides):
            return "nothing to compare with yet"
        rows = [row for row in compare(*sides, family=()).rows if row.is_named and row.metric.kind.reads_times]
        parts = [f"{row.row.endpoint} {row.row.metric} {row.change.ratio:+.1%}" for row in rows if row.change]
        return f"so far: {', '.join(parts) or 'nothing that both sides have'}"

    def decide(self, duel: Duel, look: int) -> str:
        """Why the duel is decided at this look, counted from 0; empty if it isn't."""
        from loadproof.analysis.compare.duel.sequential import interim_result

        self.interim = interim_result(self.sides(duel), duel.looks, look)
        if not self.interim.reason:
            say(f"look {look + 1} of {len(duel.looks)}: not decided yet")
        return self.interim.reason
