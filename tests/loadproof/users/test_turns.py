"""A user's turns on simulated time: when it sends, what it counts as whose fault, and what a refusal makes of it."""

from __future__ import annotations

import math

import gevent
import pytest
from gevent.pool import Group

from tests import unpatched  # noqa: F401 - before locust

from locust.exception import StopUser  # isort: skip

from loadproof.plan.pacing import Due
from loadproof.rundir.rows import LATE_MS, PRESENT_MS
from simulation.playeduser import PlayedUser, ask


def ask_twice(user) -> None:
    ask(user)
    ask(user)


def test_a_user_sends_at_its_pace_from_somewhere_in_the_first():
    """Answers in between take nothing away."""
    played = PlayedUser()
    counted = played.live(10.0)
    assert played.sent_s == [0.5, 2.5, 4.5, 6.5, 8.5]
    assert counted == {PRESENT_MS: 10_000}


def test_what_answers_take_of_the_next_turns_are_turns_missed():
    """And it goes on at once: an answer of 6 s costs two.

    Then at a moment of its own again, or all who waited for an outage would send together from then on.
    """
    played = PlayedUser(takes_s=lambda number: 6.0 if number == 2 else 0.1)
    counted = played.live(15.0)
    assert played.sent_s == [0.5, 2.5, 8.5, 11.0, 13.0, 15.0]
    assert counted == {PRESENT_MS: 15_000, "missed": 2}


def test_what_a_users_own_code_takes_of_the_next_turn_is_ours():
    """Its task takes 3 s of work for each answer."""

    def slow(user) -> None:
        ask(user)
        user.pause(3.0)

    played = PlayedUser(task=slow)
    counted = played.live(10.0)
    assert played.sent_s == [0.5, 3.6, 6.7, 9.8]
    assert counted == {PRESENT_MS: 10_000, LATE_MS: 3_300}


def test_a_pause_within_the_pace_only_delays_what_comes_after_it():
    """The next turn has its time, and nothing is lost."""

    def thoughtful(user) -> None:
        ask(user)
        user.pause(1.0)
        ask(user)

    played = PlayedUser(task=thoughtful)
    counted = played.live(6.0)
    assert played.sent_s == [0.5, 1.6, 2.5, 3.6, 4.5, 5.6]
    assert counted == {PRESENT_MS: 6_000}


@pytest.mark.parametrize(
    ("pause_s", "takes_s", "late_ms", "missed"),
    [
        (1.0, 0.4, 0, 0),
        (1.0, 1.5, 0, 2),
        (1.9, 0.1, 100, 0),
        (3.0, 0.1, 1_200, 0),
        (1.5, 1.5, 500, 2),
    ],
)
def test_a_slow_target_is_not_excused_by_pauses_that_leave_it_its_deadline(pause_s, takes_s, late_ms, missed):
    """Of 2 s, two answers may take 0.5 s each: 1 s is left to pause in, and what is beyond that is ours."""

    def thoughtful(user) -> None:
        ask(user)
        user.pause(pause_s)
        ask(user)

    played = PlayedUser(task=thoughtful, takes_s=lambda _: takes_s)
    played.user.start(Group())
    played.time.advance_to(0.51 + pause_s + 2 * takes_s)
    counted = played.counted(0.51 + pause_s + 2 * takes_s)
    assert counted[LATE_MS] == pytest.approx(late_ms, abs=20)
    assert counted["missed"] == pytest.approx(missed, abs=0.5)


def test_who_is_still_answered_slowly_sends_as_soon_as_it_may():
    """Each turn may be late again: a moment of its own would be another turn lost."""
    played = PlayedUser(takes_s=lambda number: 6.0 if number == 2 else 1.5)
    played.live(15.0)
    assert played.sent_s == [0.5, 2.5, 8.5, 10.5, 12.5, 14.5]


def test_of_a_turn_that_took_too_long_the_own_part_comes_last():
    """The answer took 3 s and the work 0.5 s: 1 s was the target's, 0.5 s ours."""

    def slow(user) -> None:
        ask(user)
        user.post.clock.sleep(0.5)

    played = PlayedUser(task=slow, takes_s=lambda number: 3.0 if number == 1 else 0.1)
    counted = played.live(4.0)
    assert played.sent_s == [0.5, 4.0]
    assert counted == {PRESENT_MS: 4_000, LATE_MS: 500} | ({"missed": 1} if counted["missed"] else {})


def test_a_turn_of_two_requests_misses_two_at_a_time():
    """As many as its last one sent."""
    played = PlayedUser(task=ask_twice, takes_s=lambda number: 4.0 if number in {1, 2} else 0.1)
    counted = played.live(20.0)
    assert played.sent_s[:4] == [0.5, 4.5, 8.5, 8.6]
    assert counted["missed"] == 6, "6 s of turns that send two requests each 2 s"


def test_a_mistake_in_a_task_leaves_the_pace_alone():
    """Locust comes again, and the next turn has its time."""

    def wrong(user) -> None:
        ask(user)
        raise ArithmeticError

    played = PlayedUser(task=wrong)
    played.user._due = Due(played.work.first_step(0.0))

    def live() -> None:
        while True:
            with pytest.raises(ArithmeticError):
                played.user._take_turns()
            played.user.wait()

    gevent.spawn(live)
    played.time.advance_to(7.0)
    assert played.sent_s == [0.5, 2.5, 4.5, 6.5]


def test_set_up_delays_the_first_turn_by_its_answers():
    """No loss while they come within the deadline; what is beyond it is turns missed, and the rest ours."""
    played = PlayedUser(takes_s=lambda number: 2.5 if number == 1 else 0.1, expect_throttling=True)
    user = played.user

    def start() -> None:
        ask(user)
        user.clock.sleep(1.0)

    user._due = Due(played.work.first_step(0.0))
    gevent.spawn(lambda: (start(), user._take_turns()))
    played.time.advance_to(10.0)
    assert played.sent_s == [0, 4.0, 6.0, 8.0, 10.0]
    assert played.counted(10.0) == {LATE_MS: 1_000, "missed": 1}


def test_each_request_of_set_up_stands_for_a_turn_where_the_target_limits_its_clients():
    """The embedded target declares a limit of health."""
    for expect_throttling, first_s in ((True, 0.7), (False, 4.7)):
        played = PlayedUser(expect_throttling=expect_throttling)
        user = played.user
        user._due = Due(played.work.first_step(0.0))
        gevent.spawn(lambda user=user: (ask_twice(user), user._take_turns()))
        played.time.advance_to(6.0)
        assert played.sent_s[:3] == pytest.approx([0, 0.1, first_s], abs=0.001)


@pytest.mark.parametrize(
    ("how", "sent_s", "backed_off"),
    [("ignore", [0.5, 2.5, 4.5, 6.5, 8.5], 0), ("honour", [0.5, 6.6], 2), ("stop", [0.5], 15)],
)
def test_a_refusal_is_waited_out_as_the_scenario_says(how, sent_s, backed_off):
    """By at least what the target asked for, and a little more; turns that pass meanwhile are its own wish."""
    played = PlayedUser(statuses=[429], headers={"retry-after": "6"}, when_throttled=how, expect_throttling=True)
    played.user.random.uniform = lambda low, _: low
    counted = played.live(10.0)
    assert played.sent_s[:2] == sent_s[:2]
    assert len(played.sent_s) == (3 if how == "honour" else len(sent_s))
    assert counted["backed_off"] == backed_off


def test_who_is_refused_again_and_again_waits_longer_each_time():
    """Up to a minute; and from the beginning once it is let in."""
    played = PlayedUser(statuses=[429] * 8 + [200, 429], when_throttled="honour", expect_throttling=True, seconds=400)
    asked: list[float] = []
    played.user.random.uniform = lambda low, high: asked.append(high) or low
    played.live(40.0)
    assert asked == [1, 2, 4, 8, 16, 32, 60, 60, 1]


def test_a_user_who_stops_in_an_arrivals_journey_takes_no_turns():
    """It is raised through the task."""
    played = PlayedUser(statuses=[429], when_throttled="stop", expect_throttling=True)
    stopped: list[bool] = []

    def perform() -> None:
        with pytest.raises(StopUser):
            played.user.perform(Due(0.0))
        stopped.append(True)

    gevent.spawn(perform)
    played.time.advance_to(1.0)
    assert stopped == [True]
    assert played.user._not_before_s == math.inf


def test_a_wait_is_as_long_as_the_next_turn_is_away():
    """Never below 0, and an hour at most: the end wakes it."""
    played = PlayedUser()
    for due_s, wait_s in ((5.0, 5.0), (-1.0, 0.0), (math.inf, 3600.0)):
        played.user._due = Due(due_s)
        assert played.user.wait_time() == pytest.approx(wait_s)


def test_an_id_is_of_its_run_and_of_its_draw():
    """The same choices of another run on the same target have other ids."""
    ids = []
    for run_id in ("a", "b" * 100):
        played = PlayedUser()
        played.work.run_id = run_id
        ids += [played.user.new_id(), played.user.new_id()]
    assert len(set(ids)) == 4
    assert all(len(str(one)) == 36 for one in ids)


def test_bursts_that_come_while_a_user_waits_are_missed():
    """But for the last of them, which it takes late."""
    phases = [{"name": "bursts", "users": 1, "burst": {"times": 3, "every": "5 s"}}]
    played = PlayedUser(phases=phases, takes_s=lambda number: 6.0 if number == 1 else 0.1)
    counted = played.live(14.0)
    assert len(played.sent_s) == 3
    assert counted["missed"] == 0


@pytest.mark.parametrize("shorter", [1, 40])
def test_of_answers_that_are_awaited_together_the_longest_counts_whole(shorter):
    """However many came and went meanwhile: the target kept the user from its next turn, and not its code."""

    def ask_beside(user) -> None:
        long = gevent.spawn(ask, user)
        for _ in range(shorter):
            user.pause(4.0 / shorter)
            ask(user)
        long.join()

    played = PlayedUser(task=ask_beside, takes_s=lambda number: 5.0 if number == 1 else 0.01)
    played.user.start(Group())
    played.time.advance_to(5.6)
    counted = played.counted(5.6)
    assert counted[LATE_MS] == 0
    assert counted["missed"] == pytest.approx(1.5 * (1 + shorter), abs=1)


@pytest.mark.parametrize(
    ("pause_s", "takes_s", "late"), [(0.0, 0.9, 1), (0.0, 0.62, 0), (0.8, 0.1, 0), (0.1, 0.9, 1), (0.4, 0.5, 0)]
)
def test_who_is_late_for_a_burst_because_of_a_pause_was_not_kept_by_the_target(pause_s, takes_s, late):
    """Its turn comes 0.6 s before the burst; a few ms more are no other moment."""

    def thoughtful(user) -> None:
        ask(user)
        if pause_s:
            user.pause(pause_s)

    phases = [
        {"name": "steady", "users": 1, "duration": "4 s"},
        {"name": "bursts", "users": 1, "burst": {"times": 1, "every": "1 s"}},
    ]
    played = PlayedUser(
        phases=phases,
        mix={"health": {"share": "100 %", "every": "3 s"}},
        task=thoughtful,
        takes_s=lambda number: takes_s if number == 2 else 0.1,
    )
    played.user._offset_s = 0.9
    played.user.start(Group())
    played.time.advance_to(8.0)
    assert played.sent_s == [0.9, 3.9, pytest.approx(3.9 + pause_s + takes_s)]
    (burst,) = played.recorder._bursts.values()
    assert burst.late == late


def test_who_was_asked_to_wait_sends_at_a_burst_and_not_between_two():
    """The second one comes while it waits, and is backed off."""
    phases = [{"name": "bursts", "users": 1, "burst": {"times": 4, "every": "5 s"}}]
    played = PlayedUser(phases=phases, statuses=[429], headers={"retry-after": "7"}, expect_throttling=True)
    counted = played.live(20.0)
    assert played.sent_s == [2.5, 12.5, 17.5]
    assert counted["backed_off"] == 1
