"""Users that send again what failed: when, how often, and what each attempt counts as."""

from __future__ import annotations

import gevent
import pytest
from gevent.pool import Group

from tests import unpatched  # noqa: F401  # isort: skip

from loadproof.outcome import Outcome
from loadproof.rundir.rows import FOLLOWED, LATE_MS, RETRIED
from simulation.playeduser import PlayedUser
from tests.loadproof.users.recorded import MIX, call, live, rows

TWICE = {"times": 2, "back_off": "200 ms"}


def counts_of(played: PlayedUser, until_s: float) -> dict[tuple[str, str], int]:
    """By series and outcome, of what only counts and of response times."""
    counts: dict[tuple[str, str], int] = {}
    for row in rows(played, until_s):
        if row.series in {FOLLOWED, RETRIED, "response"}:
            counts[row.series, row.outcome] = counts.get((row.series, row.outcome), 0) + row.count
    return counts


def test_a_failed_request_is_sent_again_after_growing_waits():
    """Each attempt is a request of its own, with its own outcome; what succeeds is not sent again."""
    played = PlayedUser(statuses=[500, 503, 200], retries=TWICE)
    live(played, 2.4)
    assert played.sent_s == [0.5, 0.8, 1.3]
    assert counts_of(played, 2.4) == {
        ("response", Outcome.SERVER_ERROR): 2,
        ("response", Outcome.OK): 1,
        (FOLLOWED, ""): 2,
        (RETRIED, ""): 2,
    }


def test_after_the_last_retry_the_task_goes_on_without_a_reply():
    """No more than the scenario says, and the next turn begins with the first wait."""
    seen = []

    def ask(user) -> None:
        seen.append(user.send(user.api.ask_health(), lambda _: None))

    played = PlayedUser(task=ask, statuses=[500] * 6, retries=TWICE)
    live(played, 4.0)
    assert played.sent_s == [0.5, 0.8, 1.3, 2.5, 2.8, 3.3]
    assert seen == [None, None]


@pytest.mark.parametrize(("status", "on"), [(403, ["server_error"]), (500, ["timeout", "connection"])])
def test_only_what_the_scenario_names_is_sent_again(status, on):
    """A refusal is no failure unless it says so."""
    played = PlayedUser(statuses=[status], retries=TWICE | {"on": on})
    live(played, 2.0)
    assert played.sent_s == [0.5]


def test_a_retry_after_is_waited_for():
    """If it asks for longer than the back-off, and users honour it; they add what they always add."""
    played = PlayedUser(statuses=[429], headers={"retry-after": "1"}, retries=TWICE | {"on": ["throttled"]})
    live(played, 4.0)
    assert played.sent_s[:2] == [0.5, pytest.approx(2.1, abs=0.51)]
    assert played.sent_s[1] >= 1.6


def test_no_wait_is_longer_than_the_longest_and_jitter_only_shortens():
    """A half of each wait at most."""
    retries = {"times": 4, "back_off": "100 ms", "factor": 10.0, "most": "300 ms", "jitter": "50 %"}
    played = PlayedUser(statuses=[500] * 5, retries=retries, takes_s=lambda _: 0.0)
    live(played, 2.4)
    waits_s = [later - earlier for earlier, later in zip(played.sent_s, played.sent_s[1:5], strict=False)]
    assert len(waits_s) == 4
    assert 0.05 <= waits_s[0] <= 0.1
    assert all(0.15 <= wait_s <= 0.3 for wait_s in waits_s[1:])


def test_the_turns_that_retries_take_are_missed_for_the_targets_sake():
    """Its failures kept the user from sending: lateness would be ours."""
    played = PlayedUser(statuses=[500], retries={"times": 1, "back_off": "3 s"})
    assert played.live(7.0)["missed"] == 1
    assert played.sent_s == [0.5, 3.6, 3.7, 6.2]


def test_a_group_goes_on_with_the_retry_that_succeeds_and_has_its_time():
    """It ends with what its last attempt came to."""

    def shop(user) -> None:
        call(user, "cart")
        call(user, "pay")

    groups = {"checkout": {"requests": ["cart", "pay"], "deadline": "700 ms"}}
    for statuses, ends in (([500, 200, 200], {Outcome.OK: 1}), ([200, 500, 500, 500], {Outcome.SERVER_ERROR: 1})):
        played = PlayedUser(task=shop, statuses=statuses, mix=MIX, groups=groups, retries=TWICE)
        live(played, 2.4)
        ended = [row for row in rows(played, 2.4) if row.endpoint == "checkout" and row.series == "response"]
        assert {row.outcome: row.count for row in ended} == ends


def test_requests_at_a_time_have_tries_of_their_own():
    """What another greenlet of the user sends meanwhile is no retry, and takes none away."""

    def at_a_time(user) -> None:
        gevent.joinall([gevent.spawn(call, user, "cart"), gevent.spawn(call, user, "pay")])

    # The cart fails twice and is sent again; the payment, which is sent with it, is answered at once.
    played = PlayedUser(task=at_a_time, mix=MIX, statuses=[500, 200, 500, 200], retries=TWICE)
    live(played, 2.4)
    by_name: dict[str, dict[str, int]] = {}
    for row in rows(played, 2.4):
        if row.series in {RETRIED, "response"}:
            counts = by_name.setdefault(row.endpoint, {})
            counts[row.outcome or row.series] = counts.get(row.outcome or row.series, 0) + row.count
    assert by_name == {"cart": {"server_error": 2, "ok": 1, RETRIED: 2}, "pay": {"ok": 1}}


def test_a_failed_renewal_of_the_login_is_no_failure_of_the_request():
    """Which was refused, and that has no retry."""

    def log_in_first(user) -> None:
        user.login(user.api.call("POST", "/login", name="login"), lambda _: "token")

    played = PlayedUser(task=lambda user: call(user, "cart"), mix=MIX, statuses=[200, 401, 500], retries=TWICE)
    played.user.on_start = lambda: log_in_first(played.user)
    live(played, 2.4)
    ended = {(row.endpoint, row.outcome): row.count for row in rows(played, 2.4) if row.series == "response"}
    assert ended == {("login", "ok"): 1, ("cart", "rejected"): 1, ("login", "server_error"): 1}


@pytest.mark.parametrize(
    ("status", "headers", "retries"),
    [
        (500, {}, {"times": 5, "back_off": "12 s"}),
        (429, {"retry-after": "25"}, {"times": 5, "back_off": "1 s", "on": ["throttled"]}),
    ],
)
def test_a_wait_before_a_retry_that_the_end_cuts_off_is_the_targets(status, headers, retries):
    """A target that fails to the end keeps users waiting to the end; none of it is lost for our own reasons."""
    played = PlayedUser(statuses=[status] * 9, headers=headers, retries=retries)
    played.user.start(Group())
    played.time.advance_to(30.0)
    played.user.stop(force=True)
    played.time.advance_to(30.0)
    counted = played.counted(30.0)
    assert counted[LATE_MS] == 0
    assert counted["missed"] == 14
