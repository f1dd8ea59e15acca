"""The directory of a capacity search: its settings, and its trials, one JSON line each, written as they end.

search.json      what is searched for, and how                                written whole
trials.jsonl     a line per trial                                             appended
trials/          the run directory of each trial
capacity.json  junit.xml  summary.md  report.html                             the analysis adds these
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from pydantic import Field, ValidationError

from loadproof.errors import OutputError, Problem, RunDirectoryError
from loadproof.rundir import files
from loadproof.rundir.manifest import Ending  # noqa: TC001 - pydantic resolves it
from loadproof.scenario.strict import Strict

if TYPE_CHECKING:
    from pathlib import Path

SEARCH: Final = "search.json"
TRIALS: Final = "trials.jsonl"
RUNS: Final = "trials"
CAPACITY: Final = "capacity.json"

_REMEDY: Final = "give a directory that `loadproof capacity` of this version created, or leave out --resume"

Stage = Literal["search", "repeat", "beyond"]
"""Looking for the capacity, once more around it, or beyond it."""


class SearchGoal(Strict):
    """Source: RFC 9971, section 4.6 (the goal attributes that a report has to state); times in s, ratios 0-1."""

    goal: str
    loss_ratio: float
    exceed_ratio: float
    """The share of a load's trials that may miss the goal while the load still counts as held."""
    final_trial_s: float
    duration_sum_s: float
    """Seconds of trials that it takes to decide about a load."""
    initial_trial_s: float
    width: float
    """The search ends when the bounds are this close, as a share of the upper one."""


FEWEST_REQUESTS: Final = 20
"""Requests in a trial at the lowest load: with fewer, one slow answer decides."""


class Search(Strict):
    """What is searched, and how; loads in arrivals per second."""

    format: int = 1
    scenario: str
    target: str
    """Its base URL, or 'embedded'."""
    from_rps: float
    to_rps: float
    """As requested."""
    warm_up_s: float
    """Discarded at the start of each trial."""
    is_quick: bool
    repeats: int
    """Trials close to the estimate, from which its interval comes."""
    seed: int
    workers: int
    goals: list[SearchGoal]
    others: list[str]
    """Thresholds that a trial can't be judged by."""
    ceiling_rps: float | None = None
    """What the generator alone can send on time, up to the highest load tried; None: not measured."""
    ceiling_note: str = ""

    @property
    def top_rps(self) -> float:
        """The highest load that is tried."""
        return self.to_rps if self.ceiling_rps is None else min(self.to_rps, self.ceiling_rps)

    @property
    def trial_s(self) -> float:
        return self.goals[0].final_trial_s


class GoalLoss(Strict):
    """What a trial lost of the requests that a goal reads."""

    goal: str
    lost: int
    of: int
    allowed: float

    @property
    def ratio(self) -> float:
        return self.lost / self.of if self.of else 1.0

    @property
    def is_kept(self) -> bool:
        return self.ratio <= self.allowed


class Trial(Strict):
    """A short run at one load; its first seconds are in no figure."""

    number: int
    stage: Stage
    load_rps: float
    duration_s: float
    run: str
    """Its run directory, below RUNS."""
    invalid: str | None = None
    """Why nothing can be concluded from it: the generator was measured, or users' own code broke off."""
    ending: Ending = "completed"
    losses: list[GoalLoss]
    """One per goal."""
    offered: int = 0
    throughput_rps: float = 0.0
    """Correct answers that arrived during the trial, however late."""
    goodput_rps: float = 0.0
    p95_s: float | None = None
    outcomes: dict[str, int] = Field(default_factory=dict)
    """Requests by outcome; in addition `dropped`, and `late` as part of `ok`."""

    @property
    def is_valid(self) -> bool:
        return self.invalid is None

    @property
    def is_kept(self) -> bool:
        """Whether it completed and met all goals."""
        return self.ending == "completed" and all(loss.is_kept for loss in self.losses)

    @property
    def worst(self) -> GoalLoss:
        """The goal with the largest loss, compared with what it allows."""
        return max(self.losses, key=lambda loss: loss.ratio / loss.allowed if loss.allowed else loss.ratio * 1e9)


def write_search(directory: Path, search: Search) -> None:
    """OutputError if the directory can't be written."""
    files.write_whole(directory / SEARCH, search.model_dump_json(indent=2) + "\n")


def read_search(directory: Path) -> Search:
    """RunDirectoryError if there is none, or none that this version reads."""
    path = directory / SEARCH
    try:
        return Search.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunDirectoryError(Problem(str(directory), files.why_unreadable(path, error), _REMEDY)) from None
    except ValueError as error:
        first = error.errors(include_url=False)[0]["msg"] if isinstance(error, ValidationError) else error
        what = f"no readable search: {first}"
        raise RunDirectoryError(Problem(str(path), what, _REMEDY)) from None


def append_trial(directory: Path, trial: Trial) -> None:
    """OutputError if it can't be written."""
    try:
        files.append(directory / TRIALS, trial.model_dump_json().encode() + b"\n")
    except OSError as error:
        what = f"can't be written: {error.strerror or error}"
        raise OutputError(Problem(str(directory / TRIALS), what, "free space there, then --resume")) from None


def read_trials(directory: Path) -> list[Trial]:
    """In the order in which they ended; a last line that was cut off is left out. None yet: an empty list."""
    path = directory / TRIALS
    if not path.exists():
        return []
    try:
        return [Trial.model_validate_json(line) for line in files.read_lines_text(path).splitlines()]
    except (OSError, ValidationError) as error:
        raise RunDirectoryError(
            Problem(str(path), f"unreadable trials: {type(error).__name__}", "restore the file as it was written")
        ) from None
