"""What counts as setup in the life of a user that knows nothing of loadproof, and what belongs to the plan."""

from __future__ import annotations

import time

from tests.unpatched import locust  # isort: skip # noqa: F401 - before what it patches

import gevent
import pytest
from locust import constant, constant_pacing, task
from locust.exception import StopUser
from locust.user.task import TaskSet

from loadproof.generator.plainlocust.entries import Entries
from loadproof.generator.plainlocust.lives import PlainRequest
from loadproof.outcome import Outcome
from loadproof.users.post import Post
from simulation.rundirs import manifest, scenario
from tests.loadproof.generator.plainlocust.calling import Calling
from tests.loadproof.generator.plainlocust.conftest import PHASES

pytestmark = pytest.mark.slow
"""Each user runs for some tenths of a second."""


PLAN_US = 600_000


def set_up(journal, request):
    """The number of setup requests within the plan: users in these tests end shortly after it."""
    return sum((row.phase, row.request) == ("setup", request) and int(row.sent_us) < PLAN_US for row in journal)


def test_a_user_that_logs_in_again_is_still_at_work(follow):
    """Its own code calls on_stop and on_start: later requests belong to the plan."""

    class User(Calling):
        turns = 0

        @task
        def ask(self):
            self.turns += 1
            if self.turns == 2:
                self.on_stop()
                self.on_start()
            self.call(exception=ValueError("500"))

        def on_stop(self):
            self.call("logout")

    counted = follow(User)
    assert set_up(follow.journal, "RPC call") == 0
    assert counted["steady", "RPC call", "response"] >= 4
    assert (counted["steady", "RPC logout", "response"], counted["setup", "RPC logout", "response"]) == (1, 1)


def test_requests_of_a_greenlet_that_outlives_its_user_are_not_setup(follow):
    """Its user has left; it goes on sending within the plan."""

    class User(Calling):
        def ask_on(self):
            for _ in range(8):
                gevent.sleep(0.05)
                self.call(exception=ValueError("500"))

        @task
        def ask(self):
            gevent.spawn(self.ask_on)
            gevent.sleep(0.07)
            raise StopUser

        def on_stop(self):
            self.call("logout")

    counted = follow(User)
    assert counted["steady", "RPC call", "response"] == 8
    assert counted["setup", "RPC call", "response"] == 0
    assert counted["setup", "RPC logout", "response"] == 1


def test_a_task_set_that_only_starts_is_setup_once(follow):
    """Its on_start sends and interrupts: from the second time on, this belongs to the plan."""

    class User(Calling):
        @task
        class Browse(TaskSet):
            def on_start(self):
                self.user.call(exception=ValueError("500"))
                self.interrupt(reschedule=False)

            @task
            def never(self):
                pass

    counted = follow(User)
    assert set_up(follow.journal, "RPC call") == 1
    assert counted["steady", "RPC call", "response"] >= 4


def test_a_class_that_is_not_a_task_set_is_a_task(follow):
    class Ask:
        def __init__(self, user):
            user.call(exception=ValueError("500"))

    class User(Calling):
        tasks = (Ask,)

    counted = follow(User)
    assert set_up(follow.journal, "RPC call") == 0
    assert counted["steady", "RPC call", "response"] >= 4


def test_a_start_time_shared_by_many_requests_is_ignored(follow):
    """Messages on a connection that report when it was opened: none of them is setup."""

    class User(Calling):
        def on_start(self):
            gevent.sleep(0.1)
            self.opened = time.time()
            gevent.sleep(0.1)

        @task
        def ask(self):
            self.call(start_time=self.opened, response_time=1.0, exception=ValueError("500"))

    counted = follow(User)
    assert set_up(follow.journal, "RPC call") == 0
    assert counted["steady", "RPC call", "response"] >= 4


def test_a_duration_in_another_unit_does_not_make_a_request_setup(follow):
    """In microseconds: longer than its user has lived."""

    class User(Calling):
        @task
        def ask(self):
            self.call(response_time=5e6, exception=ValueError("500"))

    counted = follow(User)
    assert set_up(follow.journal, "RPC call") == 0
    assert counted["steady", "RPC call", "response"] >= 4


def test_requests_before_the_plan_begins_are_setup():
    """From a listener of `test_start` that was added last, or from a greenlet it spawned."""
    post = Post()
    work = post.assign(manifest(scenario(locustfile="own.py", phases=PHASES)), rank=0, workers=1)
    entries = Entries(post)
    entries.is_begun = True
    for began_s in (-0.5, 0.1):
        request = PlainRequest("GET", began_s, None, is_of_task=False, named=lambda: "GET /prepare")
        entries.add(request, Outcome.INVALID, ended_s=began_s)
    cells = work.recorder.take(0.2, 0, last=True).cells
    assert {(cell.phase, cell.count) for cell in cells if cell.series == "response"} == {("setup", 1), ("steady", 1)}


def test_a_user_that_never_begins_a_task_is_late(follow):
    """Whatever its setup sends: it never took its turns."""

    class User(Calling):
        def on_start(self):
            while True:
                self.call(exception=ValueError("500"))
                gevent.sleep(0.02)

        @task
        def never(self):
            pass

    counted = follow(User)
    assert counted["setup", "RPC call", "response"] >= 5
    assert counted["steady", "User", "late_ms"] >= 500


def test_a_user_kept_in_its_setup_by_slow_answers_is_not_late(follow):
    """None of them took half of its life, but together they did; each missed its deadline of 0.2 s."""

    class User(Calling):
        takes_s = 0.25

        def on_start(self):
            for _ in range(5):
                self.call(exception=ValueError("500"))

        @task
        def never(self):
            pass

    assert follow(User)["steady", "User", "late_ms"] == 0


def test_a_pace_that_its_task_set_does_not_keep_is_ignored(follow):
    """Requests prevented by a late answer are counted as for any other user."""

    class User(Calling):
        wait_time = constant_pacing(10)
        calls = 0

        @task
        class Own(TaskSet):
            wait_time = constant(0.05)

            @task
            def ask(self):
                self.user.calls += 1
                self.user.takes_s = 0.4 if self.user.calls == 4 else 0.0
                self.user.call()

    counted = follow(User)
    assert 1 <= counted["steady", "RPC call", "missed"] <= 5


@pytest.mark.parametrize("again", [False, True])
def test_a_late_answer_in_an_endless_first_task_costs_requests(follow, again):
    """Its pace has nothing to say about a task that never ends; one that ends in time is judged by the pace."""

    class User(Calling):
        wait_time = constant_pacing(0.3)
        calls = 0

        @task
        def ask(self):
            while True:
                self.calls += 1
                self.takes_s = 0.25 if self.calls == 3 else 0.01
                self.call()
                if again and self.calls > 3:
                    return

    counted = follow(User)
    assert (counted["steady", "RPC call", "missed"] >= 1) is not again
