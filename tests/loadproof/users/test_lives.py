"""A user's life in Locust from start to end, and the reasons it gives for unexpected answers."""

from __future__ import annotations

import gevent
import pytest
from gevent.pool import Group

from tests import unpatched  # noqa: F401 - before locust

from locust.exception import StopUser  # isort: skip
from loadproof.outcome import Outcome  # isort: skip
from loadproof.plan.pacing import Due
from loadproof.rundir.rows import LATE_MS
from simulation.playeduser import PlayedUser, ask


def there(played: PlayedUser) -> int:
    """The number of users of `health` counted as present."""
    return played.recorder.user_time._users["health"]


def test_a_life_is_counted_from_its_start_to_its_end():
    """However it ends."""
    played = PlayedUser()
    life = played.user.start(Group())
    assert isinstance(life, gevent.Greenlet)
    assert there(played) == 1
    played.time.advance_to(5.2)
    assert played.sent_s == [0.5, 2.5, 4.5]
    life.kill(block=False)
    played.time.advance_to(5.3)
    assert there(played) == 0


@pytest.mark.parametrize("in_set_up", [False, True])
def test_a_user_that_stops_for_good_stays_without_turns(in_set_up):
    """Locust would start another one in place of one that has ended."""
    played = PlayedUser(statuses=[429], when_throttled="stop", expect_throttling=True)
    if in_set_up:
        type(played.user).on_start = ask
    life = played.user.start(Group())
    played.time.advance_to(20.0)
    assert played.sent_s == [0.0 if in_set_up else 0.5]
    assert not life.ready()
    assert there(played) == 1
    life.kill(block=False)
    played.time.advance_to(21.0)
    assert there(played) == 0


def test_a_user_that_ends_itself_in_its_setup_is_gone():
    """Nobody refused it."""
    played = PlayedUser()

    def leave(_: object) -> None:
        raise StopUser

    type(played.user).on_start = leave
    life = played.user.start(Group())
    played.time.advance_to(1.0)
    assert life.ready()


@pytest.mark.parametrize(("leaves", "backed_off"), [(False, 15), (True, 5)])
def test_turns_that_a_stopped_user_skips_end_when_it_is_told_to_leave(leaves, backed_off):
    """At 0.6 s it is refused; at 10 s the number of users falls, and some other user may be chosen."""
    phases = [{"name": "two", "duration": "10 s", "users": 2}, {"name": "one", "duration": "20 s", "users": 1}]
    played = PlayedUser(statuses=[429], when_throttled="stop", expect_throttling=True, phases=phases)
    life = played.user.start(Group())
    played.time.advance_to(10.0)
    counted = played.counted(10.0)
    assert counted["backed_off"] == 5
    if leaves:
        played.user.stop(force=True)
    played.time.advance_to(30.0)
    life.kill(block=False)
    played.time.advance_to(30.1)
    assert (counted + played.counted(30.1))["backed_off"] == backed_off


def test_skipped_turns_of_a_user_refused_in_its_setup_send_nothing_of_the_setup():
    """Its setup's three requests belong to no turn."""
    played = PlayedUser(statuses=[200, 200, 429], when_throttled="stop", expect_throttling=True)
    type(played.user).on_start = lambda user: [ask(user) for _ in range(3)]
    assert played.live(30.0)["backed_off"] == 15


def test_a_turn_that_was_due_and_never_taken_is_lost():
    """If the process is stalled until the end, users are stopped before they wake up."""
    played = PlayedUser()
    life = played.user.start(Group())
    played.time.advance_to(1.0)
    played.time.spend(4.0)
    played.user.stop(force=True)
    life.kill(block=False)
    played.time.advance_to(5.1)
    assert played.counted(5.1)[LATE_MS] == pytest.approx(2500, abs=20)


def test_a_user_stopped_before_its_turn_has_lost_nothing():
    """Nor has one that waits for an answer."""
    for takes_s in (0.1, 100.0):
        played = PlayedUser(takes_s=lambda _, takes_s=takes_s: takes_s)
        played.user.start(Group())
        played.time.advance_to(2.0)
        played.user.stop(force=True)
        played.time.advance_to(2.1)
        assert played.counted(2.1)[LATE_MS] == 0


def test_after_its_stop_a_late_answer_costs_a_user_no_turns():
    """None are planned for it any more."""
    played = PlayedUser(takes_s=lambda _: 20.0)
    played.user.start(Group())
    played.time.advance_to(5.0)
    played.user.stop()
    played.time.advance_to(9.0)
    assert played.user._missed.stopped_s == pytest.approx(5.0)


def test_a_user_that_only_finishes_its_turn_keeps_no_other_from_coming():
    """Locust starts as many as are missing in the group; at the end of the run it waits for all of them."""
    played, group = PlayedUser(takes_s=lambda _: 20.0), Group()
    life = played.user.start(group)
    played.time.advance_to(5.0)
    assert life in group
    played.user.stop()
    assert life not in group
    assert not life.ready()
    assert there(played) == 0
    events = played.user.environment.events
    events.test_stopping.fire(environment=played.user.environment)
    assert life in group
    life.kill(block=False)
    played.time.advance_to(6.0)
    assert not group
    assert there(played) == 0


def test_a_user_that_says_goodbye_keeps_no_other_from_coming():
    """The answer to its last request takes 20 s."""
    played, group = PlayedUser(takes_s=lambda number: 20.0 if number == 2 else 0.1), Group()
    type(played.user).on_stop = ask
    life = played.user.start(group)
    played.time.advance_to(1.0)
    gevent.spawn(played.user.stop, force=True)
    played.time.advance_to(5.0)
    assert played.sent_s == [0.5, 1.0]
    assert life not in group
    assert not life.ready()
    assert there(played) == 0
    played.time.advance_to(22.0)
    assert life.ready()


def test_a_user_whose_task_calls_its_own_on_stop_stays():
    """It goes on after that."""
    played, group = PlayedUser(task=lambda user: (user.on_stop(), ask(user))), Group()
    life = played.user.start(group)
    played.time.advance_to(5.0)
    assert played.sent_s == [0.5, 2.5, 4.5]
    assert life in group
    assert there(played) == 1


def test_a_user_whose_on_start_calls_its_own_on_stop_stays():
    """To begin from a clean slate."""
    played, group = PlayedUser(), Group()
    type(played.user).on_start = lambda user: user.on_stop()
    life = played.user.start(group)
    played.time.advance_to(5.0)
    assert played.sent_s == [0.5, 2.5, 4.5]
    assert life in group
    assert there(played) == 1


def test_a_user_that_ends_itself_in_its_setup_keeps_no_other_from_coming_while_it_says_goodbye():
    """The answer to its only request takes 20 s."""
    played, group = PlayedUser(takes_s=lambda _: 20.0), Group()

    def leave(_: object) -> None:
        raise StopUser

    type(played.user).on_start, type(played.user).on_stop = leave, ask
    life = played.user.start(group)
    played.time.advance_to(5.0)
    assert life not in group
    assert not life.ready()
    assert there(played) == 0


@pytest.mark.parametrize(
    ("status", "check", "outcome", "reason"),
    [
        (404, lambda _: None, Outcome.INVALID, "health: status 404"),
        (500, lambda _: None, Outcome.SERVER_ERROR, "server_error: status 500"),
        (429, lambda _: None, Outcome.THROTTLED, "throttled: status 429"),
        (403, lambda _: None, Outcome.REJECTED, "rejected: status 403"),
        (200, lambda reply: reply.answer.json["none"], Outcome.INVALID, "unreadable answer (KeyError)"),
    ],
)
def test_unexpected_answers_have_a_reason_without_values(status, check, outcome, reason):
    """So that equal reasons add up."""
    played = PlayedUser(statuses=[status], when_throttled="ignore", expect_throttling=True)
    told: list[tuple] = []
    played.user._record = lambda _, __, ___, error, **how: told.append((how["outcome"], str(error)))
    performing = gevent.spawn(lambda: played.user.send(played.user.api.ask_health(), check))
    played.time.advance_to(1.0)
    assert performing.get() is None
    assert told == [(outcome, reason)]


def test_bursts_during_a_back_off_are_not_the_targets_fault():
    """Except one that the user waits for and takes."""
    phases = [
        {"name": "steady", "duration": "4 s", "users": 1},
        {"name": "bursts", "users": 1, "burst": {"times": 4, "every": "5 s"}},
    ]
    played = PlayedUser(
        phases=phases,
        statuses=[200, 429],
        headers={"retry-after": "8"},
        when_throttled="honour",
        expect_throttling=True,
    )
    played.user.random.uniform = lambda low, _: low
    counted = played.live(20.0)
    assert played.sent_s[:2] == [0.5, 2.5]
    assert counted["backed_off"] == sum(2.6 < at_s <= 10.6 for at_s in played.work.spans[1].bursts_s)
    assert counted["missed"] == 0


def test_a_slow_setup_answer_costs_turns_only_until_the_first_turn():
    """Any time after that belongs to another turn."""
    played = PlayedUser(takes_s=lambda number: 3.0 if number == 1 else 0.1, expect_throttling=True)
    user = played.user
    user._pacer.due = user._pacer.due._replace(at_s=0.0)
    gevent.spawn(lambda: (ask(user), user._take_turns()))
    played.time.advance_to(8.0)
    # Of 3 s, half a second was within the deadline.
    assert played.counted(8.0)["missed"] == 1


def test_turns_missed_because_of_a_slow_setup_send_nothing_of_the_setup():
    """Of 5 s, half a second was within the deadline; the setup has three requests."""
    played = PlayedUser(takes_s=lambda number: 5.0 if number == 3 else 0.0, expect_throttling=True)
    type(played.user).on_start = lambda user: [ask(user) for _ in range(3)]
    life = played.user.start(Group())
    played.time.advance_to(6.0)
    assert played.counted(6.0)["missed"] == 2
    life.kill(block=False)
    played.time.advance_to(6.1)


@pytest.mark.parametrize(
    ("headers", "outcome"), [({}, Outcome.SERVER_ERROR), ({"retry-after": "1"}, Outcome.THROTTLED)]
)
def test_a_503_with_a_retry_after_is_a_refusal(headers, outcome):
    """Otherwise it is a server error."""
    played = PlayedUser(statuses=[503], headers=headers, when_throttled="ignore", expect_throttling=True)
    told: list[Outcome] = []
    played.user._record = lambda *_, **how: told.append(how["outcome"])
    gevent.spawn(ask, played.user)
    played.time.advance_to(1.0)
    assert told == [outcome]


def test_others_get_their_turn_after_a_failure():
    """Meanwhile the user counts as yielding, not as free."""
    played = PlayedUser(statuses=[500])
    yielding: list[int] = []
    sleep = played.user.post.clock.sleep
    played.user.post.clock.sleep = lambda s: (yielding.append(played.recorder.yielding), sleep(s))
    gevent.spawn(ask, played.user)
    played.time.advance_to(1.0)
    assert yielding == [0, 1]
    assert played.recorder.yielding == 0


def test_setup_may_take_as_long_as_the_deadline():
    """Of an answer of 4 s, 2 s were within the deadline; time that the user's own code takes afterwards is ours."""
    played = PlayedUser(takes_s=lambda number: 4.0 if number == 1 else 0.1, expect_throttling=True, deadline="2 s")
    user = played.user
    user._pacer.due = Due(0.0)
    gevent.spawn(lambda: (ask(user), user.clock.sleep(4.0), user._take_turns()))
    played.time.advance_to(12.0)
    assert played.counted(12.0) == {"missed": 1, LATE_MS: 4_000}
