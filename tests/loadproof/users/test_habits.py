"""What users' own code makes of its turns, on simulated time: from their habits to the verdict's findings."""

from __future__ import annotations

import gevent
import pytest
from gevent.event import Event

from tests.unpatched import locust  # noqa: F401  # isort: skip

from analysis.estimates.metrics import tally
from analysis.frames.cellsums import histogram
from analysis.frames.run import load_run
from analysis.judge.disturbances import disturbances
from analysis.judge.judgement import Word
from loadproof.histogram import value_at_rank
from simulation.play import ask_health, play
from simulation.rundirs import scenario
from simulation.schedules import Fault, Schedule

CLOSED = {
    "mix": {"health": {"share": "100 %", "every": "500 ms"}},
    "phases": [{"name": "steady", "duration": "4 s", "users": 10}],
}
OPEN = {
    "model": "open",
    "client_count": 10,
    "mix": {"health": {"share": "100 %"}},
    "phases": [{"name": "steady", "duration": "4 s", "rate": "20 rps"}],
}
BURSTS = CLOSED | {"phases": [{"name": "bursts", "users": 10, "burst": {"times": 4, "every": "1 s"}}]}
PLANS = {"closed": CLOSED, "open": OPEN, "bursts": BURSTS}
SLOW_S = 0.4


def every_other(user) -> None:
    if user.random.random() < 0.5:
        ask_health(user)


def sends_twice(user) -> None:
    ask_health(user)
    ask_health(user)


def sends_nothing(_) -> None:
    pass


def fires_and_forgets(user) -> None:
    gevent.spawn(ask_health, user)


def sends_two_at_once(user) -> None:
    gevent.joinall([gevent.spawn(ask_health, user) for _ in range(2)])


def run_of(path, plan, *, slow: bool = False, workers: int = 1, **habits):
    """Of ten users, or as many clients."""
    faults = (Fault("slow", 0.0, size=SLOW_S),) if slow else ()
    whole = {"timeouts": {"connect": "1 s", "total": "1 s"}, "thresholds": [{"expect": "goodput_ratio >= 90 %"}]}
    play(Schedule(1, scenario(**whole | PLANS[plan]), workers, faults), path, **habits)
    return load_run(path)


def invalid(run) -> str:
    return "\n".join(finding.what for finding in disturbances(run) if finding.word is Word.INVALID)


def median_s(run) -> float:
    counts = histogram(run.intervals, "response")
    return value_at_rank(counts, int(counts.sum()) // 2) * 1e-6


@pytest.mark.parametrize("plan", PLANS)
def test_turns_whose_task_sends_nothing_are_missing_load(tmp_path, plan):
    """In both models and in bursts: half of what was planned was never there."""
    assert "of health sent nothing" in invalid(run_of(tmp_path, plan, tasks=[every_other]))


def test_requests_of_one_task_make_up_for_no_arrival_of_another(tmp_path):
    """As many requests as arrivals, and half of the arrivals never happened."""
    run = run_of(tmp_path, "open", tasks=[sends_twice, sends_nothing])
    assert tally(run.intervals).sent == pytest.approx(80, abs=25)
    assert "arrivals of health sent nothing" in invalid(run)


@pytest.mark.parametrize("plan", PLANS)
def test_what_a_task_leaves_to_another_greenlet_is_never_early(tmp_path, plan):
    """It is timed from when it is sent, and the turn that sent nothing itself is missing."""
    run = run_of(tmp_path, plan, slow=True, tasks=[fires_and_forgets])
    assert median_s(run) == pytest.approx(SLOW_S, rel=0.02)
    assert "of health sent nothing" in invalid(run)


@pytest.mark.parametrize("plan", PLANS)
def test_a_task_may_send_at_once_what_it_waits_for(tmp_path, plan):
    """Nothing is missing, and both requests are timed."""
    run = run_of(tmp_path, plan, slow=True, tasks=[sends_two_at_once])
    assert invalid(run) == ""
    assert median_s(run) == pytest.approx(SLOW_S, rel=0.02)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_user_who_never_comes_to_its_first_turn_is_missing(tmp_path, workers):
    """An on_start that waits for what never comes, such as an account of a pool that is empty."""
    places = iter(range(5))

    def on_start(_) -> None:
        if next(places, None) is None:
            Event().wait()

    told = invalid(run_of(tmp_path, "closed", workers=workers, on_start=on_start))
    assert "of the planned user-seconds were lost" in told
