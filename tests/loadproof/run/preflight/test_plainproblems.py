"""A plain locustfile that can't be run as asked is refused with the reason, and nothing is sent."""

from __future__ import annotations

import pytest
import yaml

from loadproof.cli.preparation.plainoptions import PlainOptions
from loadproof.cli.preparation.preparing import RunOptions, prepare
from loadproof.run.machine.shipped import LOCUSTFILES
from loadproof.run.preflight.plainproblems import inspect_locustfile, plain_locustfile_problems
from loadproof.run.processes.locust import CrewOptions
from loadproof.scenario.target.targetfile import TargetFile
from loadproof.scenario.target.variables import permissions_of
from simulation.rundirs import scenario
from tests.loadproof.cli.refusals import refused

pytestmark = pytest.mark.process

HEAD = "from locust import *\n\n"
FIT = 'class Fit(HttpUser):\n    @task\n    def look(self):\n        self.client.get("/items")\n'
SHAPE = "class Steps(LoadTestShape):\n    def tick(self):\n        {body}\n"
OTHER = "class Other(Fit):\n    pass\n"
BY_OPTIONS = """
class ByOptions(LoadTestShape):
    use_common_options = True

    def tick(self):
        options = self.runner.environment.parsed_options
        return (options.num_users, 100) if self.get_run_time() < options.run_time else None
"""
TAGGED = """
class Reader(HttpUser):
    @tag("read")
    @task
    def look(self):
        self.client.get("/items")

class Buyer(HttpUser):
    @task
    class Checkout(SequentialTaskSet):
        @tag("pay")
        @task
        def pay(self):
            self.client.post("/pay")

class Idle(HttpUser):
    weight = 0
"""
OWN_LOOPS = """
class Looper(HttpUser):
    def run(self):
        while True:
            self.look()

    @task
    def look(self):
        self.client.get("/items")

class Wrapper(HttpUser):
    def run(self):
        super().run()

    @task
    class Steps(TaskSet):
        def execute_next_task(self):
            self._task_queue.popleft()(self)

        def execute_task(self, task):
            task(self)

        @task
        def look(self):
            self.client.get("/items")
"""
LOAD = ("--users", 2, "--duration", "2s")

REFUSED = {
    "gone": (None, LOAD, "locustfile: no such file, got '"),
    "syntax": ("def f(:", LOAD, "can't be loaded, got 'SyntaxError: "),
    "import": ("import nobody_has_this", LOAD, "No module named 'nobody_has_this'\"; install that where"),
    "leaves": ("import sys; sys.exit(3)", LOAD, "can't be loaded, got 'SystemExit: 3'; fix it: nothing was sent"),
    "leaves at once": ("import os; os._exit(0)", LOAD, "can't be loaded, got 'SystemExit: os._exit(0)'; fix it"),
    "leaves with a word": (
        "import sys; print('no shop.ini'); sys.exit(3)",
        LOAD,
        "can't be loaded, got 'SystemExit: 3 after no shop.ini'; fix it",
    ),
    "of Locust 0": ("from locust import HttpLocust\nclass V(HttpLocust):\n    pass", LOAD, "; port it to Locust 2."),
    "of an older Locust": ("from locust.runners import MasterLocustRunner", LOAD, "; port it to Locust 2."),
    "of older events": ("events.request_success += print", LOAD, "; port it to Locust 2."),
    "empty": ("", LOAD, "no user class in it; derive one from HttpUser, and give it a @task"),
    "idle": (
        "class Idle(HttpUser):\n    pass",
        LOAD,
        "`Idle` has no task; decorate a method with @task, or set `abstract = True` if others are derived from it",
    ),
    "awaits": (
        "class Awaits(HttpUser):\n    @task\n    async def look(self):\n        pass",
        LOAD,
        "`Awaits.look` is a coroutine: Locust would call it and never run it; write it as a plain method",
    ),
    "many": (FIT + "    fixed_count = 5", LOAD, "more users with a fixed_count than a phase has users, got '5 of 2'"),
    "elsewhere": (FIT + '    host = "http://shop.example"', LOAD, "this host is not on the allow list"),
    "no URL": (FIT + '    host = "shop"', LOAD, "not a base URL"),
    "no users": (FIT, ("--duration", "2s"), "--users: missing; add it, like --users 100; or give a scenario"),
    "no duration": (FIT, ("--users", 2), "--duration: missing; add it, like --duration 60s"),
    "no rate": (FIT, (*LOAD, "--spawn-rate", "nan"), "--spawn-rate: not a number of users per second, got 'nan'"),
    "interrupts": ("raise KeyboardInterrupt", LOAD, "can't be loaded, got 'KeyboardInterrupt'"),
    "odd duration": (
        FIT,
        ("--users", 2, "--duration", "60"),
        "--duration: not understood, got '60'; expected a duration",
    ),
    "odd expectation": (FIT, (*LOAD, "--expect", "p95 < 3"), "--expect: not understood, got 'p95 < 3'"),
    "nothing expected": (
        FIT,
        (*LOAD, "--expect", "goodput_ratio >= 0.1 %"),
        "a target that refuses more than 99 % of all requests would still meet its goodput thresholds",
    ),
    "never sent": (
        FIT,
        (*LOAD, "--expect", "/item: p(95) < 1 s"),
        "thresholds[0].endpoint: no such request, got '/item'; did you mean '/items'?",
    ),
    "busy": (
        "import multiprocessing, time; multiprocessing.Process(target=time.sleep, args=[3600]).start()",
        LOAD,
        "no user class in it",
    ),
    "own loops": (
        OWN_LOOPS,
        LOAD,
        (
            "own.py: `Looper.run` replaces Locust's: loadproof can't know what it runs as a task; "
            "remove it, and write what it sends as tasks\n"
            "own.py: `Steps.execute_next_task` replaces Locust's: loadproof can't know what it runs as a task; "
            "remove it, and write what it sends as tasks\n"
        ),
    ),
    "no such tag": (
        TAGGED,
        (*LOAD, "--tags", "read", "--tags", "reed", "--exclude-tags", "1"),
        (
            "tags: no task of own.py has this tag, got 'reed'; did you mean 'read'?\n"
            "exclude_tags: no task of own.py has this tag, got '1'; one of pay, read\n"
        ),
    ),
    "tags of another": (
        TAGGED,
        (*LOAD, "--tags", "read"),
        (
            "own.py: the scenario's tags leave no task of `Buyer`, got 'tags: read'; "
            "choose among its tasks' tags (pay), or set its `weight` to 0"
        ),
    ),
    "endless shape": (FIT + SHAPE.format(body="return 1, 1"), (), "it does not end within 24 hours"),
    "raising shape": (FIT + SHAPE.format(body="return self.x"), (), "asked from second to second, it raises"),
    "choosing shape": (
        FIT + OTHER + SHAPE.format(body="return (1, 1, [Fit]) if self.get_run_time() < 2 else None"),
        (),
        "it chooses user classes itself (Fit in second 0); return only (users, spawn_rate) from tick(), ",
    ),
    "shape without its options": (
        FIT + BY_OPTIONS,
        (),
        "between instances of 'float' and 'NoneType'; give --users and --duration, which it uses",
    ),
    "shape and half a second": (
        FIT + BY_OPTIONS,
        ("--users", 2, "--duration", "2500 ms"),
        "--duration: not a whole number of seconds, and shapes are called once a second, got '2500 ms'; round it",
    ),
    "shape and spawn rate": (
        FIT + SHAPE.format(body="return (1, 1) if self.get_run_time() < 2 else None"),
        ("--spawn-rate", 3),
        "own.py: has a shape class of its own; leave out --users, --duration and --spawn-rate: the shape sets them",
    ),
    "shape and users": (
        FIT + SHAPE.format(body="return (1, 1) if self.get_run_time() < 2 else None"),
        LOAD,
        "own.py: has a shape class of its own; leave out --users, --duration and --spawn-rate: the shape sets them",
    ),
    "odd shape and users": (
        FIT + SHAPE.format(body="return 1, 1"),
        LOAD,
        "has a shape class of its own; remove it: the scenario's phases say how many users there are",
    ),
}


OFTEN = {"gone", "elsewhere"}
"""Cases to run often; each takes a second of CPU time, so the others are marked as long."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in OFTEN else pytest.mark.long) for name in REFUSED]
)
def test_a_locustfile_that_cannot_be_run_is_refused(name, tmp_path):
    """With exit code 2 and one clear message."""
    code, options, message = REFUSED[name]
    file = tmp_path / "own.py"
    if code is not None:
        file.write_text(HEAD + code)
    text = refused("run", "--locustfile", file, *options, "--out", tmp_path / "reports")
    assert message in text
    assert not (tmp_path / "reports").exists()


def test_a_worker_without_the_locustfile_does_not_start(tmp_path):
    """It would wait for a master, only to refuse its part."""
    told = refused("worker", "127.0.0.1", "--locustfile", tmp_path / "gone.py")
    assert told.startswith("locustfile: no such file, got '")


def test_a_locustfile_is_inspected_in_the_users_working_directory(tmp_path, monkeypatch):
    """Like `locust -f`: it finds modules and files there, even if the locustfile is elsewhere."""
    (tmp_path / "load").mkdir()
    file = tmp_path / "load/own.py"
    file.write_text(f"{HEAD}from shop_of_its_owner import ITEMS\nROWS = open('rows.csv').read()\n{FIT}")
    (tmp_path / "shop_of_its_owner.py").write_text("ITEMS = 1")
    (tmp_path / "rows.csv").write_text("1")
    monkeypatch.chdir(tmp_path)
    assert [role.name for role in inspect_locustfile(file).roles] == ["Fit"]


@pytest.fixture(scope="module")
def fit(tmp_path_factory):
    """A directory with a valid locustfile, which is inspected only once."""
    directory = tmp_path_factory.mktemp("fit")
    (directory / "own.py").write_text(HEAD + FIT)
    return directory


def test_allowed_hosts_may_be_loaded_wherever_a_locustfile_names_them(fit, monkeypatch):
    """Hosts allowed by the option or in the environment, not only the `host` of a class."""
    monkeypatch.setenv("LOADPROOF_ALLOW_HOSTS", "also.example")
    target, none = TargetFile(base_url="http://127.0.0.1:1"), CrewOptions(LOCUSTFILES)
    crew = prepare(scenario_with(fit), RunOptions(none, target, allow_host=["auth.example"])).crew
    permitted = permissions_of(target, crew.hosts, crew.allowed_hosts)
    assert permitted["LOADPROOF_ALLOW_HOSTS"] == "127.0.0.1,auth.example,also.example"


def test_options_without_effect_beside_a_scenario_are_refused_together(tmp_path):
    """The scenario sets these values."""
    text = refused("run", "smoke", "--users", 3, "--expect", "p(95) < 1 s", "--out", tmp_path)
    assert text.splitlines() == [
        "--users: no effect with a scenario; leave it out, or set it in the scenario",
        "--expect: no effect with a scenario; leave it out, or set it in the scenario",
    ]
    assert refused("run") == "SCENARIO: missing; name a scenario, or a locustfile with --locustfile\n"


@pytest.mark.long
def test_a_shape_that_reads_options_gets_those_of_the_command_line(tmp_path):
    """Running the resulting scenario again works, too: then its phases are used."""
    (tmp_path / "own.py").write_text(HEAD + FIT + BY_OPTIONS)
    nothing = dict.fromkeys(("spawn_rate", "expect", "deadline", "tags", "exclude_tags"))
    plain = PlainOptions(tmp_path / "own.py", 3, "4s", **nothing)
    source = plain.source(None, {}, TargetFile(base_url="http://127.0.0.1:1"))
    phases = yaml.safe_load(source.text)["phases"]
    assert phases == [{"name": "stage-1", "duration": "4 s", "users": 3}]
    expected = [{"expect": "goodput_ratio >= 10 %"}]
    planned = scenario(locustfile="own.py", phases=phases, thresholds=expected)
    assert not list(plain_locustfile_problems(inspect_locustfile(tmp_path / "own.py"), planned, "own.py"))
    others = scenario(locustfile="own.py", phases=[phases[0] | {"name": "steady"}], thresholds=expected)
    (problem,) = plain_locustfile_problems(inspect_locustfile(tmp_path / "own.py"), others, "own.py")
    assert problem.what == "has a shape class of its own"


def scenario_with(directory, **changes: object):
    """The file of a scenario for the locustfile in this directory."""
    scenario = {
        "name": "own",
        "model": "closed",
        "locustfile": "own.py",
        "deadline": "1 s",
        "phases": [{"name": "steady", "duration": "3 s", "users": 3}],
        "thresholds": [{"expect": "goodput_ratio >= 10 %"}],
    }
    (directory / "own.yaml").write_text(yaml.safe_dump(scenario | changes))
    return directory / "own.yaml"


def test_scenario_keys_without_effect_on_a_locustfile_are_refused_together(fit):
    """The locustfile's users decide these things."""
    file = scenario_with(
        fit,
        mix={"health": {"share": "100 %", "every": "1 s"}},
        clients="source-address",
        when_throttled="ignore",
        phases=[{"name": "at-once", "users": 3, "burst": {"times": 1, "every": "1 s"}}],
        thresholds=[{"endpoint": "/items", "expect": "goodput_ratio >= 10 %"}],
    )
    told = refused("check", file)
    for part in ("mix:", "clients:", "when_throttled:", "phases[0].burst:", "no goodput threshold"):
        assert part in told
    why = "a locustfile's users wait for their responses, so they have a number and no rate"
    assert why in refused("check", scenario_with(fit, model="open"))


def test_limits_that_all_users_would_share_are_refused(fit):
    """The users have one address, and the embedded target limits each address."""
    assert "the target limits each client, and all of a locustfile's users" in refused("check", scenario_with(fit))


def test_tags_without_a_locustfile_are_refused():
    """The tasks of the scenario's own users have none."""
    assert "tags: no effect without a locustfile" in refused("check", "smoke", "--set", "tags=[a]")
