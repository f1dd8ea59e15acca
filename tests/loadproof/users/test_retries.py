"""Users that retry failed requests: when, how often, and how each attempt is counted."""

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
    """Counters and response times, counted by series and outcome."""
    counts: dict[tuple[str, str], int] = {}
    for row in rows(played, until_s):
        if row.series in {FOLLOWED, RETRIED, "response"}:
            counts[row.series, row.outcome] = counts.get((row.series, row.outcome), 0) + row.count
    return counts


def test_a_failed_request_is_retried_after_growing_waits():
    """Each attempt is a request with its own outcome; a success is not sent again."""
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
    """There are no more retries than the scenario says, and the next turn starts again with the first wait."""
    seen = []

    def ask(user) -> None:
        seen.append(user.send(user.api.ask_health(), lambda _: None))

    played = PlayedUser(task=ask, statuses=[500] * 6, retries=TWICE)
    live(played, 4.0)
    assert played.sent_s == [0.5, 0.8, 1.3, 2.5, 2.8, 3.3]
    assert seen == [None, None]


@pytest.mark.parametrize(("status", "on"), [(403, ["server_error"]), (500, ["timeout", "connection"])])
def test_only_the_outcomes_in_the_scenario_are_retried(status, on):
    """A refusal is retried only if the scenario says so."""
    played = PlayedUser(statuses=[status], retries=TWICE | {"on": on})
    live(played, 2.0)
    assert played.sent_s == [0.5]


def test_a_retry_after_is_waited_for():
    """If it asks for longer than the back-off, and users honour it; they add their usual jitter."""
    played = PlayedUser(statuses=[429], headers={"retry-after": "1"}, retries=TWICE | {"on": ["throttled"]})
    live(played, 4.0)
    assert played.sent_s[:2] == [0.5, pytest.approx(2.1, abs=0.51)]
    assert played.sent_s[1] >= 1.6


def test_waits_never_exceed_the_maximum_and_jitter_only_shortens_them():
    """By at most half of each wait."""
    retries = {"times": 4, "back_off": "100 ms", "factor": 10.0, "most": "300 ms", "jitter": "50 %"}
    played = PlayedUser(statuses=[500] * 5, retries=retries, takes_s=lambda _: 0.0)
    live(played, 2.4)
    waits_s = [later - earlier for earlier, later in zip(played.sent_s, played.sent_s[1:5], strict=False)]
    assert len(waits_s) == 4
    assert 0.05 <= waits_s[0] <= 0.1
    assert all(0.15 <= wait_s <= 0.3 for wait_s in waits_s[1:])


def test_turns_spent_on_retries_are_the_targets_fault():
    """Its failures kept the user from sending; lateness would be ours."""
    played = PlayedUser(statuses=[500], retries={"times": 1, "back_off": "3 s"})
    assert played.live(7.0)["missed"] == 1
    assert played.sent_s == [0.5, 3.6, 3.7, 6.2]


def test_a_group_continues_with_a_successful_retry_and_includes_its_time():
    """Its outcome comes from the last attempt."""

    def shop(user) -> None:
        call(user, "cart")
        call(user, "pay")

    groups = {"checkout": {"requests": ["cart", "pay"], "deadline": "700 ms"}}
    for statuses, ends in (([500, 200, 200], {Outcome.OK: 1}), ([200, 500, 500, 500], {Outcome.SERVER_ERROR: 1})):
        played = PlayedUser(task=shop, statuses=statuses, mix=MIX, groups=groups, retries=TWICE)
        live(played, 2.4)
        ended = [row for row in rows(played, 2.4) if row.endpoint == "checkout" and row.series == "response"]
        assert {row.outcome: row.count for row in ended} == ends


def test_concurrent_requests_have_separate_retries():
    """A request that another greenlet of the user sends meanwhile is no retry, and uses none up."""

    def at_a_time(user) -> None:
        gevent.joinall([gevent.spawn(call, user, "cart"), gevent.spawn(call, user, "pay")])

    # The cart fails twice and is retried; the payment, sent at the same time, is answered at once.
    played = PlayedUser(task=at_a_time, mix=MIX, statuses=[500, 200, 500, 200], retries=TWICE)
    live(played, 2.4)
    by_name: dict[str, dict[str, int]] = {}
    for row in rows(played, 2.4):
        if row.series in {RETRIED, "response"}:
            counts = by_name.setdefault(row.endpoint, {})
            counts[row.outcome or row.series] = counts.get(row.outcome or row.series, 0) + row.count
    assert by_name == {"cart": {"server_error": 2, "ok": 1, RETRIED: 2}, "pay": {"ok": 1}}


def test_a_failed_renewal_of_the_login_does_not_count_as_a_failure_of_the_request():
    """The request was rejected, which isn't retried."""

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
def test_a_wait_before_a_retry_cut_off_by_the_end_is_the_targets_fault(status, headers, retries):
    """A target that fails until the end keeps users waiting until the end; no time is lost through our own fault."""
    played = PlayedUser(statuses=[status] * 9, headers=headers, retries=retries)
    played.user.start(Group())
    played.time.advance_to(30.0)
    played.user.stop(force=True)
    played.time.advance_to(30.0)
    counted = played.counted(30.0)
    assert counted[LATE_MS] == 0
    assert counted["missed"] == 14
