"""Locustfiles that don't fit the scenario are refused, each with its reason, before anything is sent."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from loadproof.errors import InputError
from loadproof.run.preflight.locustfiles import found_in, misfits
from simulation.rundirs import scenario
from tests.commands import ROOT, scenario_file
from tests.loadproof.cli.refusals import refused

if TYPE_CHECKING:
    from loadproof.scenario.scenario import Scenario

pytestmark = pytest.mark.process

IMPORTS = """
import functools
from locust import HttpUser, LoadTestShape, TaskSet, between, task
from loadproof.users.user import ApiUser
"""
USER = """
class {name}(ApiUser):
    endpoint = "{endpoint}"
    {more}

    @task
    def ask(self):
        self.send(self.api.ask_health(), lambda reply: None)
"""


def user(endpoint: str, name: str = "", more: str = "") -> str:
    return USER.format(name=name or endpoint.title(), endpoint=endpoint, more=more)


FILES = {
    "fit": user("fit"),
    "helped": "from fit import Fit\n" + user("helped", "Helped"),
    "http": 'class Http(HttpUser):\n    @task\n    def ask(self):\n        self.client.get("/health")\n',
    "misnamed": user("other", "Misnamed"),
    "stray": user("fit", "Stray"),
    "twice": user("twice") + user("twice", "Second"),
    "waits": user("waits", more="wait_time = between(1, 3)"),
    "starts": user("starts", more="def on_start(self):\n        pass"),
    "sets": 'class Sets(ApiUser):\n    endpoint = "sets"\n    tasks = [type("Set", (TaskSet,), {})]\n',
    "idle": 'class Idle(ApiUser):\n    endpoint = "idle"\n',
    "empty": "",
    "namesake": user("namesake", "Fit"),
    "typo": "def f(:\n",
    "gone": "import no_such_module_of_anybody\n",
    "leaves": "raise SystemExit(3)\n",
    "awaits": user("awaits", more="@task\n    async def pay(self):\n        pass"),
    "yields": user("yields", more="@task\n    def pay(self):\n        yield"),
    "streams": user("streams", more="@task\n    async def pay(self):\n        yield"),
    "wraps": (
        "def wrapped(f):\n    return functools.wraps(f)(lambda self: f(self))\n"
        + user("wraps", more="@task\n    @wrapped\n    async def pay(self):\n        pass")
    ),
    "part": "async def pay(user, n):\n    pass\n" + user("part", more="tasks = [functools.partial(pay, n=1)]"),
    "begins": user("begins", more="async def on_start(self):\n        pass"),
    "ends": user("ends", more="def on_stop(self):\n        yield"),
    "shopper": user(
        "shopper",
        more="""
    @task
    def shop(self):
        for name, path in (("login", "/login"), ("cart", "/cart")):
            self.send(self.api.call("GET", path, name=name), lambda reply: None)
        self.send(self.api.call("GET", "/pay", name="pay"), lambda reply: None)""",
    ),
    "buyer": user(
        "buyer",
        more="""
    @task
    def buy(self):
        self.send(self.api.call("GET", "/pay", name="pay"), lambda reply: None)
        self.send(self.api.call("GET", "/confirm", name="confirm"), lambda reply: None)""",
    ),
    "member": user(
        "member",
        more="""
    def on_start(self):
        self.login(self.api.call("POST", "/login", name="login"), lambda reply: reply["token"])

    @task
    def look(self):
        self.send(self.api.call("GET", "/cart", name="cart"), lambda reply: None)""",
    ),
    "shaped": user("shaped") + "class Shape(LoadTestShape):\n    def tick(self):\n        return None\n",
}
ALWAYS = {"stray", "namesake", "typo", "gone", "leaves", "shaped"}
"""Files with problems whatever the mix, because Locust would load them."""


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("own") / "locustfiles"
    path.mkdir()
    for stem, text in FILES.items():
        (path / f"{stem}.py").write_text(text if stem == "typo" else IMPORTS + text)
    (path / "_shared.py").write_text("raise RuntimeError('loaded by nobody')")
    return path


def of_mix(*kinds: str, requests: list[str] | None = None) -> Scenario:
    """A scenario with these kinds in equal shares, with the same requests."""
    each = {"share": f"{100 / len(kinds)} %", "every": "1 s", "requests": requests}
    return scenario(mix=dict.fromkeys(kinds, each), thresholds=[{"expect": "goodput_ratio >= 99 %"}])


def problems(directory: Path, endpoint: str, requests: list[str] | None = None) -> str:
    """The problems of this endpoint's file, if the mix has nothing else."""
    found = misfits(directory, of_mix(endpoint, requests=requests))
    return "\n".join(str(each) for each in found if f"/{endpoint}.py" in str(each))


@pytest.mark.parametrize(
    ("endpoint", "reason"),
    [
        ("http", "`Http` is not an ApiUser"),
        ("misnamed", "no user whose `endpoint` is 'misnamed', got 'Misnamed: other'"),
        ("twice", "several users of one endpoint, got 'Twice, Second'"),
        ("waits", "`Waits` has a wait_time"),
        ("sets", "`Sets` has a task that is not a method"),
        ("awaits", "`Awaits.pay` is a coroutine: Locust would call it and never run it; write it as a plain method"),
        ("yields", "`Yields.pay` is a generator: Locust would call it"),
        ("streams", "`Streams.pay` is an asynchronous generator: Locust would call it"),
        ("begins", "`Begins.on_start` is a coroutine: Locust would call it"),
        ("ends", "`Ends.on_stop` is a generator: Locust would call it"),
        ("idle", "`Idle` has no task"),
        ("empty", "no user whose `endpoint` is 'empty', got 'none'"),
        ("stray", "no user whose `endpoint` is 'stray', got 'Stray: fit'"),
        ("namesake", "`Fit` is the name of a user in fit.py, too"),
        ("typo", "SyntaxError"),
        ("gone", "No module named 'no_such_module_of_anybody'"),
        ("leaves", "SystemExit: 3"),
        ("shaped", "has a shape class of its own"),
    ],
)
def test_each_file_is_refused_for_its_reason(directory, endpoint, reason):
    """Once, in one line."""
    assert re.fullmatch(rf"locustfiles/{endpoint}\.py: .*{re.escape(reason)}.*", problems(directory, endpoint))


def test_a_partial_of_a_coroutine_is_refused_for_both_reasons(directory):
    """It isn't a method, either."""
    told = problems(directory, "part")
    assert "`Part` has a task that is not a method" in told
    assert "is a coroutine: Locust would call it" in told


@pytest.mark.parametrize(
    ("kind", "declared", "reason"),
    [
        (
            "buyer",
            None,
            "a request that the scenario doesn't name, got 'pay, confirm'; add `requests: [pay, confirm]` to mix.buyer",
        ),
        (
            "buyer",
            ["buyer", "pay"],
            "doesn't name, got 'confirm'; add `requests: [buyer, pay, confirm]` to mix.buyer",
        ),
        (
            "buyer",
            ["buyer", "pay", "confirm", "refund"],
            "nothing sends what mix.buyer.requests names, got 'refund'; correct the name, here or there",
        ),
        ("shopper", ["login", "cart"], "a request that the scenario doesn't name, got 'pay'"),
        (
            "member",
            ["login", "cart"],
            "names, got 'login'; correct the name, here or there; what on_start and on_stop send needs no name there",
        ),
    ],
)
def test_file_and_scenario_have_to_name_the_same_requests(directory, kind, declared, reason):
    """As far as names are literals; the remedy shows the line to add."""
    assert reason in problems(directory, kind, declared)


def test_computed_names_are_left_to_the_run(directory):
    """An unknown name can't be called missing."""
    assert problems(directory, "shopper", ["shopper", "login", "cart", "pay"]) == ""
    assert problems(directory, "buyer", ["buyer", "pay", "confirm"]) == ""


def test_set_up_requests_need_no_name_in_the_scenario(directory):
    """No threshold covers them."""
    assert problems(directory, "member", ["cart"]) == ""


def test_valid_files_have_no_problems(directory):
    """Users of other files don't count, on_start works in both models, and a wrapper may run what it wraps."""
    for endpoint in ("fit", "helped", "starts", "wraps"):
        assert problems(directory, endpoint) == ""


def test_invalid_files_that_locust_would_load_are_refused_whatever_the_mix(directory):
    """Other files are no problem: their users are in no plan."""
    found = {re.match(r"locustfiles/(\w+)\.py", str(each))[1] for each in misfits(directory, of_mix("fit"))}
    assert found == ALWAYS


def test_the_shipped_locustfiles_are_valid():
    """All four, whatever else is in the directory."""
    endpoints = ["balance", "health", "transactions", "webhooks"]
    assert {file.stem for file in found_in(ROOT / "locustfiles")} >= set(endpoints)
    assert list(misfits(ROOT / "locustfiles", of_mix(*endpoints))) == []


@pytest.mark.long
def test_a_directory_that_cannot_be_inspected_is_one_problem(tmp_path):
    """For example, if a file ends the inspecting process."""
    for way in ("os.kill(os.getpid(), 9)", "posix._exit(9)", "posix._exit(0)"):
        directory = tmp_path / way
        directory.mkdir()
        (directory / "ends.py").write_text(f"import os, posix\n{way}\n")
        with pytest.raises(InputError, match="can't be inspected"):
            found_in(directory)


@pytest.mark.parametrize(
    "line",
    [pytest.param("raise RuntimeError(token)", marks=pytest.mark.long), "print(token, flush=True)\nos._exit(3)"],
)
def test_secrets_that_a_file_shows_while_loading_are_masked(tmp_path, monkeypatch, line):
    """In the message of an exception, and in output."""
    monkeypatch.setenv("API_TOKEN", "t0ken-t0ken")
    (tmp_path / "tells.py").write_text(f"import os\ntoken = os.environ['API_TOKEN']\n{line}\n")
    try:
        (problem,) = misfits(tmp_path, of_mix("fit"), ("API_TOKEN",))
    except InputError as error:
        (problem,) = error.problems
    assert "${API_TOKEN}" in str(problem)
    assert "t0ken" not in str(problem).replace("${API_TOKEN}", "")


@pytest.mark.parametrize("command", ["check", "run"])
def test_the_command_line_refuses_before_the_first_packet(directory, tmp_path, command):
    """With all problems at once."""
    mix = {endpoint: {"share": "50 %", "every": "1 s"} for endpoint in ("http", "misnamed")}
    file = scenario_file(tmp_path, mix=mix, thresholds=[{"expect": "goodput_ratio >= 1 %"}])
    told = refused(command, file, "--locustfiles", directory, TARGET_URL="http://127.0.0.1:1")
    assert "http.py: `Http` is not an ApiUser" in told
    assert "misnamed.py: no user" in told
