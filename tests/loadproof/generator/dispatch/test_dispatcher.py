"""The open model's single user: each worker's arrivals are sent by API users as their clients, all of them once."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from gevent.pool import Group

from tests.unpatched import locust  # isort: skip

from locust import task

from loadproof.generator.dispatch.dispatcher import ArrivalDispatcher
from loadproof.http.answers import Answer
from loadproof.http.messages import ConnectionFailedError
from loadproof.outcome import DROPPED
from loadproof.recording.second import Moments, tables_of
from loadproof.users.post import Post
from loadproof.users.user import ApiUser
from simulation.clock import FakeTime
from simulation.rundirs import manifest, open_scenario

if TYPE_CHECKING:
    from loadproof.http.messages import Request, Timing

LEAD_S = 0.5
PLAN = {
    "client_count": 10,
    "mix": {"balance": {"share": "60 %"}, "health": {"share": "40 %"}},
    "phases": [{"name": "flat", "duration": "20 s", "rate": "10 rps"}],
}


class Network:
    """Answers each request after `answer_s`; notes when each came, and on which connection."""

    def __init__(self, time: FakeTime, answer_s: float, status: int = 200) -> None:
        self.clock = time.clock()
        self.answer_s = answer_s
        self.status = status
        self.came: list[tuple[float, int, str]] = []

    def connect(self, client: Any, _: str) -> Any:
        network = self

        class Connected:
            def exchange(self, request: Request, timing: Timing) -> Answer:
                network.came.append((network.clock.now_s(), client.index, request.path))
                timing.began_s = timing.sent_s = network.clock.now_s()
                network.clock.sleep(network.answer_s)
                timing.ended_s = network.clock.now_s()
                return Answer(network.status, {}, b"")

        return Connected()


class Worker:
    """One worker's process with its dispatcher, started at second 0."""

    def __init__(self, *, rank: int = 0, workers: int = 1, answer_s: float = 0.05, **changes: Any) -> None:
        self.time = FakeTime()
        self.network = Network(self.time, answer_s, changes.pop("status", 200))
        task_of, on_start = changes.pop("task", None), changes.pop("on_start", None)
        post = self.post = Post(self.time.clock(), self.network.connect)

        def send(user: ApiUser) -> None:
            user.send(user.api.ask_health(), lambda _: None)

        own = {"post": post, "tasks": [task(task_of or send)], "host": "http://a"}
        own |= {"on_start": on_start} if on_start else {}
        classes = [type(name, (ApiUser,), own | {"endpoint": name}) for name in ("balance", "health")]
        dispatcher = type("Dispatcher", (ArrivalDispatcher,), {"post": post, "clock": self.time.clock()})
        self.environment: Any = locust.env.Environment(user_classes=[*classes, dispatcher])
        self.errors: list[Exception] = []
        self.environment.events.user_error.add_listener(lambda exception, **_: self.errors.append(exception))
        self.work = post.assign(manifest(open_scenario(**PLAN | changes)), rank=rank, workers=workers)
        self.work.begin(LEAD_S)
        self.dispatcher = dispatcher(self.environment)
        self.running = self.dispatcher.start(Group())

    def report(self) -> Counter[str]:
        """The recorded outcomes and dropped arrivals."""
        second = self.work.recorder._second
        counts: Counter[str] = Counter()
        for (_, _, outcome), rows in second.rows.items():
            counts[outcome] += len(rows) // len(Moments._fields)
        for (_, _, _, _, series, _), count in second.cells.items():
            counts[series] += count
        return counts

    def set_up(self) -> int:
        """The number of requests sent outside the plan."""
        return sum(len(rows) // len(Moments._fields) for rows in self.work.recorder._second.setup_rows.values())

    def finish(self) -> float:
        self.time.advance_until(self.running.ready, within_s=200)
        return self.time.now_s - 0.5


def test_every_arrival_of_the_plan_is_sent_on_time():
    """Two hundred in twenty seconds, without lag; then the user ends."""
    worker = Worker()
    over_s = worker.finish()
    assert sum(worker.report().values()) == 200
    planned = list(worker.dispatcher._arrivals())
    assert len(planned) == 200
    assert [at_s - 0.5 for at_s, _, _ in worker.network.came] == pytest.approx(
        [arrival.time_s for arrival in planned], abs=1e-6
    )
    assert [client for _, client, _ in worker.network.came] == [arrival.client for arrival in planned]
    assert over_s == pytest.approx(planned[-1].time_s + 0.05, abs=1e-6)


def test_workers_share_the_arrivals():
    """Together they send the same as one: each arrival once, and each client always from the same worker."""
    alone = Worker()
    alone.finish()
    together = []
    for rank in range(3):
        worker = Worker(rank=rank, workers=3)
        worker.finish()
        assert {client % 3 for _, client, _ in worker.network.came} == {rank}
        together += worker.network.came
    assert [seen[1] for seen in sorted(together)] == [seen[1] for seen in alone.network.came]


@pytest.mark.slow
def test_users_of_a_client_are_reused():
    """As many as it has requests in flight at the same time."""
    quick, slow = Worker(answer_s=0.001), Worker(answer_s=30.0)
    for worker in (quick, slow):
        worker.finish()
    made = [sum(counts.total() for counts in worker.dispatcher._made) for worker in (quick, slow)]
    assert made[0] <= 20
    assert made[1] == 200


def log_in(user: ApiUser) -> None:
    user.send(user.api.ask_health(), lambda _: None)


def test_users_are_set_up_before_second_0_and_none_twice():
    """The first user of each client and endpoint; the plan is sent as if there were no setup."""
    worker = Worker(on_start=log_in)
    worker.finish()
    times = [at_s - LEAD_S for at_s, _, _ in worker.network.came]
    assert sum(at_s < 0 for at_s in times) == 20
    planned = [arrival.time_s for arrival in worker.dispatcher._arrivals()]
    assert sorted(times)[20:] == pytest.approx(planned, abs=1e-6)
    assert worker.set_up() == 20
    assert sum(worker.report().values()) == 200


def test_each_worker_sets_up_its_own_clients_and_looks_no_further():
    """Together they set up all clients; the plan isn't searched to its end for more."""
    looked = []
    for rank in range(3):
        worker = Worker(rank=rank, workers=3, on_start=log_in)
        arrivals = worker.dispatcher._arrivals
        worker.dispatcher._arrivals = lambda arrivals=arrivals: (looked.append(each) or each for each in arrivals())
        worker.finish()
        assert worker.set_up() == 2 * len(range(rank, 10, 3))
    assert len(looked) < 200


def test_a_stopped_run_sets_up_no_more_users():
    """Of twice as many, thirty-two are being set up; the others are left alone."""
    worker = Worker(on_start=log_in, answer_s=5.0, client_count=40)
    worker.time.advance_to(LEAD_S + 1.0)
    worker.dispatcher.stop()
    worker.finish()
    came = len(worker.network.came)
    worker.time.advance_to(60.0)
    assert len(worker.network.came) == came < 80


def test_setup_during_the_run_is_part_of_no_response_time():
    """For clients of a slow target, which need several users each."""
    worker = Worker(on_start=log_in, answer_s=2.0)
    worker.finish()
    assert worker.set_up() > 20
    recorder = worker.work.recorder
    for moments in tables_of(recorder._second.rows, recorder.start_s).values():
        assert (moments.ended_s - moments.due_s).max() == pytest.approx(2.0, abs=1e-6)


def test_an_on_start_that_raises_is_reported_and_costs_no_arrivals():
    """Like an error in a task."""
    worker = Worker(on_start=lambda _: 1 / 0)
    worker.finish()
    assert len(worker.errors) == 20
    assert sum(worker.report().values()) == 200


def test_arrivals_that_find_all_allowed_users_busy_are_dropped_and_counted():
    """The limit is divided among the workers."""
    worker = Worker(rank=1, workers=2, answer_s=1000.0, max_in_flight=30)
    worker.time.advance_to(20.6)
    assert worker.work.recorder.in_flight == 15
    assert worker.report() == Counter({DROPPED: len(list(worker.dispatcher._arrivals())) - 15})


@pytest.mark.parametrize(
    ("answer_s", "pause_s", "is_the_targets"), [(5.0, 2.0, True), (0.05, 20.0, False), (0.9, 6.0, False)]
)
def test_arrivals_dropped_while_users_pause_are_the_targets_if_it_made_most_journeys_late(
    answer_s, pause_s, is_the_targets
):
    """Users that pause aren't free; but room for their pauses is the scenario's to leave."""

    def shop(user: ApiUser) -> None:
        user.send(user.api.ask_health(), lambda _: None)
        user.pause(pause_s)
        user.send(user.api.ask_health(), lambda _: None)

    worker = Worker(answer_s=answer_s, max_in_flight=60, task=shop, deadline="1 s")
    recorder: Any = worker.work.recorder
    seen: list[bool] = []
    drop = recorder.dropped

    def dropped(name: str, **how: Any) -> None:
        recorder._second.peak_in_flight = 0
        drop(name, **how)
        if recorder.pausing:
            seen.append(recorder._second.peak_in_flight == 60)

    recorder.dropped = dropped
    worker.time.advance_to(20.4)
    assert len(seen) > 10
    assert set(seen) == {is_the_targets}


def test_a_dropped_arrival_drops_its_first_request_and_the_groups_that_begin_with_it():
    """Requests that its journey never got to were never due."""
    mix = {
        "balance": {"share": "60 %", "requests": ["login", "cart", "pay"]},
        "health": {"share": "40 %"},
    }
    groups = {
        "all": {"requests": ["login", "cart", "pay"], "deadline": "2 s"},
        "checkout": {"requests": ["cart", "pay"], "deadline": "2 s"},
    }

    def log_in(user: ApiUser) -> None:
        user.send(user.api.call("GET", "/login", name="login" if user.endpoint == "balance" else ""), lambda _: None)

    worker = Worker(answer_s=1000.0, max_in_flight=1, mix=mix, groups=groups, task=log_in)
    worker.time.advance_to(20.6)
    dropped = Counter()
    for (_, _, endpoint, outcome, _, _), count in worker.work.recorder._second.cells.items():
        dropped[endpoint] += count if outcome == DROPPED else 0
    assert dropped["all"] == dropped["login"] > 100
    assert dropped["health"] > 60
    assert {name for name, count in dropped.items() if count} == {"all", "login", "health"}


@pytest.mark.slow
def test_a_user_that_has_its_answer_but_still_yields_is_not_free():
    """A refused connection fails without waiting, so its user yields, and more arrivals are due meanwhile."""

    def refused(*_: object) -> Answer:
        raise ConnectionFailedError("refused")

    worker = Worker(max_in_flight=3)
    worker.network.connect = lambda *_: SimpleNamespace(exchange=refused)
    worker.work._connect = worker.network.connect
    worker.time.call_at(1.5, lambda: worker.time.spend(5.0))
    worker.time.advance_to(8.0)
    assert worker.report()[DROPPED] > 0
    assert worker.work.recorder._second.peak_in_flight == 3


def test_a_stop_sends_no_more_and_waits_for_the_answers():
    """As with Locust's stop timeout."""
    worker = Worker(answer_s=2.0)
    worker.time.advance_to(5.5)
    sent = len(worker.network.came)
    worker.dispatcher.stop()
    assert worker.finish() < 7.1
    assert len(worker.network.came) == sent
    assert worker.report() == Counter({"ok": sent})


def test_a_forced_stop_cuts_off_requests_in_flight():
    """Each is recorded as abandoned."""
    worker = Worker(answer_s=1000.0)
    worker.time.advance_to(5.5)
    worker.dispatcher.stop(force=True)
    worker.time.advance_to(5.6)
    assert worker.running.ready()
    assert worker.report() == Counter({"abandoned": len(worker.network.came)})


def test_an_error_in_a_task_costs_its_arrival_and_is_reported_as_in_locust():
    """The other arrivals are sent."""
    made = []

    def mistaken(user: ApiUser) -> None:
        made.append(user)
        if len(made) % 2:
            raise ZeroDivisionError

    worker = Worker(task=mistaken)
    worker.finish()
    assert len(made) == 200
    assert [type(error) for error in worker.errors] == [ZeroDivisionError] * 100


def test_a_throttled_user_that_would_stop_goes_on():
    """`when_throttled: stop` ends a waiting user; an arrival doesn't wait."""
    worker = Worker(status=429, when_throttled="stop", expect_throttling=True)
    worker.finish()
    assert worker.report()["throttled"] == 200
    assert worker.errors == []
