"""Makes a duel's runs, one after the other in an order fixed in advance, until the duel is decided.

The judge is passed in: this module knows no statistics. After each run, duel.json has everything needed to resume.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from loadproof.plan.interleaving import MOST_PAIRS, PER_BLOCK
from loadproof.rundir.duel import Duel, DuelRun, write_duel

if TYPE_CHECKING:
    from pathlib import Path

    from loadproof.plan.interleaving import Turn
    from loadproof.run.processes.stopping import StopSignal

MOST_REPEATS: Final = 3
"""How often an INVALID run is repeated."""
SHORTEST_LOOK: Final = 4
"""Runs per side: fewer say next to nothing about how much runs vary by themselves."""


@dataclass(frozen=True)
class Performed:
    """A completed run of a duel."""

    path: Path
    invalid: str = ""
    """Why the run's measurement can't be trusted; empty if it can."""
    died: str = ""
    """How its target died, if it did."""
    other: Turn | None = None
    """The turn of this run if it isn't the one asked for: of two simultaneous runs, the one that spoiled the pair."""


class Referee(Protocol):
    """What a duel needs from its caller: making runs, showing progress, deciding."""

    def perform(self, turn: Turn, duel: Duel) -> Performed | None:
        """Make the run of this turn; None if a signal ended it. LoadproofError if its target doesn't start."""
        ...

    def after_run(self, duel: Duel) -> None:
        """Show what is known so far, without deciding anything."""
        ...

    def decide(self, duel: Duel, look: int) -> str:
        """Why the duel is decided at this look, counted from 0; empty if it isn't."""
        ...


def looks_problem(looks: tuple[int, ...]) -> str | None:
    """What is wrong with these looks, given as runs per side; None if nothing is."""
    if not looks:
        return "no look at all"
    if list(looks) != sorted(set(looks)):
        return "looks that don't come one after the other"
    if looks[0] < SHORTEST_LOOK:
        return f"a look at fewer than {SHORTEST_LOOK} runs per side, too few to tell a change from noise"
    if odd := [look for look in looks if look % PER_BLOCK]:
        return f"a look in the middle of a block ({odd[0]} runs of a side): blocks have two runs of each side"
    if looks[-1] > MOST_PAIRS:
        return f"more than {MOST_PAIRS} runs of a side"
    return None


def fight(path: Path, duel: Duel, referee: Referee, stop_signal: StopSignal) -> Duel:
    """Continue a duel until it is decided, can't be decided, or a signal arrives.

    OutputError if its record can't be written. The results are kept however it ends.
    """
    duel = _noted(path, duel.model_copy(update={"ending": "running", "reason": ""}))
    before, looked = len(duel.runs), None
    while duel.ending == "running":
        # An INVALID run after a look must not cause a second look at the same runs.
        if (look := _look_due(duel)) is not None and look != looked:
            looked = look
            if why := referee.decide(duel, look):
                return _noted(path, duel.model_copy(update={"ending": "decided", "reason": why}))
        turn = duel.turns[len(duel.counted)]
        performed = None if stop_signal else referee.perform(turn, duel)
        if performed is None:
            ended = {"ending": stop_signal.ending, "reason": stop_signal.name}
            return _noted(path, duel.model_copy(update=ended))
        duel = _noted(path, _with_run(path, duel, performed.other or turn, performed, since=before))
        referee.after_run(duel)
    return duel


def _look_due(duel: Duel) -> int | None:
    """The index of the look due before the next run; None if none is."""
    pairs = len(duel.counted) / 2
    return duel.looks.index(int(pairs)) if pairs in duel.looks else None


def _with_run(path: Path, duel: Duel, turn: Turn, performed: Performed, *, since: int) -> Duel:
    """The duel with one more run, ended if it can't go on; `since` is how many runs it had when it was resumed."""
    run = DuelRun(
        run=str(performed.path.relative_to(path)),
        side=turn.side,
        block=turn.block,
        invalid=performed.invalid or performed.died,
    )
    duel = duel.model_copy(update={"runs": (*duel.runs, run)})
    if performed.died:
        return duel.model_copy(update={"ending": "died", "reason": f"the {turn.side} died: {performed.died}"})
    tail = duel.runs[since:][-MOST_REPEATS - 1 :]
    if len(tail) > MOST_REPEATS and all(run.invalid for run in tail):
        what = f"a run was INVALID {len(tail)} times in a row, the last time because {run.invalid}"
        return duel.model_copy(update={"ending": "unmeasured", "reason": what})
    return duel


def _noted(path: Path, duel: Duel) -> Duel:
    write_duel(path, duel)
    return duel
