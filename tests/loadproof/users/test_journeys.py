"""Users whose tasks are journeys: several requests with their own names, the first of which serves the turn."""

from __future__ import annotations

import gevent
import pytest

from tests import unpatched  # noqa: F401  # isort: skip

from loadproof.histogram import MIDPOINT_US
from loadproof.outcome import BACKED_OFF, MISSED
from loadproof.plan.pacing import Due
from loadproof.rundir.rows import FOLLOWED, RETRY_KEPT, SENT_NOTHING, SET_OUT
from loadproof.users.sending import UndeclaredRequestError
from simulation.playeduser import PlayedUser
from tests.loadproof.users.recorded import MIX, NAMES, call, cells, live, rows


def shop(user) -> None:
    """Sends all three requests, each only after a good answer to the one before."""
    for name in NAMES:
        if not call(user, name):
            return


def test_each_request_is_counted_under_its_own_name():
    """Turns and time present are counted under the kind of user."""
    played = PlayedUser(task=shop, mix=MIX)
    live(played, 9.9)
    counted = cells(played, 9.9)
    assert {name: counted[name]["response"] for name in NAMES} == dict.fromkeys(NAMES, 5)
    assert [counted[name][FOLLOWED] for name in NAMES] == [0, 5, 5]
    assert counted["health"][SET_OUT] == 5
    assert counted["health"]["response"] == counted["health"][SENT_NOTHING] == 0


def test_the_first_request_is_due_at_the_turn_and_the_others_when_they_are_sent():
    """So that a slow login only affects its own response time."""
    played = PlayedUser(task=shop, mix=MIX, takes_s=lambda _: 0.3)
    performing = gevent.spawn(played.user.perform, Due(0.0))
    played.time.advance_to(2.0)
    performing.get()
    responses = {row.endpoint: MIDPOINT_US[row.bucket] / 1e6 for row in rows(played, 3.0) if row.series == "response"}
    assert responses == {name: pytest.approx(0.3, rel=0.01) for name in NAMES}


def test_turns_missed_because_the_target_stalled_count_against_each_request():
    """As often as the last journey sent each of them."""
    played = PlayedUser(task=shop, mix=MIX, takes_s=lambda number: 8.0 if number == 4 else 0.1)
    live(played, 20.0)
    counted = cells(played, 20.0)
    assert [counted[name][MISSED] for name in NAMES] == [pytest.approx(3, abs=1)] * 3
    assert counted["health"][MISSED] == 0


def test_a_journey_that_ends_early_does_not_count_as_a_turn_without_a_request():
    """Requests it never got to were never due."""
    played = PlayedUser(task=shop, mix=MIX, statuses=[200, 500])
    live(played, 1.9)
    counted = cells(played, 1.9)
    assert [counted[name]["response"] for name in NAMES] == [1, 1, 0]
    assert [counted[name][MISSED] for name in NAMES] == [0, 0, 0]
    assert (counted["health"][SET_OUT], counted["health"][SENT_NOTHING]) == (1, 0)


@pytest.mark.parametrize("name", ["checkout", ""])
def test_a_request_that_is_not_in_the_scenario_is_not_sent(name):
    """No threshold could apply to it; the message says what to add where."""
    raised: list[str] = []

    def wrong(user) -> None:
        with pytest.raises(UndeclaredRequestError) as error:
            call(user, name)
        raised.append(str(error.value))

    played = PlayedUser(task=wrong, mix=MIX)
    live(played, 1.0)
    assert played.sent_s == []
    assert raised == [f"request '{name or 'health'}' is not in the scenario: add it to mix.health.requests"]
    assert cells(played, 1.0)["health"][SENT_NOTHING] == 1


def test_in_plain_locust_a_request_may_have_any_name():
    """No scenario could list it."""
    played = PlayedUser(task=shop)
    played.post.leave()
    played.user.workload = played.post.workload()
    played.user._recorder = played.user.workload.recorder
    performing = gevent.spawn(played.user.perform, Due(0.0))
    played.time.advance_to(2.0)
    performing.get()
    assert len(played.sent_s) == 3


def test_each_request_has_its_own_back_off_and_its_own_promise():
    """A successful login doesn't end the back-off of refused payments, nor test a promise about them."""
    refusal = {"retry-after": "1"}
    played = PlayedUser(task=shop, mix=MIX, statuses=[200, 200, 429, 200, 200, 429], headers=refusal, seconds=60)
    played.user.random.uniform = lambda _, most: most
    live(played, 30.0)
    waits = [later - earlier for earlier, later in zip(played.sent_s[2::3], played.sent_s[3::3], strict=False)]
    # 1 s of Retry-After and 1 s of back-off; then, after a refusal of the same request, 2 s of it.
    assert [round(wait, 1) for wait in waits[:3]] == [2.1, 3.1, 1.8]
    counted = cells(played, 30.0)
    assert (counted["pay"][RETRY_KEPT], counted["login"][RETRY_KEPT]) == (1, 0)
    assert sum(counted[name][BACKED_OFF] for name in NAMES) > 0
    assert counted["pay"]["response"] == counted["login"]["response"]
