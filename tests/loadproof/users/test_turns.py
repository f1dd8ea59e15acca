"""A user's turns on simulated time: when it sends, whose fault a missed turn is, and how it reacts to a refusal."""

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


def test_a_user_sends_at_its_pace_from_a_random_start():
    """Waiting for answers in between costs nothing."""
    played = PlayedUser()
    counted = played.live(10.0)
    assert played.sent_s == [0.5, 2.5, 4.5, 6.5, 8.5]
    assert counted == {PRESENT_MS: 10_000}


def test_answers_that_outlast_the_pace_cost_turns():
    """The user then sends at once: an answer of 6 s costs two turns.

    Later it sends at its own offset again, or all users held up by an outage would stay in step.
    """
    played = PlayedUser(takes_s=lambda number: 6.0 if number == 2 else 0.1)
    counted = played.live(15.0)
    assert played.sent_s == [0.5, 2.5, 8.5, 11.0, 13.0, 15.0]
    assert counted == {PRESENT_MS: 15_000, "missed": 2}


def test_time_that_a_users_own_code_takes_from_the_next_turn_is_ours():
    """Its task works for 3 s on each answer."""

    def slow(user) -> None:
        ask(user)
        user.pause(3.0)

    played = PlayedUser(task=slow)
    counted = played.live(10.0)
    assert played.sent_s == [0.5, 3.6, 6.7, 9.8]
    assert counted == {PRESENT_MS: 10_000, LATE_MS: 3_300}


def test_a_pause_within_the_pace_only_delays_later_requests_of_the_turn():
    """The next turn comes on time, and nothing is lost."""

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
def test_a_slow_target_is_not_excused_by_pauses_that_leave_time_for_its_deadline(pause_s, takes_s, late_ms, missed):
    """Of 2 s, two answers may take 0.5 s each: this leaves 1 s for pauses, and anything longer is ours."""

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


def test_a_user_that_still_gets_slow_answers_sends_as_soon_as_it_can():
    """Each turn may be late again: returning to its own offset would cost another turn."""
    played = PlayedUser(takes_s=lambda number: 6.0 if number == 2 else 1.5)
    played.live(15.0)
    assert played.sent_s == [0.5, 2.5, 8.5, 10.5, 12.5, 14.5]


def test_in_an_overlong_turn_our_own_part_comes_last():
    """The answer took 3 s and the work 0.5 s: 1 s was the target's fault, 0.5 s ours."""

    def slow(user) -> None:
        ask(user)
        user.post.clock.sleep(0.5)

    played = PlayedUser(task=slow, takes_s=lambda number: 3.0 if number == 1 else 0.1)
    counted = played.live(4.0)
    assert played.sent_s == [0.5, 4.0]
    assert counted == {PRESENT_MS: 4_000, LATE_MS: 500} | ({"missed": 1} if counted["missed"] else {})


def test_a_turn_of_two_requests_misses_two_at_a_time():
    """As many as its last turn sent."""
    played = PlayedUser(task=ask_twice, takes_s=lambda number: 4.0 if number in {1, 2} else 0.1)
    counted = played.live(20.0)
    assert played.sent_s[:4] == [0.5, 4.5, 8.5, 8.6]
    assert counted["missed"] == 6, "6 s of turns that send two requests each 2 s"


def test_an_error_in_a_task_does_not_change_the_pace():
    """Locust runs the user again, and the next turn comes on time."""

    def wrong(user) -> None:
        ask(user)
        raise ArithmeticError

    played = PlayedUser(task=wrong)
    played.user._pacer.due = Due(played.work.first_step(0.0))

    def live() -> None:
        while True:
            with pytest.raises(ArithmeticError):
                played.user._take_turns()
            played.user.wait()

    gevent.spawn(live)
    played.time.advance_to(7.0)
    assert played.sent_s == [0.5, 2.5, 4.5, 6.5]


def test_setup_delays_the_first_turn_by_its_answers():
    """Within the deadline this costs nothing; beyond it turns are missed, and the rest is our lateness."""
    played = PlayedUser(takes_s=lambda number: 2.5 if number == 1 else 0.1, expect_throttling=True)
    user = played.user

    def start() -> None:
        ask(user)
        user.clock.sleep(1.0)

    user._pacer.due = Due(played.work.first_step(0.0))
    gevent.spawn(lambda: (start(), user._take_turns()))
    played.time.advance_to(10.0)
    assert played.sent_s == [0, 4.0, 6.0, 8.0, 10.0]
    assert played.counted(10.0) == {LATE_MS: 1_000, "missed": 1}


def test_each_setup_request_counts_as_a_turn_if_the_target_limits_its_clients():
    """The embedded target declares a limit for health."""
    for expect_throttling, first_s in ((True, 0.7), (False, 4.7)):
        played = PlayedUser(expect_throttling=expect_throttling)
        user = played.user
        user._pacer.due = Due(played.work.first_step(0.0))
        gevent.spawn(lambda user=user: (ask_twice(user), user._take_turns()))
        played.time.advance_to(6.0)
        assert played.sent_s[:3] == pytest.approx([0, 0.1, first_s], abs=0.001)


@pytest.mark.parametrize(
    ("how", "sent_s", "backed_off"),
    [("ignore", [0.5, 2.5, 4.5, 6.5, 8.5], 0), ("honour", [0.5, 6.6], 2), ("stop", [0.5], 15)],
)
def test_a_refusal_is_waited_out_as_the_scenario_says(how, sent_s, backed_off):
    """By at least what the target asked for, and a little more; skipping turns meanwhile is the user's choice."""
    played = PlayedUser(statuses=[429], headers={"retry-after": "6"}, when_throttled=how, expect_throttling=True)
    played.user.random.uniform = lambda low, _: low
    counted = played.live(10.0)
    assert played.sent_s[:2] == sent_s[:2]
    assert len(played.sent_s) == (3 if how == "honour" else len(sent_s))
    assert counted["backed_off"] == backed_off


def test_a_user_refused_repeatedly_waits_longer_each_time():
    """Up to a minute; the first wait is short again once it has been admitted."""
    played = PlayedUser(statuses=[429] * 8 + [200, 429], when_throttled="honour", expect_throttling=True, seconds=400)
    asked: list[float] = []
    played.user.random.uniform = lambda low, high: asked.append(high) or low
    played.live(40.0)
    assert asked == [1, 2, 4, 8, 16, 32, 60, 60, 1]


def test_a_user_that_stops_during_an_arrival_takes_no_turns():
    """StopUser is raised through the task."""
    played = PlayedUser(statuses=[429], when_throttled="stop", expect_throttling=True)
    stopped: list[bool] = []

    def perform() -> None:
        with pytest.raises(StopUser):
            played.user.perform(Due(0.0))
        stopped.append(True)

    gevent.spawn(perform)
    played.time.advance_to(1.0)
    assert stopped == [True]
    assert played.user._back_off.until_s == math.inf


def test_a_wait_lasts_until_the_next_turn():
    """At least 0 s and at most an hour; the end wakes the user."""
    played = PlayedUser()
    for due_s, wait_s in ((5.0, 5.0), (-1.0, 0.0), (math.inf, 3600.0)):
        played.user._pacer.due = Due(due_s)
        assert played.user.wait_time() == pytest.approx(wait_s)


def test_an_id_depends_on_its_run_and_its_draw():
    """The same choices in another run on the same target give other ids."""
    ids = []
    for run_id in ("a", "b" * 100):
        played = PlayedUser()
        played.work.run_id = run_id
        ids += [played.user.new_id(), played.user.new_id()]
    assert len(set(ids)) == 4
    assert all(len(str(one)) == 36 for one in ids)


def test_bursts_during_a_users_wait_are_missed():
    """Except the last one, which it takes late."""
    phases = [{"name": "bursts", "users": 1, "burst": {"times": 3, "every": "5 s"}}]
    played = PlayedUser(phases=phases, takes_s=lambda number: 6.0 if number == 1 else 0.1)
    counted = played.live(14.0)
    assert len(played.sent_s) == 3
    assert counted["missed"] == 0


@pytest.mark.parametrize("shorter", [1, 40])
def test_of_concurrent_answers_the_longest_counts_in_full(shorter):
    """However many others came meanwhile: the target kept the user from its next turn, not its code."""

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
    ("pause_s", "takes_s", "late"),
    # The deadline is 0.5 s: after a pause of 0.1 s, only an answer that misses it makes the user late.
    [(0.0, 0.9, 1), (0.0, 0.62, 0), (0.8, 0.1, 0), (0.1, 0.9, 1), (0.4, 0.5, 0), (0.1, 0.6, 1)],
)
def test_a_user_late_for_a_burst_because_of_a_pause_was_not_kept_from_it_by_the_target(pause_s, takes_s, late):
    """Its turn comes 0.6 s before the burst; a few milliseconds more make no difference."""

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
    played.user._pacer.offset_s = 0.9
    played.user.start(Group())
    played.time.advance_to(8.0)
    assert played.sent_s == [0.9, 3.9, pytest.approx(3.9 + pause_s + takes_s)]
    (burst,) = played.recorder._bursts.values()
    assert burst.late == late


def test_a_user_asked_to_wait_sends_at_a_burst_and_not_between_two():
    """The second one comes while it waits, and counts as backed off."""
    phases = [{"name": "bursts", "users": 1, "burst": {"times": 4, "every": "5 s"}}]
    played = PlayedUser(phases=phases, statuses=[429], headers={"retry-after": "7"}, expect_throttling=True)
    counted = played.live(20.0)
    assert played.sent_s == [2.5, 12.5, 17.5]
    assert counted["backed_off"] == 1


def test_a_user_asked_to_stay_away_beyond_the_end_stays_away():
    """The plan is over by then, though others may still wait for answers."""
    played = PlayedUser(statuses=[429], headers={"retry-after": "31"}, expect_throttling=True)
    played.live(40.0)
    assert played.sent_s == [0.5]


def test_a_burst_that_a_late_refusal_cost_a_user_is_missed():
    """The answer to the first burst comes after the second one, and says to wait."""
    phases = [{"name": "bursts", "users": 1, "burst": {"times": 4, "every": "5 s"}}]
    played = PlayedUser(
        phases=phases,
        statuses=[429],
        headers={"retry-after": "1"},
        expect_throttling=True,
        takes_s=lambda number: 6.0 if number == 1 else 0.1,
    )
    counted = played.live(20.0)
    assert played.sent_s == [2.5, 12.5, 17.5]
    assert counted["missed"] == 1
