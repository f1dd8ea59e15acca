"""A capacity search's own want of a port is no target that is gone."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from loadproof.cli.capacity import trialruns
from loadproof.cli.capacity.trialruns import TargetGoneError, TrialRuns
from loadproof.errors import OwnWantError, Problem, TargetError
from loadproof.run.experiments.capacity import UnsendableError
from loadproof.run.processes.stopping import StopSignal
from loadproof.rundir.trials import append_trial
from simulation.trials import search_for, trial


@pytest.mark.parametrize(
    ("error", "trials", "told"),
    [
        (OwnWantError, 1, UnsendableError),
        (TargetError, 1, TargetGoneError),
        (OwnWantError, 0, OwnWantError),
        (TargetError, 0, TargetError),
    ],
)
def test_who_is_to_blame_if_nothing_responds_after_a_trial(tmp_path, monkeypatch, error, trials, told):
    """The next trial's load can't be sent if the machine has no port for it, and the search goes on below it."""

    def probe(*_, **__):
        raise error(Problem("http://x", "GET /health", "remedy"))

    for number in range(trials):
        append_trial(tmp_path, trial(number + 1, 1000.0, 10.0, "search", lost=0, of=1))
    monkeypatch.setattr(trialruns, "trial_of", lambda *_, **__: None)
    monkeypatch.setattr(TrialRuns, "_of", lambda *_: SimpleNamespace(target=object(), scenario=None))
    monkeypatch.setattr(trialruns, "probe_within", probe)
    assignment = SimpleNamespace(scenario=None)
    runs = TrialRuns(assignment, [], search_for(100.0, 4000.0), tmp_path, StopSignal())
    with pytest.raises(told, match="GET /health") as caught:
        runs.measure(800.0, 10.0, "search")
    assert caught.type is told
    assert told is not UnsendableError or caught.value.load_rps == 800.0
