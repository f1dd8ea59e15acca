"""A duel's runs: made in order, repeated, interrupted, resumed and ended."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from loadproof.errors import Problem, TargetError
from loadproof.run.experiments.duel import MOST_REPEATS, Performed, fight, looks_problem
from loadproof.run.processes.stopping import StopSignal
from loadproof.rundir.duel import read_duel
from tests.planned import PLANNED


class Script:
    """A referee whose runs go as scripted: `at_5={"invalid": …}` is what is wrong with attempt 5."""

    def __init__(self, path: Path, *, decided_at: int = 1, stop: StopSignal | None = None, **troubles) -> None:
        self.path, self.decided_at, self.stop = path, decided_at, stop or StopSignal()
        self.troubles = {int(number.removeprefix("at_")): what for number, what in troubles.items()}
        self.made, self.looked, self.shown = [], [], 0

    def perform(self, turn, _):
        what = self.troubles.get(len(self.made), {})
        if what is signal.SIGINT:
            self.stop.number = signal.SIGINT
            return None
        if isinstance(what, Exception):
            raise what
        self.made.append(turn)
        return Performed(self.path / turn.side / f"run-{len(self.made)}", **what)

    def after_run(self, _):
        self.shown += 1

    def decide(self, duel, look):
        self.looked.append((look, duel.pairs))
        return "clear" if look == self.decided_at else ""


def fought(path, planned=PLANNED, **script):
    referee = Script(path, **script)
    return fight(path, planned, referee, referee.stop), referee


def test_a_duel_is_decided_only_at_its_looks_and_ends_there(tmp_path):
    """Both sides then have the same number of runs."""
    ended, referee = fought(tmp_path, decided_at=0)
    assert (ended.ending, ended.reason, referee.looked) == ("decided", "clear", [(0, 4)])
    assert referee.made == PLANNED.turns[:8]
    ended, referee = fought(tmp_path)
    assert referee.looked == [(0, 4), (1, 6)]
    assert [run.side for run in ended.runs] == [turn.side for turn in PLANNED.turns]
    assert referee.shown == 12
    assert read_duel(tmp_path) == ended


def test_an_invalid_run_is_repeated_in_its_place_and_counted(tmp_path):
    """It stays in the record."""
    ended, referee = fought(tmp_path, at_2={"invalid": "starved"}, at_3={"invalid": "starved"})
    assert (ended.ending, ended.repeated, len(ended.counted)) == ("decided", 2, 12)
    assert referee.made[2] == referee.made[3] == referee.made[4] == PLANNED.turns[2]
    assert ended.runs[2].invalid == "starved"


def test_an_invalid_run_after_a_look_causes_no_second_look(tmp_path):
    """There is nothing new to know."""
    _, referee = fought(tmp_path, at_8={"invalid": "starved"}, at_9={"invalid": "starved"})
    assert referee.looked == [(0, 4), (1, 6)]


def test_a_run_that_stays_invalid_ends_the_duel(tmp_path):
    """The results so far are kept."""
    always = {f"at_{number}": {"invalid": "starved"} for number in range(5, 20)}
    ended, referee = fought(tmp_path, **always)
    assert ended.ending == "unmeasured"
    assert "INVALID 4 times in a row, the last time because starved" in ended.reason
    assert (len(ended.counted), len(referee.made)) == (5, 5 + MOST_REPEATS + 1)
    resumed, _ = fought(tmp_path, ended, at_0={"invalid": "starved"})
    assert (resumed.ending, resumed.repeated) == ("decided", MOST_REPEATS + 2)


def test_a_target_that_dies_ends_the_duel(tmp_path):
    """It is named in the reason, and its run doesn't count."""
    ended, _ = fought(tmp_path, at_5={"died": "its command ended with code 7"})
    assert ended.ending == "died"
    assert ended.reason == f"the {PLANNED.turns[5].side} died: its command ended with code 7"
    assert (len(ended.runs), len(ended.counted)) == (6, 5)


def test_an_interrupted_duel_resumes_where_it_stopped(tmp_path):
    """Only the run that the signal ended is made again."""
    ended, _ = fought(tmp_path, at_6=signal.SIGINT)
    assert (ended.ending, ended.reason, len(ended.runs)) == ("interrupted", "SIGINT", 6)
    resumed, referee = fought(tmp_path, read_duel(tmp_path))
    assert (resumed.ending, resumed.reason) == ("decided", "clear")
    assert referee.made == PLANNED.turns[6:]
    assert resumed.runs[:6] == ended.runs


def test_no_run_is_made_after_a_signal(tmp_path):
    """The signal is in the record."""
    stop = StopSignal()
    stop.number = signal.SIGTERM
    ended, referee = fought(tmp_path, stop=stop)
    assert (ended.ending, ended.reason, referee.made) == ("terminated", "SIGTERM", [])


def test_a_release_that_no_longer_starts_leaves_the_results_so_far(tmp_path):
    """The caller shows the error; the duel can be resumed later."""
    error = TargetError(Problem("candidate", "its command ended with code 1 before it answered", "see target.log"))
    with pytest.raises(TargetError):
        fought(tmp_path, at_3=error)
    left = read_duel(tmp_path)
    assert (left.ending, len(left.runs)) == ("running", 3)
    assert fought(tmp_path, left)[0].ending == "decided"


@pytest.mark.parametrize(
    ("looks", "what"),
    [
        ((), "no look at all"),
        ((2, 4), "fewer than 4 runs"),
        ((6, 4), "one after the other"),
        ((4, 4), "one after the other"),
        ((4, 7), "in the middle of a block (7 runs"),
        ((4, 102), "more than 100 runs"),
    ],
)
def test_unusable_looks_are_refused(looks, what):
    """With one sentence."""
    assert what in looks_problem(looks)
