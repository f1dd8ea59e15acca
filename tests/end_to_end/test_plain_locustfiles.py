"""Plain locustfiles, written without loadproof in mind: everything they send is judged, and nothing is lost."""

from __future__ import annotations

import csv
import re
import shlex
import textwrap
from collections import Counter

import psutil
import pytest
import yaml

from loadproof.analysis.frames.journal import count_journal
from loadproof.analysis.frames.run import load_run
from loadproof.analysis.judge.journalled import count_intervals
from loadproof.generator.guards.leftovers import is_alive
from tests.commands import ROOT, found, in_process, only_run, verdict_of, word_of, words_of
from tests.end_to_end.scriptedserver import scripted

pytestmark = pytest.mark.process

HEAD = "import time\nfrom locust import *\nfrom locust.contrib.fasthttp import FastHttpUser\n\n"
EVERY_STYLE = """
class Visitor(HttpUser):
    wait_time = between(0.05, 0.1)
    weight = 2

    def on_start(self):
        self.client.post("/login", json={"user": "u"})

    @task(3)
    def look(self):
        self.client.get("/items/1", name="/items/[id]")

    @task
    def check(self):
        with self.client.get("/status/404", catch_response=True) as answer:
            answer.success()

class Shopper(FastHttpUser):
    wait_time = constant_pacing(0.2)

    @task
    class Shopping(SequentialTaskSet):
        @task
        def cart(self):
            self.client.post("/cart", json={"item": 1})

        @task
        def pay(self):
            self.client.post("/pay", json={})
            self.interrupt()

class Own(User):
    wait_time = constant(0.2)

    @task
    def call(self):
        self.environment.events.request.fire(
            request_type="RPC", name="a, b", response_time=3.5, response_length=7, exception=None, context={}
        )

@events.test_stop.add_listener
def report(**_):
    raise RuntimeError("Locust writes it to its log, and goes on")

@events.quitting.add_listener
def choose_an_exit_code(environment, **_):
    environment.process_exit_code = 1
"""


def own(tmp_path, code: str, name: str = "shop.py"):
    file = tmp_path / name
    file.write_text(HEAD + textwrap.dedent(code))
    return file


def run(tmp_path, code: str, server, *options: object, users: int = 6, duration: str = "3s"):
    """The finished command, and its run directory, whose journal agrees with its intervals."""
    load = () if "--set" in options or users == 0 else ("--users", users, "--duration", duration)
    command = ("run", "--locustfile", own(tmp_path, code), *load, "--out", tmp_path / "reports", *options)
    done = in_process(*command, "--set", "record=requests", TARGET_URL=server.url)
    path = only_run(tmp_path / "reports")
    recorded = load_run(path)
    # A run that ends before its first request leaves no journal.
    assert recorded.intervals.empty or count_journal(recorded).by_kind == count_intervals(recorded)
    return done, path


def sent_in(path) -> tuple[Counter[str], Counter[str]]:
    """Requests by name: those of the plan, and all."""
    read = load_run(path)
    planned, setup = (_sent(cells) for cells in (read.intervals, read.setup))
    return planned, planned + setup


def _sent(cells) -> Counter[str]:
    ended = cells[cells["series"].isin(["response", "abandoned"])]
    return Counter(
        {str(name): int(count) for name, count in ended.groupby("endpoint", observed=True)["count"].sum().items()}
    )


UNRULY = """
import subprocess
left = subprocess.Popen(["sleep", "3600"], start_new_session=True)
with open("PLACE/left", "a") as file:
    file.write(f"{left.pid}\\n")

@events.request.add_listener
def note(name, **_):
    raise LookupError(f"no dashboard for {name}")

@events.test_start.add_listener
def prepare(**_):
    time.sleep(1.5)

@events.quitting.add_listener
def judge(environment, **_):
    environment.process_exit_code = 1
"""


@pytest.mark.long
@pytest.mark.parametrize("workers", [1, 2])
def test_every_style_is_counted_as_the_server_counts_it(tmp_path, workers):
    """Both of Locust's clients, nested tasks, a custom client; set-up is separate; names are as given, with methods."""
    with scripted() as server:
        options = ("--expect", "/items/[id]: p(50) < 4 s", "--expect", "goodput_ratio >= 90 %", "--workers", workers)
        code = EVERY_STYLE + UNRULY.replace("PLACE", str(tmp_path))
        done, path = run(tmp_path, code, server, *options, users=8)
    assert set(words_of(path).values()) == {"PASS"}, done.stdout + done.stderr
    planned, sent = sent_in(path)
    served = server.served
    assert sent["GET /items/[id]"] == served["GET /items/1"]
    for request in ("GET /status/404", "POST /login", "POST /cart", "POST /pay"):
        assert sent[request] == served[request] > 0
    assert "POST /login" not in planned
    cells = load_run(path).intervals
    fastest = (
        cells[cells["series"].isin(["response", "service"])]
        .groupby(["endpoint", "series"], observed=True)["bucket"]
        .min()
    )
    for request in planned:
        assert fastest[request, "response"] >= fastest[request, "service"], request
    assert planned["RPC a%2C b"] > 0
    with (path / "locust_stats.csv").open(newline="") as file:
        of_locust = {row["Name"]: int(row["Request Count"]) for row in csv.DictReader(file)}
    assert set(of_locust) == {"/items/[id]", "/status/404", "/login", "/cart", "/pay", "a, b", "Aggregated"}
    assert of_locust["/items/[id]"] == served["GET /items/1"]
    assert found(path, "outside the plan") == {"NOTE"}
    assert not found(path, "the generator died")
    assert found(path, "most often a listener raised LookupError: no dashboard for") == {"NOTE"}
    left = [int(pid) for pid in (tmp_path / "left").read_text().split()]
    assert len(left) > workers
    assert not [pid for pid in left if psutil.pid_exists(pid) and is_alive(psutil.Process(pid))]


HANGING = """
class Visitor({base}):
    wait_time = constant(0.1)

    @task(9)
    def look(self):
        self.client.get("/items")

    @task
    def hang(self):
        self.client.get("/never")
"""


@pytest.mark.long
@pytest.mark.parametrize("base", ["HttpUser", "FastHttpUser"])
def test_requests_without_an_answer_are_counted(tmp_path, base):
    """Locust itself would report only the good ones: its users hang until they are stopped."""
    with scripted() as server:
        load = ("--users", 6, "--duration", "3s", "--deadline", "1 s")
        done, path = run(
            tmp_path, HANGING.format(base=base), server, *load, "--set", "timeouts={connect: 1 s, total: 2 s}"
        )
    _, sent = sent_in(path)
    assert sent["GET /never"] == server.served["GET /never"] > 0
    assert word_of(path, "goodput_ratio >= 99 %") == "FAIL", done.stdout + done.stderr
    row = next(row for row in verdict_of(path)["summary"] if row["endpoint"] == "GET /never" and row["sent"])
    assert row["outcomes"]["timeout"] == row["sent"]


@pytest.mark.long
def test_the_documented_locustfile_and_scenario_run_unchanged(tmp_path):
    """From docs/from-locust-and-k6.md: with its options, then with its scenario file."""
    page = (ROOT / "docs/from-locust-and-k6.md").read_text(encoding="utf-8")
    # With more time, for a busy machine.
    page = re.sub(r"(deadline: |< )[\d.]+ m?s", r"\g<1>4 s", page)
    locustfile, command, scenario, *_ = re.findall(r"^```\w+\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    (tmp_path / "locustfile.py").write_text(locustfile)
    (tmp_path / "visitors.yaml").write_text(scenario)
    words = shlex.split(command.replace("\\\n", " ").replace("locustfile.py", str(tmp_path / "locustfile.py")))
    for options in (words[1:], ["run", tmp_path / "visitors.yaml", "--set", "phases.steady.duration=5 s"]):
        done = in_process(*options, "--out", tmp_path / f"reports-{len(options)}")
        path = only_run(tmp_path / f"reports-{len(options)}")
        assert set(words_of(path).values()) == {"PASS"}, done.stdout + done.stderr


STANDING = """
class Visitor(HttpUser):
    wait_time = constant(0.05)

    @task
    def look(self):
        self.client.get("/stand", timeout=30)
"""


@pytest.mark.long
def test_a_stalled_target_loses_the_goodput_of_the_stall(tmp_path):
    """Each user sends one slow request meanwhile; those it would usually have sent count as well."""
    with scripted() as server:
        server.stands_after = 100, 3.0
        _, path = run(tmp_path, STANDING, server, "--deadline", "0.5 s", duration="6s")
    (row,) = (row for row in verdict_of(path)["summary"] if row["endpoint"] and row["phase"] == "steady")
    assert row["outcomes"]["ok"] == row["sent"]
    assert row["goodput_ratio"]["value"] < 0.8
    assert word_of(path, "goodput_ratio >= 99 %") == "FAIL"


@pytest.mark.long
def test_late_turns_of_a_paced_user_count_as_late_answers(tmp_path):
    """The first request of a task is due at the user's pace, the second one when the user gets there."""
    code = """
    class Paced(HttpUser):
        wait_time = constant_pacing(0.25)

        @task
        def both(self):
            self.client.get("/first")
            time.sleep(0.1)
            self.client.get("/second")
    """
    with scripted() as server:
        _, path = run(tmp_path, code, server, users=2)
    cells = load_run(path).intervals
    lags = cells[cells["series"] == "lag"].groupby("endpoint", observed=True)["bucket"].max()
    assert lags["GET /first"] > lags["GET /second"] == 0
    counts = cells.groupby(["endpoint", "series"], observed=True)["count"].sum()
    assert counts["GET /second", "followed"] == counts["GET /second", "lag"]
    assert ("GET /first", "followed") not in counts.index


SHAPED = """
class Visitor(HttpUser):
    wait_time = constant(0.1)

    @task
    def look(self):
        self.client.get("/items")

class Steps(LoadTestShape):
    def tick(self):
        now_s = self.get_run_time()
        return (2, 10) if now_s < 2 else (4, 10) if now_s < 4 else None
"""


@pytest.mark.long
def test_a_shape_becomes_phases_and_the_run_keeps_the_scenario(tmp_path):
    """The scenario can be run again as a file next to the locustfile."""
    with scripted() as server:
        _, path = run(tmp_path, SHAPED, server, "--expect", "goodput_ratio >= 80 %", users=0)
        scenario = yaml.safe_load((path / "scenario.yaml").read_text())
        assert [(phase["users"], phase["duration"]) for phase in scenario["phases"]] == [(2, "2 s"), (4, "2 s")]
        (tmp_path / "again.yaml").write_text((path / "scenario.yaml").read_text())
        done = in_process("check", tmp_path / "again.yaml", TARGET_URL=server.url)
    assert done.returncode == 0, done.stderr
    assert word_of(path, "goodput_ratio >= 80 %") == "PASS"


TAGGED = """
class Visitor(HttpUser):
    wait_time = constant(0.1)

    @tag("read")
    @task
    def look(self):
        self.client.get("/items")

    @tag("write")
    @task
    def buy(self):
        self.client.post("/buy")
"""


@pytest.mark.long
def test_tags_select_tasks_as_in_locust(tmp_path):
    """Here on the command line, together with a scenario."""
    file = own(tmp_path, TAGGED)
    phases = [{"name": "steady", "duration": "2 s", "users": 2}]
    thresholds = [{"expect": "goodput_ratio >= 50 %"}]
    scenario = {"name": "tagged", "model": "closed", "deadline": "1 s", "phases": phases, "thresholds": thresholds}
    (tmp_path / "tagged.yaml").write_text(yaml.safe_dump(scenario))
    with scripted() as server:
        options = ("--locustfile", file, "--tags", "read", "--out", tmp_path / "reports")
        done = in_process("run", tmp_path / "tagged.yaml", *options, TARGET_URL=server.url)
    assert word_of(only_run(tmp_path / "reports"), "goodput_ratio >= 50 %") == "PASS", done.stderr
    assert server.served["GET /items"] > 0 == server.served["POST /buy"]


@pytest.mark.long
def test_a_dry_run_shows_the_first_requests_of_each_user(tmp_path):
    """By name, with the answers; it fails if one of them does."""
    file = own(tmp_path, EVERY_STYLE)
    with scripted() as server:
        done = in_process(
            "run", "--locustfile", file, "--users", 1, "--duration", "9s", "--dry-run", TARGET_URL=server.url
        )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("/login", "/items/[id]", "/cart", "/pay", "a, b"):
        assert re.search(rf"^ok +{re.escape(name)} ", done.stdout, re.MULTILINE), done.stdout
    assert len(done.stdout.splitlines()) <= 130


@pytest.mark.long
def test_threshold_names_that_were_never_sent_are_reported_at_the_end(tmp_path):
    """Computed names can't be checked earlier."""
    code = """
    class Visitor(HttpUser):
        wait_time = constant(0.1)

        @task
        def look(self):
            self.client.get(f"/items/{1 + 1}")
    """
    with scripted() as server:
        _, path = run(tmp_path, code, server, "--expect", "/item/2: p(50) < 1 s", users=2, duration="2s")
    assert word_of(path, "p(50) < 1 s") == "INCONCLUSIVE"
    (finding,) = (one for one in verdict_of(path)["findings"] if "no request of the plan" in one["what"])
    assert finding["remedy"] == "did you mean '/items/2'?"


UNTOLD = """
class Visitor({base}):
    wait_time = constant(0.1)

    @task
    def look(self):
        self.client.get("/items")

    @task
    def forget(self):
        self.client.get("/status/500", catch_response=True)
"""


@pytest.mark.long
@pytest.mark.parametrize("base", ["HttpUser", "FastHttpUser"])
def test_an_unreported_request_does_not_count_as_good(tmp_path, base):
    """Locust counts none of them: half of the requests fail, and the rest would look fine."""
    with scripted() as server:
        _, path = run(tmp_path, UNTOLD.format(base=base), server, users=2, duration="2s")
    assert found(path, "never reported the outcome of") == {"INVALID"}
    assert verdict_of(path)["verdict"] == "INVALID"
    assert server.served["GET /status/500"] > 0


def user(body: str, base: str = "HttpUser", more: str = "") -> str:
    """A locustfile with one user class, whose only task has this body."""
    task_ = textwrap.indent(textwrap.dedent(body), " " * 8)
    return f"""
import gevent
from gevent.pool import Pool
{more}

class Visitor({base}):
    wait_time = constant(0.1)

    @task
    def visit(self):
{task_}
"""


OWN_EVENT = 'fire(request_type="GET", name="/x", response_time=1.0, response_length=0, context={}'
LIES = {
    "an exception that is a text": user(
        f"""
        answer = self.client.get("/status/500", catch_response=True, name="real")
        answer.__enter__(); answer.success(); answer.__exit__(None, None, None)
        self.environment.events.request.{OWN_EVENT}, exception="HTTP 500")
        """
    ),
    "a response that can't be understood": user(
        f"""
        self.client.get("/items")
        odd = type("Odd", (), {{"status_code": property(lambda self: 1 / 0)}})()
        self.environment.events.request.{OWN_EVENT}, exception=ValueError(), response=odd)
        """
    ),
    "given up by gevent's timeout": user(
        """
        self.client.get("/items")
        with gevent.Timeout(0.1, False):
            self.client.get("/never")
        """
    ),
    "killed in a greenlet of the task's": user(
        """
        self.client.get("/items")
        waiting = gevent.spawn(self.client.get, "/never")
        waiting.join(0.05)
        waiting.kill()
        """
    ),
    "left in a greenlet of the task's": user(
        """
        self.client.get("/items")
        gevent.spawn(self.client.get, "/never")
        """
    ),
    "not reported in a greenlet of the task's": user(
        """
        self.client.get("/items")
        Pool(2).map(lambda path: self.client.get(path, catch_response=True), ["/status/500"] * 2)
        """
    ),
    "not reported ahead of an event of its own": user(
        f"""
        self.client.get("/status/500", catch_response=True)
        self.environment.events.request.{OWN_EVENT}, exception=None)
        """
    ),
    "kept from listeners by one of them": user(
        """
        self.client.get("/items")
        self.client.get("/status/500")
        """,
        more="""
from locust.exception import RescheduleTask

@events.request.add_listener
def end_it(exception, **_):
    if exception:
        raise RescheduleTask()
""",
    ),
    "waited for by an own client that says nothing": user(
        """
        self.environment.events.request.fire(
            request_type="GET", name="/x", response_time=1.0, response_length=0, context={}, exception=None
        )
        self.calls = getattr(self, "calls", 0) + 1
        if self.calls > 5:
            gevent.sleep(60)
        """,
        base="User",
    ),
}


@pytest.mark.long
@pytest.mark.parametrize("how", LIES)
def test_a_bad_target_does_not_pass_however_its_requests_are_lost(tmp_path, how):
    """Half of the requests fail or never end: they are counted, or the report says that they can't be."""
    with scripted() as server:
        timeouts = (
            "--set",
            "timeouts={connect: 1 s, total: 2 s}",
            "--users",
            3,
            "--duration",
            "3s",
            "--deadline",
            "1 s",
        )
        done, path = run(tmp_path, LIES[how], server, *timeouts)
    fails = word_of(path, "goodput_ratio >= 99 %") == "FAIL"
    untold = found(path, "never reported the outcome of") | found(path, "user-seconds were lost")
    assert fails or untold == {"INVALID"}, done.stdout


@pytest.mark.long
def test_a_pause_within_the_task_of_a_paced_user_is_no_lateness(tmp_path):
    """Only the start of the task can be late: the rest is up to the task."""
    code = user('time.sleep(0.2); self.client.get("/items")').replace("constant(0.1)", "constant_pacing(0.5)")
    with scripted() as server:
        _, path = run(tmp_path, code, server, users=2)
    assert not found(path, "start lag")
    row = next(
        row for row in verdict_of(path)["summary"] if row["endpoint"] == "GET /items" and row["phase"] == "steady"
    )
    assert row["response_s"]["p50"]["value"] < 0.15


@pytest.mark.long
def test_an_endless_task_ends_with_the_plan(tmp_path):
    """At its next request."""
    with scripted() as server:
        _, path = run(
            tmp_path, user('while True:\n    self.client.get("/items")\n    time.sleep(0.05)'), server, users=2
        )
    planned, sent = sent_in(path)
    assert sent["GET /items"] - planned["GET /items"] <= 10


ELSEWHERE = """
import socket

class Visitor(HttpUser):
    wait_time = constant(0.2)

    @task
    def look(self):
        self.client.get("/items")

    @task
    def leave(self):
        self.client.get("http://192.0.2.1:9/elsewhere")
"""


@pytest.mark.long
def test_nothing_is_sent_to_a_host_that_is_not_allowed(tmp_path):
    """Whatever the users' code uses; it is an error of that code, reported with the remedy, and a lack of load."""
    with scripted() as server:
        _, path = run(tmp_path, ELSEWHERE, server, users=2, duration="2s")
    assert "192.0.2.1" in (path / "locust_exceptions.csv").read_text()
    assert found(path, "raised locustfile: this host is not on the allow list") == {"INVALID"}
    assert found(path, "exceptions, most often locustfile: this host is not on the allow list") == {"INCONCLUSIVE"}
    assert not sent_in(path)[1]["GET /elsewhere"]


ENDINGS = {
    "leaves": (
        user("import sys; sys.exit(3)"),
        "Locust ended with code 3, ended by shop.py, line N, in visit: SystemEx",
    ),
    "stops": (
        user("self.environment.runner.quit()"),
        "Locust ended before the plan was over, ended by shop.py, line N, in visit;",
    ),
    "never begins": (
        user("pass", more="@events.init.add_listener\ndef connect(**_):\n    raise OSError('no database')"),
        "Locust ended with code 1, ended by shop.py, line N, in connect: OSError: no database",
    ),
    "has no users": (
        user("pass") + "\n    def __init__(self, environment):\n        raise KeyError('no account')\n",
        "raised 2 exceptions, most often 'no account' (shop.py, line N, in __init__)",
    ),
}


@pytest.mark.long
@pytest.mark.parametrize("how", ENDINGS)
def test_code_that_keeps_a_run_from_ending_is_named(tmp_path, how):
    """In one message, not only in a log."""
    code, why = ENDINGS[how]
    with scripted() as server:
        _, path = run(tmp_path, code, server, users=2, duration="2s")
    assert verdict_of(path)["verdict"] == "INVALID"
    told = [re.sub(r"line \d+", "line N", finding["what"]) for finding in verdict_of(path)["findings"]]
    assert any(why in what for what in told), told
