"""How users' own code affects its turns, on simulated time: from what tasks do to the verdict's findings."""

from __future__ import annotations

import gevent
import pytest
from gevent.event import Event

from tests.unpatched import locust  # noqa: F401  # isort: skip
from locust.exception import RescheduleTaskImmediately  # isort: skip

from loadproof.analysis.estimates.scope import tally
from loadproof.analysis.frames.cellsums import histogram
from loadproof.analysis.frames.run import load_run
from loadproof.analysis.judge.disturbances import disturbances
from loadproof.analysis.word import Word
from loadproof.histogram import value_at_rank
from simulation.play import play
from simulation.playedusers import ask_health
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


def begins_anew_at_once(user) -> None:
    ask_health(user)
    raise RescheduleTaskImmediately


def dawdles(user) -> None:
    """Sends five requests concurrently, then spends longer than its pace on its own."""
    gevent.joinall([gevent.spawn(ask_health, user) for _ in range(5)])
    user.post.clock.sleep(0.55)


def fails_at_last(user) -> None:
    ask_health(user)
    raise ValueError("mine")


def run_of(path, plan, *, slow: bool = False, workers: int = 1, faults=(), total="1 s", phases=None, **habits):
    """A run of ten users, or ten clients."""
    path.mkdir(exist_ok=True)
    faults = (Fault("slow", 0.0, size=SLOW_S),) if slow else faults
    whole = {"timeouts": {"connect": "1 s", "total": total}, "thresholds": [{"expect": "goodput_ratio >= 90 %"}]}
    play(
        Schedule(1, scenario(**whole | PLANS[plan] | ({"phases": phases} if phases else {})), workers, faults),
        path,
        **habits,
    )
    return load_run(path)


def invalid(run) -> str:
    return "\n".join(finding.what for finding in disturbances(run) if finding.word is Word.INVALID)


def median_s(run) -> float:
    counts = histogram(run.intervals, "response")
    return value_at_rank(counts, int(counts.sum()) // 2) * 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("plan", PLANS)
def test_turns_whose_task_sends_nothing_are_missing_load(tmp_path, plan):
    """In both models and in bursts: half of the planned load was never sent."""
    assert "of health sent nothing" in invalid(run_of(tmp_path, plan, tasks=[every_other]))


def test_extra_requests_of_one_task_do_not_make_up_for_missing_arrivals(tmp_path):
    """There are as many requests as arrivals, but half of the arrivals sent nothing."""
    run = run_of(tmp_path, "open", tasks=[sends_twice, sends_nothing])
    assert tally(run.intervals).sent == pytest.approx(80, abs=25)
    assert "arrivals of health sent nothing" in invalid(run)


@pytest.mark.slow
@pytest.mark.parametrize("plan", ["closed", "open"])
def test_many_requests_of_one_task_do_not_hide_missing_turns(tmp_path, plan):
    """Turns and arrivals count, not the requests they send."""
    run = run_of(tmp_path, plan, tasks=[lambda user: [ask_health(user) for _ in range(120)], sends_nothing])
    assert "of health sent nothing" in invalid(run)


@pytest.mark.slow
def test_a_user_that_reschedules_at_once_still_waits_for_its_turn(tmp_path):
    """Locust returns without a wait: nothing is sent early, and nothing outside the plan."""
    run = run_of(tmp_path, "closed", slow=True, tasks=[begins_anew_at_once])
    assert median_s(run) == pytest.approx(SLOW_S, rel=0.02)
    assert tally(run.intervals).sent == pytest.approx(80, abs=2)


@pytest.mark.slow
def test_concurrent_requests_do_not_hide_the_users_own_slowness(tmp_path):
    """Concurrent waits for answers are counted once."""
    assert "of the planned user-seconds were lost" in invalid(run_of(tmp_path, "closed", slow=True, tasks=[dawdles]))


@pytest.mark.slow
def test_requests_of_on_stop_are_setup_even_after_an_error_in_the_last_task(tmp_path):
    """They are outside the plan."""
    planned = run_of(tmp_path / "right", "closed")
    run = run_of(tmp_path / "wrong", "closed", tasks=[fails_at_last], on_stop=sends_twice)
    assert tally(run.intervals).sent == pytest.approx(tally(planned.intervals).sent, abs=1)
    assert tally(run.setup).sent == 20


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_users_that_leave_while_a_target_hangs_do_not_stand_in_for_others(tmp_path, workers):
    """Nobody is missing when more users are wanted again: what they wait for is the target's."""
    phases = [
        {"name": "high", "duration": "4 s", "users": 20},
        {"name": "low", "duration": "2 s", "users": 5},
        {"name": "again", "duration": "10 s", "users": 20},
    ]
    hangs = {"faults": (Fault("standing", 4.0, size=6.0),), "total": "9 s"}
    assert invalid(run_of(tmp_path, "closed", workers=workers, phases=phases, **hangs)) == ""


@pytest.mark.slow
def test_users_stopped_in_on_start_are_missing_only_there(tmp_path):
    """A warm-up of many users that start slowly says nothing about the few that are measured."""
    phases = [
        {"name": "few", "warm_up": True, "duration": "1 s", "users": 2},
        {"name": "many", "warm_up": True, "duration": "1 s", "users": 20},
        {"name": "measured", "duration": "60 s", "users": 2},
    ]
    made = iter(range(100))

    def on_start(user) -> None:
        # Locust chooses who remains: two that aren't ready cost 0.8 of 120 user-seconds, all of them would cost 6.4.
        user.post.clock.sleep(1.9 if 2 <= next(made) < 18 else 0.0)

    assert invalid(run_of(tmp_path, "closed", on_start=on_start, phases=phases)) == ""


@pytest.mark.slow
@pytest.mark.parametrize("error", [ValueError("mine"), gevent.Timeout(1)])
def test_an_error_in_on_start_costs_no_other_arrivals(tmp_path, error):
    """In the open model a user may be created when its arrival is due."""
    made = iter(range(100))

    def on_start(_) -> None:
        # The second user of a client, created while the first one waits.
        if next(made) == 12:
            raise error

    run = run_of(
        tmp_path,
        "open",
        slow=True,
        on_start=on_start,
        phases=[{"name": "steady", "duration": "10 s", "rate": "40 rps"}],
    )
    assert tally(run.intervals).sent == 400


@pytest.mark.parametrize("plan", PLANS)
def test_requests_a_task_leaves_to_another_greenlet_are_never_early(tmp_path, plan):
    """They are timed from when they are sent, and the turn itself counts as having sent nothing."""
    run = run_of(tmp_path, plan, slow=True, tasks=[fires_and_forgets])
    assert median_s(run) == pytest.approx(SLOW_S, rel=0.02)
    assert "of health sent nothing" in invalid(run)


@pytest.mark.slow
@pytest.mark.parametrize("plan", PLANS)
def test_a_task_may_send_concurrent_requests_and_wait_for_them(tmp_path, plan):
    """Nothing is missing, and both requests are timed."""
    run = run_of(tmp_path, plan, slow=True, tasks=[sends_two_at_once])
    assert invalid(run) == ""
    assert median_s(run) == pytest.approx(SLOW_S, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_user_that_never_reaches_its_first_turn_is_missing(tmp_path, workers):
    """Its on_start waits for something that never comes, such as an account from an empty pool."""
    places = iter(range(5))

    def on_start(_) -> None:
        if next(places, None) is None:
            Event().wait()

    told = invalid(run_of(tmp_path, "closed", workers=workers, on_start=on_start))
    assert "of the planned user-seconds were lost" in told
