"""The plan as a Locust shape: users change when phases do, and the run ends when everything is sent and answered."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from tests.unpatched import locust  # isort: skip

from loadproof.generator.dispatch.shape import PlanShape
from loadproof.plan.phases import MADE_AHEAD_S
from loadproof.recording.announcements import Begun
from loadproof.users.post import Post
from loadproof.users.user import ApiUser
from simulation.clock import FakeTime
from simulation.rundirs import manifest, open_scenario, scenario

LEAD_S = 2.0
PLAN = {
    "phases": [
        {"name": "warm-up", "warm_up": True, "duration": "2500 ms", "users": 10},
        {"name": "steady", "duration": "3300 ms", "users": 40},
        {"name": "after", "duration": "1 s", "users": 5},
    ],
    "thresholds": [{"expect": "goodput_ratio >= 98 %"}],
}


class Crew:
    """What the shape needs of a crew."""

    lead_s = LEAD_S
    is_of_many = False

    def __init__(self) -> None:
        self.in_flight = 0
        self.ended = 0

    def hurry(self) -> None:
        pass

    def begin(self, start_unix_s: float) -> int:
        self.start_unix_s = start_unix_s
        return 3

    def end(self) -> None:
        self.ended += 1


class Shaped:
    """A shape called as Locust calls it: once a second, until it returns None."""

    def __init__(self, plan: Any, *, took_s: float = 0.0, once_s: float = 0.0, listeners: Any = None) -> None:
        """Making or ending users takes `took_s`; the first time after second 0, `once_s`."""
        self.time = FakeTime()
        self.clock = self.time.clock(up_s=50.0)
        post = Post(self.clock)
        post.assign(manifest(plan), rank=0, workers=1)
        users = [type(name, (ApiUser,), {"endpoint": name}) for name in ("balance", "other")]
        self.dispatcher = type("Dispatcher", (locust.User,), {})
        self.shape = type("Shape", (PlanShape,), {"post": post, "dispatcher": self.dispatcher})()
        environment = locust.env.Environment(user_classes=[*users, self.dispatcher])
        # One worker more than the crew has: it connected later and has no share.
        self.shape.runner = SimpleNamespace(environment=environment, worker_count=4)  # type: ignore[assignment]
        self.crew, self.told = Crew(), []
        self.shape.lead(self.crew, SimpleNamespace(announce=self.told.append))
        if listeners is not None:
            self.shape.begin_after(listeners)
        self.ticks: list[tuple[float, Any]] = []
        self.running = gevent.spawn(self._call, took_s, once_s)

    def _call(self, took_s: float, once_s: float) -> None:
        """Source: locust/runners.py 2.47, Runner.shape_worker."""
        last = None
        while True:
            began_s = self.time.now_s
            tick = self.shape.tick()
            self.ticks.append((self.time.now_s - LEAD_S, tick))
            if tick is None:
                return
            if tick != last:
                is_first = last is not None and once_s > 0
                self.clock.sleep(once_s if is_first else took_s)
                once_s, last = 0.0 if is_first else once_s, tick
            self.clock.sleep(max(1 - (self.time.now_s - began_s), 0))

    def finish(self) -> list[tuple[float, int]]:
        """The times at which the requested number of users changed, with the number."""
        self.time.advance_until(self.running.ready, within_s=300)
        self.running.get()
        changes: list[tuple[float, int]] = []
        for at_s, tick in self.ticks[:-1]:
            if not changes or changes[-1][1] != tick[0]:
                changes.append((at_s, tick[0]))
        return changes


@pytest.mark.parametrize("took_s", [0.0, 0.3, 0.9])
def test_users_change_when_the_plan_says(took_s):
    """Not at Locust's next call, and however long the previous change took; new users are created ahead."""
    shaped = Shaped(scenario(**PLAN), took_s=took_s)
    assert shaped.finish() == [
        (pytest.approx(-LEAD_S), 10),
        (pytest.approx(2.5 - MADE_AHEAD_S, abs=1e-6), 40),
        (pytest.approx(5.8, abs=1e-6), 5),
    ]
    assert shaped.ticks[-1][0] == pytest.approx(6.8, abs=1e-6)


def test_no_step_is_skipped_even_if_each_takes_locust_more_than_a_second():
    """It comes as late as Locust is, but it comes."""
    phases = [{"name": "rising", "duration": "6 s", "ramp": "4 s", "users": 40}]
    shaped = Shaped(scenario(phases=phases, thresholds=[{"expect": "goodput_ratio >= 98 %"}]), took_s=1.02)
    assert [users for _, users in shaped.finish()] == [5, 15, 25, 35, 40]


def test_a_ramp_is_on_time_again_after_one_change_that_took_long():
    """The change that it took the time of comes with the next one; all others when they are planned."""
    phases = [{"name": "rising", "duration": "9 s", "ramp": "8 s", "users": 80}]
    shaped = Shaped(scenario(phases=phases, thresholds=[{"expect": "goodput_ratio >= 98 %"}]), once_s=1.7)
    made_s = [at_s + MADE_AHEAD_S for at_s, _ in shaped.finish()[1:]]
    assert made_s == pytest.approx([1.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], abs=1e-6)


def test_users_are_created_before_second_0():
    """The first call sets second 0, to the same moment for us, the crew and the parent."""
    shaped = Shaped(scenario(**PLAN))
    shaped.time.advance_to(0.0)
    start_unix_s = shaped.clock.unix_s() + LEAD_S
    assert shaped.crew.start_unix_s == start_unix_s
    assert shaped.told == [Begun(start_unix_s, workers=3)]
    shaped.time.advance_to(LEAD_S)
    assert shaped.shape.post.workload().now_s() == pytest.approx(0)


@pytest.mark.parametrize(("asked_s", "begins_s"), [(7.0, 7.0), (1.0, LEAD_S), (-50.0, LEAD_S)])
def test_second_0_can_be_set_if_there_is_time_until_then(asked_s, begins_s):
    """For a run that begins at the same moment as another."""
    shaped = Shaped(scenario(**PLAN))
    now_unix_s = shaped.clock.unix_s()
    shaped.shape.begins_at_unix_s = now_unix_s + asked_s
    shaped.time.advance_to(0.0)
    assert shaped.crew.start_unix_s == pytest.approx(now_unix_s + begins_s)
    shaped.time.advance_to(begins_s)
    assert shaped.shape.post.workload().now_s() == pytest.approx(0)


def test_only_users_of_the_mix_are_created_and_as_fast_as_possible():
    """There may be others in the directory."""
    shaped = Shaped(scenario(**PLAN))
    shaped.time.advance_to(0.0)
    users, rate, classes = shaped.ticks[0][1]
    assert (users, rate) == (10, 10.0)
    assert [cls.endpoint for cls in classes] == ["balance"]


def test_the_open_model_has_a_dispatcher_on_each_worker():
    """From before the start to the end."""
    shaped = Shaped(open_scenario())
    shaped.finish()
    assert {(tick[0], tick[1], tick[2][0]) for _, tick in shaped.ticks[:-1]} == {(3, 3.0, shaped.dispatcher)}
    assert shaped.ticks[-1][0] == pytest.approx(25.0, abs=1e-6)


def test_the_end_waits_for_requests_in_flight():
    """But not forever: for the scenario's timeout plus a second."""
    patient, stuck = Shaped(scenario(**PLAN)), Shaped(scenario(**PLAN))
    for shaped in (patient, stuck):
        shaped.crew.in_flight = 1
    patient.time.call_at(LEAD_S + 8.5, lambda: setattr(patient.crew, "in_flight", 0))
    patient.finish()
    assert 8.5 <= patient.ticks[-1][0] <= 9.5
    stuck.finish()
    total_s = stuck.shape.post.workload().scenario.timeouts.total
    assert 6.8 + total_s + 1 <= stuck.ticks[-1][0] <= 6.8 + total_s + 2
    assert (patient.crew.ended, stuck.crew.ended) == (1, 1)


@pytest.mark.parametrize("at_s", [0.5, 2.2, 4.0, 4.55])
def test_an_early_end_is_noticed_within_a_second(at_s):
    """Also while waiting for the next phase; requests in flight are then up to the crew."""
    shaped = Shaped(scenario(**PLAN))
    shaped.crew.in_flight = 1
    shaped.time.call_at(LEAD_S + at_s, shaped.shape.end_early)
    shaped.finish()
    assert at_s <= shaped.ticks[-1][0] <= at_s + 1.0 + 1e-6
    assert shaped.crew.ended == 1


def test_second_0_comes_after_a_locustfiles_listeners():
    """However late they were added, and however often Locust calls meanwhile; after that, as usual."""
    hook = locust.event.EventHook()
    shaped = Shaped(scenario(**PLAN), listeners=hook)
    hook.add_listener(lambda **_: shaped.clock.sleep(4.2))
    shaped.time.advance_to(0.0)
    starting = gevent.spawn(hook.fire)
    shaped.time.advance_to(4.1)
    assert [tick[0] for _, tick in shaped.ticks] == [10] * 5
    assert shaped.told == []
    shaped.time.advance_to(4.2)
    starting.get()
    assert shaped.told == [Begun(pytest.approx(shaped.clock.unix_s() + LEAD_S), workers=3)]
    shaped.finish()
    assert shaped.ticks[-1][0] == pytest.approx(4.2 + 6.8)


def test_workers_get_time_for_the_listeners_that_the_master_ran():
    """Half as much again."""
    hook = locust.event.EventHook()
    shaped = Shaped(scenario(**PLAN), listeners=hook)
    shaped.crew.is_of_many = True
    hook.add_listener(lambda **_: shaped.clock.sleep(4.0))
    shaped.time.advance_to(0.0)
    gevent.spawn(hook.fire)
    shaped.time.advance_to(4.0)
    assert shaped.crew.start_unix_s == pytest.approx(shaped.clock.unix_s() + 6.0 + LEAD_S)
    shaped.finish()


def test_a_run_stopped_while_its_listeners_run_ends():
    """It has never begun."""
    shaped = Shaped(scenario(**PLAN), listeners=locust.event.EventHook())
    shaped.time.call_at(0.5, shaped.shape.end_early)
    assert shaped.finish() == [(pytest.approx(-LEAD_S), 10)]
    assert shaped.told == []
