"""What a duel needs besides its order: its runs, what they say so far, and what they say in the end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from rich.console import Console

from loadproof.cli.duelending import say
from loadproof.cli.options import console
from loadproof.errors import InvalidRunError, TargetError
from loadproof.plan.interleaving import SIDES
from loadproof.run import children, runner
from loadproof.run.duel import Performed
from loadproof.run.progress import Progress
from loadproof.run.serving import Starting, served
from loadproof.rundir.files import create_run_directory

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from loadproof.analysis.compare.replicates import Replicate
    from loadproof.analysis.compare.sequential import Standing
    from loadproof.plan.interleaving import Side, Turn
    from loadproof.run.assignment import Assignment
    from loadproof.run.serving import Served
    from loadproof.run.stopping import StopSignal
    from loadproof.rundir.duel import Duel

_CUT_SHORT: Final = frozenset({"interrupted", "terminated"})


class Referee:
    """Makes a duel's runs and judges them; `standing` is what was known at the latest look."""

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
        self.standing: Standing | None = None

    def rehearse(self, duel: Duel) -> None:
        """Start each release once: TargetError before anything is measured, rather than an hour later."""
        for side in SIDES:
            try:
                with self._served(duel, side):
                    pass
            except TargetError:
                if not self._stop_signal:
                    raise

    def perform(self, turn: Turn, duel: Duel) -> Performed | None:
        """Make this run; None if a signal ended it. TargetError if its release doesn't start."""
        try:
            with self._served(duel, turn.side) as release:
                return None if self._stop_signal else self._run(release, turn, duel)
        except TargetError:
            if self._stop_signal:
                return None
            raise

    def _served(self, duel: Duel, side: Side) -> AbstractContextManager[Served]:
        target = self._assignments[side].target
        assert target is not None  # noqa: S101 - a duel has no embedded target
        log = self._path / f"{side}.log"
        return served(duel.sides[side], target, name=side, log=log, starting=self._starting)

    def _run(self, release: Served, turn: Turn, duel: Duel) -> Performed | None:
        assignment = replace(self._assignments[turn.side], target=release.target, seed=duel.seed + turn.pair)
        path = create_run_directory(self._path / turn.side, assignment.scenario.name)
        shown = f"run {len(duel.runs) + 1}, {turn.side}"
        # In a log there is a line when the run is over.
        progress = Progress(
            console if console.is_terminal else Console(quiet=True),
            duration_s=assignment.scenario.duration_s,
            thresholds_so_far=lambda: shown,
        )
        with progress:
            ended = runner.run(assignment, path, progress, self._stop_signal, broken=release.ended)
        if ended.ending in _CUT_SHORT:
            return None
        return Performed(path, invalid=self._invalid(path), died=release.gone(self._starting))

    def _invalid(self, path: Path) -> str:
        """Why its measurement can't be trusted; empty if it can."""
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
        baseline, candidate = (
            [replace(self._replicates[run.run], block=run.block) for run in duel.of(side)] for side in SIDES
        )
        return baseline, candidate

    def after_run(self, duel: Duel) -> None:
        """One line: what became of the run, and what is known so far."""
        run = duel.runs[-1]
        most = 2 * duel.looks[-1]
        what = f"INVALID, to be repeated: {run.invalid}" if run.invalid else self._so_far(duel)
        line = f"run {len(duel.counted)} of at most {most} · {run.side} · {what}"
        say(line)

    def _so_far(self, duel: Duel) -> str:
        """The change of each time that a threshold names: no verdict before the next look."""
        from loadproof.analysis.compare.comparison import compare

        sides = self.sides(duel)
        if not all(sides):
            return "nothing to compare with yet"
        rows = [row for row in compare(*sides, family=()).rows if row.is_named and row.metric.kind.reads_times]
        parts = [f"{row.row.endpoint} {row.row.metric} {row.change.ratio:+.1%}" for row in rows if row.change]
        return f"so far: {', '.join(parts) or 'nothing that both sides have'}"

    def decide(self, duel: Duel, look: int) -> str:
        """Why the duel is decided by what is known at this look; empty if it isn't."""
        from loadproof.analysis.compare.sequential import standing

        self.standing = standing(self.sides(duel), duel.looks, look)
        if not self.standing.reason:
            say(f"look {look + 1} of {len(duel.looks)}: not decided, it goes on")
        return self.standing.reason
