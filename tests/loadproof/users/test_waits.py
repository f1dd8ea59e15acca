"""A user's waits are counted once and for what they were: a back-off, a request given up, or nobody's fault."""

from __future__ import annotations

import gevent
import pytest

from tests import unpatched  # noqa: F401  # isort: skip

from locust.exception import StopUser

from loadproof.histogram import MIDPOINT_US
from loadproof.http.messages import RequestTimeoutError
from loadproof.outcome import BACKED_OFF, MISSED, SETUP, Outcome
from loadproof.rundir.rows import LATE_MS, RETRY_BROKEN, RETRY_KEPT, RETRY_MISSING, RETRY_UNREADABLE, SENT_NOTHING
from simulation.playeduser import PlayedUser, ask
from tests.loadproof.users.recorded import MIX, NAMES, call, cells, live, rows


def refused(*statuses: int, how: str = "honour", **played) -> PlayedUser:
    """A user refused with a Retry-After of 6 s, which is how long it waits."""
    one = PlayedUser(
        statuses=statuses, headers={"retry-after": "6"}, when_throttled=how, expect_throttling=True, **played
    )
    one.user.random.uniform = lambda low, _: low
    return one


def test_a_user_that_leaves_while_backing_off_has_skipped_the_turns_until_then():
    """From the one due at 2.5 s to 6.5 s."""
    assert refused(429).live(6.5)[BACKED_OFF] == 2


def test_each_of_several_back_offs_is_counted():
    """4.1 s from 2.5 s on, and 4.1 s from 8.6 s on."""
    played = refused(429, 429)
    counted = played.live(14.0)
    assert played.sent_s == [0.5, 6.6, 12.7]
    assert counted[BACKED_OFF] == 4


def test_a_slow_refusal_is_not_part_of_the_back_off_before_it():
    """Backed off from 2.5 s to 6.6 s and from 9.6 s to 15.6 s; in between it waited for 3 s, 1 s beyond its turn."""
    played = refused(429, 429, takes_s=lambda number: 3.0 if number == 2 else 0.1)
    counted = played.live(16.0)
    assert played.sent_s == [0.5, 6.6, 15.6]
    assert counted[BACKED_OFF] == 5


def test_a_user_that_backs_off_before_its_first_turn_skips_one_request_per_turn():
    """However many its setup sent."""
    played = refused(200, 429)
    user = played.user

    def on_start() -> None:
        ask(user)
        ask(user)

    user.on_start = on_start
    assert played.live(4.7)[BACKED_OFF] == 2


def shop(user) -> None:
    """Send the journey's requests until one is refused."""
    for name in NAMES:
        if call(user, name) is None:
            return


@pytest.mark.parametrize("until_s", [6.5, 9.5], ids=["cut-off", "ended"])
@pytest.mark.parametrize(
    ("statuses", "skipped"),
    [((429, 429), [2, 0, 0]), ((200, 200, 429), [2, 2, 2])],
    ids=["refused-first", "refused-last"],
)
def test_each_skipped_turn_counts_as_the_latest_one(statuses, skipped, until_s):
    """As far as that got, whether the back-off ends before the plan or not."""
    played = refused(*statuses, task=shop, mix=MIX)
    live(played, until_s)
    counted = cells(played, until_s)
    assert [counted[name][BACKED_OFF] for name in NAMES] == skipped


def test_what_on_stop_sends_is_part_of_no_skipped_turn():
    """Its name needn't be in the scenario, so no threshold would read the skipped turns."""
    played = refused(429, task=lambda user: call(user, "login"), mix=MIX)
    played.user.on_stop = lambda: call(played.user, "logout")
    live(played, 6.5)
    played.time.advance_to(7.0)
    counted = cells(played, 7.0)
    assert len(played.sent_s) == 2
    assert (counted["login"][BACKED_OFF], counted["health"][BACKED_OFF]) == (2, 0)


def test_what_is_sent_during_a_back_off_is_part_of_no_skipped_turn():
    """Another greenlet of the user goes on."""

    def and_more(user) -> None:
        call(user, "login")
        gevent.spawn(later, user)

    def later(user) -> None:
        user.post.clock.sleep(3.0)
        call(user, "cart")

    played = refused(429, task=and_more, mix=MIX)
    live(played, 6.5)
    counted = cells(played, 6.5)
    assert len(played.sent_s) == 2
    assert [counted[name][BACKED_OFF] for name in NAMES] == [2, 0, 0]


@pytest.mark.parametrize(
    ("headers", "series"),
    [({}, RETRY_MISSING), ({"retry-after": "soon"}, RETRY_UNREADABLE), ({"retry-after": "0"}, RETRY_KEPT)],
)
def test_what_a_refusal_of_the_setup_promised_belongs_to_the_setup(headers, series):
    """The refusal isn't one of the planned requests either."""
    played = PlayedUser(statuses=[429], headers=headers, when_throttled="ignore", expect_throttling=True)
    played.user.on_start = lambda: ask(played.user)
    live(played, 4.0)
    assert [(row.phase, row.count) for row in rows(played, 4.0) if row.series == series] == [(SETUP, 1)]


def test_a_user_that_stops_for_good_skips_its_turns_once():
    """Even if its task sends again: 29.4 s until the end of the plan, with a turn every 2 s."""

    def twice(user) -> None:
        for _ in range(2):
            with pytest.raises(StopUser):
                ask(user)
        raise StopUser

    played = refused(429, 429, how="stop", task=twice)
    assert played.live(20.0)[BACKED_OFF] == 15


def test_without_a_retry_after_nothing_is_added_to_the_jitter():
    """The next turn is due after 0.4 s."""
    played = PlayedUser(
        statuses=[429], expect_throttling=True, mix={"health": {"share": "100 %", "every": "500 ms"}}, seconds=10
    )
    played.user.random.uniform = lambda low, _: low
    played.live(2.2)
    assert played.sent_s == [0.5, 1.0, 1.5, 2.0]


@pytest.mark.parametrize(
    ("statuses", "promised", "kept", "broken"),
    [((429, 200), "3", 0, 0), ((429, 429, 200), "3", 0, 0), ((429, 429, 429, 200), "1", 1, 2)],
)
def test_a_promise_is_not_tested_before_its_moment(statuses, promised, kept, broken):
    """It counts from the end of the refusal, even if a request is sent sooner."""
    headers = {"retry-after": promised}
    played = PlayedUser(statuses=statuses, headers=headers, when_throttled="ignore", expect_throttling=True)
    live(played, 8.0)
    counted = cells(played, 8.0)["health"]
    assert (counted[RETRY_KEPT], counted[RETRY_BROKEN]) == (kept, broken)


def gives_up(user) -> None:
    """Gives up after 6 s, of which the connection took one."""
    asking = gevent.spawn(ask, user)
    user.post.clock.sleep(6.0)
    asking.kill()


class Connecting(PlayedUser):
    """A user of a target that accepts slowly and never answers; or that isn't even connected to."""

    begins = True

    def exchange(self, request, timing):
        if not self.begins:
            self.clock.sleep(100.0)
        timing.began_s = self.clock.now_s()
        self.clock.sleep(1.0)
        return super().exchange(request, Late(timing))


class Late:
    """A timing whose request began before it was sent."""

    def __init__(self, timing) -> None:
        object.__setattr__(self, "timing", timing)

    def __setattr__(self, name: str, value: float) -> None:
        if name != "began_s":
            setattr(self.timing, name, value)


def test_a_request_given_up_by_the_users_own_code_was_waited_for_until_then():
    """The turns of 4 s are the target's fault, and none of the time is ours."""
    played = PlayedUser(task=gives_up, takes_s=lambda _: 100.0)
    counted = played.live(6.6)
    assert (counted[MISSED], counted[LATE_MS]) == (2, 0)


@pytest.mark.parametrize(
    ("begins", "times_s"),
    [(True, {"response": 6.0, "service": 5.0, "lag": 0.0}), (False, {"response": 6.0, "service": 0.0, "lag": 6.0})],
)
def test_a_request_given_up_by_the_users_own_code_keeps_its_times(begins, times_s):
    """From its turn, and from its first byte; one that never began was late."""
    played = Connecting(task=gives_up, takes_s=lambda _: 100.0)
    played.begins = begins
    live(played, 6.6)
    seen = {row.series: MIDPOINT_US[row.bucket] / 1e6 for row in rows(played, 6.6) if row.outcome == Outcome.TIMEOUT}
    assert {series: seen[series] for series in times_s} == pytest.approx(times_s, rel=0.01, abs=0.001)


def told_of(played: PlayedUser, until_s: float) -> list[dict]:
    """The events fired by Locust."""
    told: list[dict] = []
    played.user.environment.events.request.add_listener(lambda **event: told.append(event))
    live(played, until_s)
    return told


def test_a_request_given_up_names_the_cause():
    """With the exception's type, and without the length of an answer."""
    (event,) = told_of(PlayedUser(task=gives_up, takes_s=lambda _: 100.0), 6.6)
    assert isinstance(event["exception"], RequestTimeoutError)
    assert "given up by the user's own code (GreenletExit)" in str(event["exception"])
    assert (event["response"], event["response_length"]) == (None, 0)


def test_a_request_without_an_answer_has_no_bytes():
    """In Locust's own statistics, which are fed with its size."""
    played = PlayedUser(task=gives_up, takes_s=lambda _: 100.0)
    sizes: list[int] = []
    finished = played.recorder.finished
    played.recorder.finished = lambda *what: (sizes.append(what[-1]), finished(*what))
    live(played, 6.6)
    assert sizes == [0]


def test_a_user_stopped_within_its_pace_was_not_late():
    """Its answer took 6 s, the last 5.5 s of which were not planned."""

    def once(user) -> None:
        ask(user)
        raise StopUser

    played = PlayedUser(task=once, takes_s=lambda _: 6.0)
    played.user.start(gevent.pool.Group())
    played.time.advance_to(1.0)
    played.user.stop()
    played.time.advance_to(8.0)
    counted = played.counted(8.0)
    assert (counted[MISSED], counted[LATE_MS]) == (0, 0)


def test_requests_after_a_turn_do_not_make_up_for_turns_that_sent_nothing():
    """There are five such turns, whose requests another greenlet sends."""
    played = PlayedUser(task=lambda user: gevent.spawn(ask, user))
    live(played, 9.9)
    assert len(played.sent_s) == 5
    assert cells(played, 9.9)["health"][SENT_NOTHING] == 5
