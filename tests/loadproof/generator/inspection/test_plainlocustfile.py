"""What is known about a locustfile before it runs."""

from __future__ import annotations

import time

import pytest

from tests.unpatched import locust  # isort: skip

from locust import tag, task
from locust.user.markov_taskset import MarkovTaskSet, transition
from locust.user.task import filter_tasks_by_tags

from loadproof.generator.inspection.cast import Locustfile
from loadproof.generator.inspection.casting import _role
from loadproof.generator.inspection.plainlocustfile import CommonOptions, client_requests, stages_of
from loadproof.generator.plainlocust.heard import Names
from loadproof.run.preflight.plainproblems import _is_left, _never_sent, _tag_problems
from simulation.rundirs import scenario

CALLS = """
class Visitor(HttpUser):
    @task
    def look(self):
        self.client.get("/items")
        self.client.post("/cart", json={}, name="cart")
        user.client.delete(url="/cart")
        {unknown}
        other.get("/not-of-a-client")
"""


def test_requests_with_literal_names_are_known(tmp_path):
    """By method and by the name they will have."""
    (tmp_path / "own.py").write_text(CALLS.replace("{unknown}", "pass"))
    assert client_requests(tmp_path / "own.py") == ["GET /items", "POST cart", "DELETE /cart"]


def test_a_name_with_special_characters_is_the_same_in_a_threshold_and_in_a_run(tmp_path):
    """Commas and quotes are written as in a URL."""
    (tmp_path / "own.py").write_text(CALLS.replace("{unknown}", "self.client.get('/', name='a,  \"b\"')"))
    asked = scenario(locustfile="own.py", thresholds=[{"endpoint": 'a, "b"', "expect": "p(95) < 1 s"}])
    known = client_requests(tmp_path / "own.py")[3]
    assert known == Names().of("GET", 'a,  "b"') == "GET a%2C %22b%22"
    assert asked.with_requests([known]).endpoints_of(asked.thresholds[0]) == (known,)


@pytest.mark.parametrize(
    "call",
    [
        'self.client.get(f"/items/{number}")',
        'self.client.get("/items", params={"page": 1})',
        'self.client.get("/items", **options)',
        'self.client.request("GET", "/items")',
        "self.client.get(path)",
        'self.client.get("http://127.0.0.1/items")',
        'self.client.get("items")',
        'self.client.get("/items of/[id]")',
        'self.client.get("/a/../items")',
        'self.client.get("//items")',
    ],
)
def test_a_request_with_a_computed_name_is_unknown(call, tmp_path):
    """So it may have any name."""
    (tmp_path / "own.py").write_text(CALLS.replace("{unknown}", call))
    assert client_requests(tmp_path / "own.py")[3] is None


@pytest.mark.parametrize(
    "call",
    [
        "client = self.client",
        "log_in(self.client)",
        "get = self.client.get",
        "self.client = Own(self.environment)",
        'self.client.request_name = "all"',
        'with self.rest("GET", "/items/1") as response: pass',
        'self.environment.events.request.fire(request_type="RPC", name="call", response_time=1)',
        'with self.environment.events.request.measure("RPC", "call"): pass',
    ],
)
def test_requests_sent_in_other_ways_may_have_any_name(call, tmp_path):
    """A threshold on one isn't refused: the name is only known once it was sent."""
    (tmp_path / "own.py").write_text(CALLS.replace("{unknown}", call))
    assert None in client_requests(tmp_path / "own.py")


def test_unknown_names_are_only_refused_if_the_base_url_has_no_path():
    """With a path, the names of most clients begin with it."""
    own = Locustfile("own", requests=["GET /items"])
    limits = [{"endpoint": name, "expect": "p(95) < 1 s"} for name in ("/v1/items", "GET /items", "/item")]
    problems = _never_sent(own, scenario(locustfile="own.py", thresholds=limits))
    assert [problem.got for problem in problems] == ["/item"]


def test_other_uses_of_a_client_are_not_requests(tmp_path):
    """They leave the known names complete."""
    (tmp_path / "own.py").write_text(CALLS.replace("{unknown}", 'self.client.headers["X-Own"] = self.client.base_url'))
    assert None not in client_requests(tmp_path / "own.py")


class Shape(locust.LoadTestShape):
    """A shape with one given tick per second."""

    def __init__(self, *ticks) -> None:
        super().__init__()
        self.ticks = ticks

    def tick(self):
        second = int(self.get_run_time())
        return self.ticks[second] if second < len(self.ticks) else None


def phases(*ticks):
    found, error = stages_of([Shape(*ticks)])
    return [(phase["users"], phase["duration"], phase.get("ramp")) for phase in found] or error


def test_each_level_of_a_shape_is_a_phase():
    """For as long as it lasts; with a ramp at its rate if that takes more than a second."""
    assert phases(*[(10, 100)] * 5, *[(30, 10)] * 4) == [(10, "5 s", None), (30, "4 s", "2 s")]


def test_a_level_that_is_not_reached_is_as_high_as_it_gets():
    """Ten a second for two seconds make twenty."""
    assert phases(*[(100, 10)] * 2, *[(20, 100)] * 3) == [(20, "2 s", "2 s"), (20, "3 s", None)]


def test_a_shape_that_cannot_be_phases_says_why():
    """A scenario has no phase without users, and a limited number of phases."""
    assert phases((0, 1), (0, 1)) == "it asks for no users at times"
    assert phases() == "it has 0 stages; a scenario has 1 to 200 phases"
    assert phases(*[(1 + second, 1) for second in range(300)]).startswith("it has 300 stages")
    assert stages_of([Shape(), Shape()])[1] == "there are several"
    assert stages_of([]) == ([], "")


def test_a_shape_that_resets_its_time_starts_over():
    """As in Locust: three rounds of four ticks, and all but the last reset it."""

    class Rounds(Shape):
        def tick(self):
            if self.get_run_time() > 3:
                self.ticks = self.ticks[1:]
                self.reset_time()
            return (self.ticks[0], 100) if self.ticks else None

    found, error = stages_of([Rounds(5, 10, 15)])
    assert ([(phase["users"], phase["duration"]) for phase in found], error) == (
        [(5, "4 s"), (10, "4 s"), (15, "4 s")],
        "",
    )


@pytest.mark.parametrize("clock", ["time", "monotonic", "perf_counter"])
def test_a_shape_may_read_any_clock_and_sleep(clock):
    """Without anybody waiting for it."""

    class Timed(Shape):
        began_s = None

        def tick(self):
            self.began_s = self.began_s or getattr(time, clock)()
            time.sleep(0.9)
            return (7, 100) if getattr(time, clock)() - self.began_s < 60 else None

    began_s = time.monotonic()
    assert stages_of([Timed()]) == ([{"name": "stage-1", "duration": "60 s", "users": 7}], "")
    assert time.monotonic() - began_s < 9


def test_a_shape_that_depends_on_a_run_says_so():
    """On command line options, or on the current number of users."""

    class Asking(Shape):
        def tick(self):
            return self.get_current_user_count() + 1, 1

    assert stages_of([Asking()])[1] == "it asks Locust's runner for `user_count`, which is known during a run only"


class ByOptions(locust.LoadTestShape):
    """A shape that uses the command line, with Locust's `use_common_options`."""

    use_common_options = True

    def tick(self):
        options = self.runner.environment.parsed_options
        if options.run_time is None or self.get_run_time() < options.run_time + 60:
            return options.num_users, options.spawn_rate
        return None


def test_a_shape_gets_locusts_options():
    """They end it as well: Locust stops any shape at --run-time."""
    options = CommonOptions(num_users=30, spawn_rate=10, run_time=5)
    assert stages_of([ByOptions()], options=options) == (
        [{"name": "stage-1", "duration": "5 s", "users": 30, "ramp": "3 s"}],
        "",
    )
    assert options.are_read


def test_without_options_a_shape_gets_locusts_defaults():
    """One user, and no end but its own."""

    class Once(ByOptions):
        def tick(self):
            return super().tick() if self.get_run_time() < 3 else None

    assert stages_of([Once()])[0] == [{"name": "stage-1", "duration": "3 s", "users": 1}]


def test_an_unknown_option_is_named():
    """An option that the file itself adds, for example."""

    class Asking(Shape):
        def tick(self):
            return self.runner.environment.parsed_options.peak, 1

    assert stages_of([Asking()])[1] == "it asks for Locust's option `peak`, which loadproof doesn't have"


def test_a_shape_that_chooses_all_user_classes_is_accepted():
    """Any other choice would be a different mix in each stage, which phases don't support."""
    first, second = (type(name, (locust.User,), {}) for name in ("First", "Second"))
    both = [first, second]
    assert stages_of([Shape((1, 1, both[::-1]), (1, 1, None), (1, 1))], both)[0][0]["duration"] == "3 s"
    assert stages_of([Shape((1, 1, both), (1, 1, [second]))], both) == (
        [],
        "it chooses user classes itself (Second in second 1)",
    )


def tagged_users() -> dict[str, type[locust.User]]:
    """New classes each time, because filtering removes tasks from them."""

    @tag("a")
    def first(user):
        pass

    @tag("a", "b")
    def second(user):
        pass

    class Within(locust.TaskSet):
        @task
        def plain(self):
            pass

    Within.tasks.insert(0, second)

    class Chained(MarkovTaskSet):
        @transition("step")
        def step(self):
            pass

    of = {
        "one": [first],
        "both": [first, second],
        "nested": [Within],
        "chained": [Chained],
        "none": [print],
    }
    return {name: type(name, (locust.User,), {"tasks": tasks}) for name, tasks in of.items()}


@pytest.mark.parametrize("tags", [[], ["a"], ["b"], ["a", "b"]])
@pytest.mark.parametrize("excluded", [[], ["a"], ["b"], ["a", "b"]])
def test_tasks_selected_by_tags_are_the_same_as_locusts(tags, excluded):
    """Also in task sets, and in one without tags."""
    for name, user in tagged_users().items():
        is_left = any(_is_left(own, tags, excluded) for own in _role(user).tags)
        filter_tasks_by_tags(user, set(tags) or None, set(excluded) or None)
        assert is_left == bool(user.tasks), name


def test_a_task_set_nested_in_itself_has_its_tags_once():
    """Locust runs it, but fails on its tags: we only read them."""
    user = tagged_users()["nested"]
    user.tasks[0].tasks.append(user.tasks[0])
    assert _role(user).tags == [["a", "b"], []]


def test_tags_for_a_file_without_any_are_an_error():
    """None could have been meant."""
    file = Locustfile("own", roles=[_role(tagged_users()["none"])])
    (problem,) = _tag_problems(file, scenario(locustfile="own.py", tags=["read"]), "own.py")
    assert str(problem) == "tags: no task of own.py has this tag, got 'read'; leave it out: its tasks have no tags"
