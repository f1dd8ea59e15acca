"""Several requests of a journey timed as one: when a group begins and ends, and with which outcome."""

from __future__ import annotations

from typing import Any

import gevent
import pytest
from gevent.pool import Group

from tests import unpatched  # noqa: F401  # isort: skip

from loadproof.histogram import MIDPOINT_US
from loadproof.http.messages import WantError
from loadproof.outcome import MISSED, Outcome
from loadproof.plan.pacing import Due
from simulation.playeduser import PlayedUser
from tests.loadproof.users.recorded import MIX, call, cells, live, rows

GROUPS = {"checkout": {"requests": ["cart", "pay"], "deadline": "700 ms"}}


def shopping(*names: str, think_s: float = 0.0):
    """A task that sends these requests, whatever their outcome."""

    def shop(user) -> None:
        for name in names:
            call(user, name)
            user.pause(think_s)

    return shop


def played(*names: str, think_s: float = 0.0, **plan: Any) -> PlayedUser:
    return PlayedUser(task=shopping(*names, think_s=think_s), mix=MIX, groups=GROUPS, **plan)


def ends_of(one: PlayedUser, until_s: float) -> dict[str, int]:
    """The number of groups by outcome."""
    return {
        row.outcome: row.count for row in rows(one, until_s) if (row.endpoint, row.series) == ("checkout", "response")
    }


def ended(one: PlayedUser, until_s: float = 1.9) -> dict[str, int]:
    """The groups of the first turn."""
    live(one, until_s)
    return ends_of(one, until_s)


@pytest.mark.parametrize(
    ("names", "statuses", "outcomes"),
    [
        (["login", "cart", "pay"], [], {Outcome.OK: 1}),
        (["cart", "login", "cart", "pay"], [], {Outcome.OK: 1}),
        (["cart", "pay", "cart", "pay"], [], {Outcome.OK: 2}),
        (["cart", "pay"], [200, 500], {Outcome.SERVER_ERROR: 1}),
        (["cart", "pay"], [403], {Outcome.REJECTED: 1}),
        (["cart", "cart", "pay"], [500], {Outcome.SERVER_ERROR: 1, Outcome.OK: 1}),
        (["cart", "login"], [], {Outcome.INVALID: 1}),
        (["cart", "login", "pay"], [200, 500], {Outcome.OK: 1}),
        (["login", "pay"], [], {}),
    ],
)
def test_a_group_ends_with_its_last_request_or_the_first_that_is_not_ok(names, statuses, outcomes):
    """Other requests in between change nothing; a group that never completes is invalid."""
    assert ended(played(*names, statuses=statuses)) == outcomes


def test_a_group_lasts_from_its_first_requests_start_to_its_last_requests_end():
    """Including the user's pauses; it starts at the intended start if its first request serves the turn."""
    one = played("cart", "pay", think_s=0.4)
    performing = gevent.spawn(one.user.perform, Due(-0.2))
    one.time.advance_to(2.0)
    performing.get()
    times_s = {row.series: MIDPOINT_US[row.bucket] / 1e6 for row in rows(one, 2.0) if row.endpoint == "checkout"}
    assert times_s["response"] == pytest.approx(0.8, rel=0.01)
    assert times_s["service"] == pytest.approx(0.6, rel=0.01)


@pytest.mark.parametrize(("think_s", "good"), [(0.4, 1), (0.6, 0)])
def test_a_group_has_its_own_deadline(think_s, good):
    """Its requests keep the scenario's."""
    one = played("cart", "pay", think_s=think_s)
    live(one, 1.9)
    counted = cells(one, 1.9)
    assert [counted[name]["good"] for name in ("checkout", "cart", "pay")] == [good, 1, 1]


def test_requests_are_counted_as_if_there_were_no_group():
    """A group is not a request, and changes no other count."""
    one = played("cart", "pay")
    live(one, 1.9)
    second = one.recorder._second
    assert ({name for name, _, _ in second.rows}, second.sent) == ({"cart", "pay"}, 2)


def test_missed_turns_are_missed_groups():
    """As many as the last turn began."""
    one = played("cart", "pay", takes_s=lambda number: 7.0 if number == 3 else 0.1)
    live(one, 20.0)
    counted = cells(one, 20.0)
    assert counted["checkout"][MISSED] == counted["cart"][MISSED] > 1


def test_a_user_stopped_between_two_requests_records_no_group():
    """At the end of a run many users are in the middle of a journey, which says nothing about the target."""
    one = played("cart", "pay", think_s=5.0)
    life = one.user.start(gevent.pool.Group())
    one.time.advance_to(2.0)
    one.user.stop(force=True)
    life.kill(block=False)
    one.time.advance_to(2.1)
    assert cells(one, 2.1)["checkout"] == {}


@pytest.mark.parametrize("sent", [0, 1])
def test_a_shortage_of_this_machine_ends_no_group_as_a_failure(sent):
    """Whether at the first request of the group or later."""
    one = played("cart", "pay")
    exchange = one.exchange

    def lacking(*of):
        if len(one.sent_s) >= sent:
            raise WantError("ports", "no free port")
        return exchange(*of)

    one.exchange = lacking
    live(one, 1.9)
    assert len(one.sent_s) == sent
    assert cells(one, 1.9)["checkout"] == {}


def test_a_first_request_without_an_answer_until_the_end_misses_turns_of_its_group_too():
    """No group was ever answered, but they were offered."""
    one = played("cart", "pay", takes_s=lambda _: 100.0)
    life = one.user.start(gevent.pool.Group())
    one.time.advance_to(11.0)
    one.user.stop(force=True)
    life.kill(block=False)
    one.time.advance_to(11.1)
    counted = cells(one, 11.1)
    assert counted["checkout"][MISSED] == counted["cart"][MISSED] > 2


def test_on_start_begins_no_group():
    """It is outside the plan."""
    one = played("cart", "pay")
    setting_up = gevent.spawn(one.user.tasks and shopping("cart", "pay"), one.user)
    one.time.advance_to(1.0)
    setting_up.get()
    assert not [row for row in rows(one, 1.0) if row.endpoint == "checkout"]


def test_a_group_cut_off_by_our_own_stop_is_not_recorded():
    """Its outcome is unknown."""
    one = played("cart", "pay", takes_s=lambda number: 100.0 if number == 2 else 0.1)
    life = one.user.start(Group())
    one.time.advance_to(1.0)
    one.user.stop(force=True)
    life.kill(block=False)
    one.time.advance_to(1.1)
    assert len(one.sent_s) == 2
    assert ends_of(one, 1.1) == {}


def test_a_group_ends_with_a_request_that_its_user_gives_up():
    """As a timeout, however the turn continues."""

    def impatient(user) -> None:
        call(user, "cart")
        paying = gevent.spawn(call, user, "pay")
        user.post.clock.sleep(0.5)
        paying.kill()

    one = PlayedUser(task=impatient, mix=MIX, groups=GROUPS, takes_s=lambda number: 100.0 if number == 2 else 0.1)
    assert ended(one) == {Outcome.TIMEOUT: 1}


def test_a_group_begun_between_two_turns_is_not_missed_with_either():
    """Another greenlet sends its first request; the next turn's answer, 4 s too slow, costs only two turns of login."""

    def shop(user) -> None:
        call(user, "login")
        if len(one.sent_s) == 1:
            gevent.spawn(lambda: (user.post.clock.sleep(0.5), call(user, "cart")))

    one = PlayedUser(task=shop, mix=MIX, groups=GROUPS, takes_s=lambda number: 6.0 if number == 3 else 0.1)
    live(one, 8.6)
    counted = cells(one, 8.6)
    assert one.sent_s == [0.5, 1.1, 2.5, 8.5]
    assert [counted[name][MISSED] for name in ("login", "cart", "checkout")] == [2, 0, 0]


def test_a_group_of_a_user_that_stops_when_throttled_ends_throttled_despite_retries():
    """It ended with the refusal; `invalid` is an error, and would need a wrong answer."""
    retries = {"times": 2, "back_off": "200 ms", "on": ["throttled"]}
    played = PlayedUser(
        task=lambda user: call(user, "cart"),
        statuses=[429],
        when_throttled="stop",
        expect_throttling=True,
        retries=retries,
        mix={"health": {"share": "100 %", "every": "2 s", "requests": ["cart", "pay"]}},
        groups={"checkout": {"requests": ["cart", "pay"], "deadline": "1 s"}},
    )
    live(played, 2.0)
    ends = [
        (row.outcome, row.count) for row in rows(played, 2.0) if (row.endpoint, row.series) == ("checkout", "response")
    ]
    assert ends == [(Outcome.THROTTLED, 1)]


def test_a_missed_burst_weighs_as_much_as_a_missed_turn():
    """All of the journey, and the groups it begins."""
    phases = [
        {"name": "steady", "duration": "4 s", "users": 1},
        {"name": "bursts", "users": 1, "burst": {"times": 4, "every": "2 s"}},
    ]
    one = played("cart", "pay", phases=phases, takes_s=lambda number: 5.0 if number == 6 else 0.1)
    live(one, 12.0)
    counted = cells(one, 12.0)
    assert [counted[name][MISSED] for name in ("cart", "pay", "checkout")] == [1, 1, 1]
