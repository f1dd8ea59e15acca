"""The directory of a capacity search."""

from __future__ import annotations

import pytest

from loadproof.errors import OutputError, RunDirectoryError
from loadproof.rundir.trials import SEARCH, TRIALS, append_trial, read_search, read_trials, write_search
from simulation.trials import search_for, trial


def test_a_search_is_read_back_as_written(tmp_path):
    """Settings, and trials in order."""
    search, trials = search_for(10.0, 100.0), [trial(n, 50.0, 10.0, "search", lost=n, of=100) for n in (1, 2)]
    write_search(tmp_path, search)
    for one in trials:
        append_trial(tmp_path, one)
    assert read_search(tmp_path) == search
    assert read_trials(tmp_path) == trials


def test_a_half_written_trial_is_left_out(tmp_path):
    """Those before it stay."""
    append_trial(tmp_path, trial(1, 50.0, 10.0, "search", lost=0, of=100))
    with (tmp_path / TRIALS).open("ab") as file:
        file.write(b'{"number": 2, "stage": "sea')
    assert [one.number for one in read_trials(tmp_path)] == [1]
    assert read_trials(tmp_path / "nowhere") == []


def test_a_directory_without_a_search_is_refused(tmp_path):
    """So is one whose files were changed."""
    with pytest.raises(RunDirectoryError, match=r"no search.json in it.*loadproof capacity"):
        read_search(tmp_path)
    (tmp_path / SEARCH).write_text("{}")
    with pytest.raises(RunDirectoryError, match=r"search.json: no readable search: Field required.*loadproof capacity"):
        read_search(tmp_path)
    (tmp_path / TRIALS).write_text("{}\n")
    with pytest.raises(RunDirectoryError, match="unreadable trials"):
        read_trials(tmp_path)


def test_a_trial_that_cannot_be_recorded_is_an_error(tmp_path):
    """The error says what to do next."""
    with pytest.raises(OutputError, match="--resume"):
        append_trial(tmp_path / "nowhere", trial(1, 50.0, 10.0, "search", lost=0, of=100))


@pytest.mark.parametrize(
    ("lost", "ending", "is_kept"), [(5, "completed", True), (6, "completed", False), (0, "target_died", False)]
)
def test_a_trial_is_kept_if_it_completed_and_met_every_goal(lost, ending, is_kept):
    """A loss of exactly what is allowed is fine."""
    one = trial(1, 50.0, 10.0, "search", lost=lost, of=100).model_copy(update={"ending": ending})
    assert one.is_kept is is_kept
