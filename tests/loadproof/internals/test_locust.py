"""Locust is as `loadproof.internals` expects; after an upgrade, this shows what has changed."""

from __future__ import annotations

import csv
import functools
import inspect
import io
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import gevent
import pytest
import requests
import zmq
from gevent.event import Event
from gevent.pool import Group

from tests.unpatched import locust  # isort: skip

from locust import argument_parser, clients, log, main, runners, shape
from locust.clients import HttpSession
from locust.contrib import fasthttp
from locust.contrib.fasthttp import FastHttpSession, FastHttpUser, FastResponse
from locust.dispatch import UsersDispatcher
from locust.env import Environment
from locust.event import EventHook
from locust.exception import StopUser
from locust.rpc import zmqrpc
from locust.rpc.protocol import Message
from locust.stats import PERCENTILES_TO_REPORT, StatsCSVFileWriter
from locust.user import users

from loadproof.generator.crew.allotment import UserAllotment
from loadproof.generator.dispatch.shape import _CALLS_EVERY_S
from loadproof.httpuser.session import HttpSession as OurSession
from loadproof.httpuser.user import HttpUser
from loadproof.internals import locust as ours
from loadproof.internals import locustclients, locustevents, locustusers


@contextmanager
def unchanged(what: str, used_in: str) -> Iterator[None]:
    """Anything that fails inside is a change in Locust."""
    try:
        yield
    except Exception as error:
        raise AssertionError(f"Locust changed: {what}; used in {used_in} ({error!r})") from error


class Waiting(locust.User):
    """Its task lasts until it is told to go on."""

    go_on = Event()

    @locust.task
    def wait_for_it(self) -> None:
        self.go_on.wait()


def test_a_user_tells_whether_it_is_to_stop():
    """While one of its tasks runs; `is_stopping`."""
    with unchanged("User._state is 'stopping' from User.stop until the task ends", "locustusers.py is_stopping"):
        user = Waiting(Environment())
        user.start(Group())
        gevent.sleep(0.01)
        assert not locustusers.is_stopping(user)
        assert not user.stop()
        assert locustusers.is_stopping(user)
        user.stop(force=True)


@pytest.mark.parametrize("is_followed", [False, True])
def test_users_that_are_leaving_make_room_for_others(is_followed, monkeypatch):
    """When the run stops, Locust waits for them; `set_aside`, and `follow_users` for users that know nothing of it."""
    for owner, name in ((locust.User, "run"), (locust.User, "stop"), (locust.TaskSet, "execute_next_task")):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    told = []
    if is_followed:
        locustusers.follow_users(*3 * [lambda _, then: then()], told.append)
    environment = Environment(user_classes=[Waiting], stop_timeout=2)
    runner = environment.create_local_runner()
    with unchanged("Runner starts as many users as are missing in user_greenlets", "locustusers.py set_aside"):
        runner.spawn_users({"Waiting": 2})
        lives = list(runner.user_greenlets)
        gevent.sleep(0.01)
        for life in lives:
            life.args[0].stop()
            if not is_followed:
                locustusers.set_aside(life.args[0])
        assert runner.user_classes_count == {"Waiting": 0}
        assert told == ([life.args[0] for life in lives] if is_followed else [])
        locustusers.take_back(lives[0].args[0])
        assert runner.user_classes_count == {"Waiting": 1}
        locustusers.set_aside(lives[0].args[0])
        assert runner.user_classes_count == {"Waiting": 0}
        gevent.spawn_later(0.1, Waiting.go_on.set)
        runner.quit()
        assert [life.ready() and not isinstance(life.value, gevent.GreenletExit) for life in lives] == [True, True]
        assert runner.user_count == 0
    Waiting.go_on.clear()


def test_a_user_that_is_leaving_when_the_run_stops_may_finish_its_on_stop():
    """Locust waits for it, and nobody ends it a second time; `set_aside`."""
    done = []

    class Leaving(locust.User):
        wait_time = locust.constant(60)

        @locust.task
        def pass_by(self) -> None:
            pass

        def on_stop(self) -> None:
            locustusers.set_aside(self)
            gevent.sleep(0.3)
            done.append(1)

    environment = Environment(user_classes=[Leaving], stop_timeout=2)
    runner = environment.create_local_runner()
    with unchanged("Runner.stop waits for the users in the arguments of user_greenlets", "locustusers.py set_aside"):
        runner.spawn_users({"Leaving": 1})
        gevent.sleep(0.01)
        (life,) = runner.user_greenlets
        gevent.spawn(life.args[0].stop)
        gevent.sleep(0.05)
        assert runner.user_count == 0
        runner.quit()
        assert done == [1]


class Pausing(locust.User):
    """Sleeps by another clock than Locust's from the start."""

    wait_time = locust.constant(75)

    def on_start(self) -> None:
        self.done: list[object] = []
        locustusers.wait_by(self, self.sleep)

    @locust.task
    def pass_by(self) -> None:
        self.done.append("task")

    def sleep(self, duration_s: float) -> None:
        self.done.append(duration_s)
        if self.done.count(75) == 3:
            raise StopUser


def test_a_user_sleeps_by_the_clock_it_is_given():
    """Between all of its tasks, for its wait time, and never with gevent's sleep; `wait_by`."""
    with unchanged(
        "User.wait is User._taskset_instance.wait, and TaskSet._sleep is how a user sleeps, whoever has it wait",
        "locustusers.py wait_by: simulated time stands still without it",
    ):
        user, group = Pausing(Environment()), Group()
        user.start(group)
        is_over = group.join(5)
        group.kill()
        assert is_over
        assert user.done == [75, "task", 75, "task", 75]
        assert "self._taskset_instance.wait()" in inspect.getsource(locust.User.wait)


def test_the_request_event_shows_who_listens():
    """Only the runner's own listener, or others; `only_the_runner_listens`."""
    environment = Environment()
    with unchanged(
        "events.request._handlers holds Runner.__init__'s on_request alone when nobody else listens",
        "locustevents.py only_the_runner_listens: each request is told one by one without it, at 11 µs",
    ):
        assert not locustevents.only_the_runner_listens(environment)
        environment.create_local_runner()
        assert locustevents.only_the_runner_listens(environment)
        environment.events.request.add_listener(lambda **_: None)
        assert not locustevents.only_the_runner_listens(environment)


def test_history_is_appended_on_demand(tmp_path):
    """A row per entry and one in total, with as many columns as its header; `append_history`."""
    environment = Environment()
    environment.create_local_runner()
    environment.stats.log_request("GET", "balance", 12, 7)
    writer = StatsCSVFileWriter(environment, PERCENTILES_TO_REPORT, str(tmp_path / "locust"), full_history=True)
    with unchanged("StatsCSVFileWriter._stats_history_data_rows", "locust.py append_history"):
        ours.append_history(writer)
        writer.stats_history_flush()
        lines = (tmp_path / "locust_stats_history.csv").read_text().splitlines()
        rows = list(csv.DictReader(lines, writer.stats_history_csv_columns))
        assert [row["Name"] for row in rows] == ["balance", "Aggregated"]
        assert [row["Total Request Count"] for row in rows] == ["1", "1"]
        assert None not in rows[0]
        assert None not in rows[0].values()
    writer.close_files()


def test_the_dispatcher_knows_its_classes_and_workers():
    """And ours can replace it; `planned_classes`, `worker_ids`."""
    nodes = [runners.WorkerNode(name) for name in ("b", "a")]
    with unchanged("UsersDispatcher._user_classes and ._worker_nodes", "locust.py planned_classes and worker_ids"):
        dispatcher = UsersDispatcher(nodes, [Waiting])
        assert ours.planned_classes(dispatcher) == [Waiting]
        assert ours.worker_ids(dispatcher) == ["a", "b"]
    with unchanged("a dispatch is new_dispatch and then an iteration", "generator/crew/allotment.py"):
        allotment = UserAllotment(nodes, [Waiting])
        allotment.new_dispatch(target_user_count=3, spawn_rate=1.0)
        assert list(allotment) == [{"a": {"Waiting": 2}, "b": {"Waiting": 1}}]
        assert "dispatcher_class" in inspect.signature(Environment.__init__).parameters


def test_a_worker_sends_its_statistics_on_demand():
    """With what `report_to_master` collects; `send_statistics`."""
    environment = Environment()
    environment.events.report_to_master.add_listener(lambda data, **_: data.update(seen=1))
    sent: list[Message] = []
    runner: Any = SimpleNamespace(environment=environment, client_id="w", client=SimpleNamespace(send=sent.append))
    with unchanged("WorkerRunner._send_stats", "locust.py send_statistics, for the last seconds of a run"):
        # A whole one would look for its master.
        runner._send_stats = runners.WorkerRunner._send_stats.__get__(runner)
        ours.send_statistics(runner)
        assert [(one.type, one.data["seen"], one.node_id) for one in sent] == [("stats", 1, "w")]


FILES = {
    "home/.locust.conf": "tags = fast\n",
    "locust.conf": "exclude-tags = slow\n",
    "pyproject.toml": "[tool.locust]\nusers = 5\n",
}


def test_configuration_files_are_not_read(tmp_path, monkeypatch):
    """By neither of its parsers, wherever they are; plain Locust reads them. `ignore_setting_files`."""
    (tmp_path / "home").mkdir()
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "argv", ["locust", "-f", "x.py"])
    parser = argument_parser.LocustArgumentParser
    with unchanged(
        "its parsers hand `default_config_files` to LocustArgumentParser.__init__",
        "locust.py ignore_setting_files: files that nobody named take tasks out of a run without it",
    ):
        read = argument_parser.get_parser().parse_args()
        assert (read.tags, read.exclude_tags, read.num_users) == (["fast"], ["slow"], 5)
        monkeypatch.setattr(parser, "__init__", parser.__init__)
        ours.ignore_setting_files()
        read = argument_parser.get_parser().parse_args()
        assert (read.tags, read.exclude_tags, read.num_users) == (None, None, None)
        # The parser that looks for locustfiles exits if it can't read a file.
        (tmp_path / "home/.locust.conf").write_bytes(b"\xff")
        assert argument_parser.parse_locustfile_option().locustfile == "x.py"


@pytest.mark.slow
def test_default_arguments_are_built_once(monkeypatch):
    """The worker gets them by the name that we replace; `keep_default_arguments`."""
    built = []
    monkeypatch.setattr(argument_parser, "default_args_dict", lambda: built.append(1) or {})
    with unchanged(
        "WorkerRunner asks argument_parser.default_args_dict() for each option",
        "locust.py keep_default_arguments: each step of a ramp stops the event loop for 0.1 s without it",
    ):
        ours.keep_default_arguments()
        assert [argument_parser.default_args_dict() for _ in range(3)] == [{}] * 3
        assert built == [1]
        assert "argument_parser.default_args_dict()" in inspect.getsource(runners.WorkerRunner)


def test_sockets_are_prepared_before_they_are_bound_or_connected(monkeypatch):
    """The master's and the workers', while their options can still be set; `prepare_sockets`, `master_socket`."""
    monkeypatch.setattr(zmqrpc.BaseSocket, "__init__", zmqrpc.BaseSocket.__init__)
    prepared: list[tuple[int, bytes]] = []
    with unchanged(
        "Server and Client call BaseSocket.__init__ before they bind or connect `socket`",
        "locust.py prepare_sockets: anybody could send a run's results without it",
    ):
        ours.prepare_sockets(lambda socket: prepared.append((socket.type, socket.last_endpoint)))
        server = zmqrpc.Server("127.0.0.1", 0)
        client = zmqrpc.Client("127.0.0.1", server.port, "w")
        assert prepared == [(zmq.ROUTER, b""), (zmq.DEALER, b"")]
        assert client.socket.last_endpoint
        assert ours.master_socket(SimpleNamespace(server=server)) is server.socket
        assert "self.server = rpc.Server(" in inspect.getsource(runners.MasterRunner.__init__)
        assert "self.client = rpc.Client(" in inspect.getsource(runners.WorkerRunner.__init__)
    for made in (client, server):
        made.close(linger=0)
        made.socket.context.destroy(linger=0)


def test_the_stop_button_calls_our_function(monkeypatch):
    """Through the web UI's own route; `take_stop_button`."""
    monkeypatch.setattr(sys, "argv", ["locust"])
    environment = Environment(user_classes=[Waiting])
    environment.create_local_runner()
    web_ui = environment.create_web_ui("127.0.0.1", 0, delayed_start=True)
    with unchanged("the route /stop is the view function 'locust.stop'", "locust.py take_stop_button"):
        assert "locust.stop" in web_ui.app.view_functions
        ours.take_stop_button(web_ui, lambda: {"success": True, "message": "ours"})
        (rule,) = (rule for rule in web_ui.app.url_map.iter_rules() if rule.rule == "/stop")
        answer = web_ui.app.test_client().open("/stop", method="GET" if "GET" in rule.methods else "POST")
        assert answer.json["message"] == "ours"


def test_messages_pass_between_crews():
    """Our own kinds, with content as msgpack returns it, to a worker by its id; `generator/crew/crew.py`."""
    with unchanged("Message(type, data, node_id) over msgpack: tuples arrive as lists", "generator/crew/crew.py"):
        message = Message.unserialize(Message("kind", {"a": (1, 2.5)}, "w").serialize())
        assert (message.type, message.data, message.node_id) == ("kind", {"a": [1, 2.5]}, "w")
    with unchanged(
        "register_message(type, listener, concurrent), and listener(environment=, msg=)", "generator/crew/crew.py"
    ):
        heard: list[Any] = []
        local = Environment().create_local_runner()
        local.register_message("kind", lambda environment, msg: heard.append((environment, msg.data)), concurrent=False)
        local.send_message("kind", 5)
        assert heard == [(local.environment, 5)]
    with unchanged("MasterRunner.clients.ready, and send_message(type, data, client_id)", "generator/crew/crew.py"):
        assert isinstance(runners.WorkerNodes.ready, property)
        parameters = list(inspect.signature(runners.MasterRunner.send_message).parameters)
        assert parameters == ["self", "msg_type", "data", "client_id"]


def test_shapes_are_called_once_a_second():
    """From before the first user until the first None; `generator/dispatch/shape.py`."""
    with unchanged(f"Runner.shape_worker calls tick() every {_CALLS_EVERY_S:g} s", "generator/dispatch/shape.py"):
        source = inspect.getsource(runners.Runner.shape_worker)
        assert "gevent.sleep(max(1 - shape_adjustment_time_ms, 0))" in source
        assert "shape_class.tick()" in source
        assert shape.LoadTestShape.runner is None


@pytest.mark.parametrize("event", ["init", "test_start", "quit", "request", "user_error", "report_to_master"])
def test_the_events_that_we_listen_to_exist(event):
    """`generator/` and `recording/`."""
    with unchanged(f"events.{event}", "generator/ and recording/"):
        getattr(Environment().events, event).add_listener(lambda **_: None)


class Nested(locust.User):
    """Has a task set that executes its single task itself, which sends one request."""

    wait_time = locust.constant(60)
    host = "http://127.0.0.1:9"

    @locust.task
    class Tasks(locust.TaskSet):
        def execute_task(self, task: Any) -> None:
            task(self)

        @locust.task
        def ask(self) -> None:
            self.user.client.get("/refused")


@pytest.mark.parametrize(
    ("session", "base"),
    [(HttpSession, locust.HttpUser), (OurSession, HttpUser), (FastHttpSession, FastHttpUser)],
    ids=["requests", "loadproof", "fast"],
)
def test_lives_tasks_and_requests_of_users_are_followed(session, base, monkeypatch):
    """Each once, around what it does, nested task sets included; `follow_users`, `follow_requests`."""
    for owner, name in ((locust.User, "run"), (locust.User, "stop"), (locust.TaskSet, "execute_next_task")):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    for owner in (HttpSession, OurSession, FastHttpSession):
        monkeypatch.setattr(owner, "request", owner.request)
    told = []

    def noting(*what, then):
        told.append(what)
        return then()

    with unchanged("User.run, TaskSet.execute_next_task, request of both sessions", "locustclients.py follow_…"):
        locustusers.follow_users(
            lambda user, run: noting("life", type(user), then=run),
            lambda user, do: noting("set", type(user), then=do),
            lambda user, do: noting("task", type(user), then=do),
            lambda _: None,
        )
        locustclients.follow_requests(
            lambda method, name, send: noting(method, name(), then=send),
            timeouts_s=lambda: (0.5, 1.0),
            heirs=[OurSession],
        )
        kind = type("Followed", (Nested, base), {})
        life = kind(Environment()).start(Group())
        gevent.sleep(0.5)
        life.kill()
        assert told == [("life", kind), ("set", kind), ("task", kind), ("GET", "/refused")]
        assert issubclass(type(kind(Environment()).client), session)


def test_requests_are_heard_before_listeners_that_stop_the_event():
    """A listener that ends a task keeps the event from all others; `hear_requests`."""
    environment, heard = Environment(), []

    def end_it(**_: object) -> None:
        raise StopUser

    environment.events.request.add_listener(end_it)
    # As a module does that was imported before anything listens.
    kept = environment.events.request.fire
    with unchanged("EventHook.fire is called for each request, and may raise StopUser", "locustevents.py"):
        locustevents.hear_requests(environment, heard.append)
        for fire in (environment.events.request.fire, kept):
            with pytest.raises(StopUser):
                fire(request_type="GET", name="/x")
        assert heard == 2 * [{"request_type": "GET", "name": "/x"}]


def test_a_pace_shows_when_it_was_computed_and_how_long_to_wait():
    """Zero if the task outlasted it; `last_pacing`."""
    paced = type("Paced", (locust.User,), {"wait_time": locust.constant_pacing(60)})(Environment())
    with unchanged("constant_pacing keeps _cp_last_run and _cp_last_wait_time", "locustusers.py last_pacing"):
        before_s = time.perf_counter()
        length_s = paced.wait_time()
        began_s, told_s = locustusers.last_pacing(paced)
        assert 59 < length_s == told_s <= 60
        assert before_s <= began_s <= time.perf_counter()


def test_a_body_read_so_far_is_known_and_no_more_is_read():
    """For both clients' answers; `body_read`."""
    with unchanged("Response._content is False until it was read, as in requests", "locustclients.py body_read"):
        response = requests.Response()
        response.raw = io.BytesIO(b"all of it")
        assert locustclients.body_read(response) == b""
        assert response.content == b"all of it"
        assert locustclients.body_read(response) == b"all of it"
    with unchanged("FastResponse.content keeps what it read", "locustclients.py body_read"):
        assert locustclients.body_read(FastResponse) == b""


def test_a_response_reports_itself_once():
    """When its `with` block ends, with what it was given; `report_to`, `is_reported` and `complete_url`."""
    with unchanged("ResponseContextManager and HttpSession", "httpuser/"):
        events = Environment().events
        heard = []
        events.request.add_listener(lambda **event: heard.append(event))
        response: Any = requests.Response()
        response.status_code = 200
        for meaning, is_left_to_us in ((None, True), ("success", False)):
            locustclients.report_to(response, events.request, {"name": "page"}, is_caught=True)
            with response as entered:
                getattr(entered, str(meaning), lambda: None)()
                assert locustclients.is_reported(response) is is_left_to_us
        assert heard[0] == {"name": "page", "response": response}
        for kind in (HttpSession, FastHttpSession):
            session = kind("http://127.0.0.1", events.request, user=None)
            complete = [locustclients.complete_url(session, url) for url in ("/a", "HTTP://b/")]
            assert complete == ["http://127.0.0.1/a", "HTTP://b/"]


def test_locusts_users_use_the_clients_they_are_given(monkeypatch):
    """Created from what their modules have under these names; `take_places`."""
    for module, name in ((users, "HttpSession"), (clients, "HttpSession"), (fasthttp, "FastHttpSession")):
        monkeypatch.setattr(module, name, getattr(module, name))
    with unchanged("HttpUser.__init__ and FastHttpUser.__init__", "plainlocust/targetterms.py"):
        own, own_fast = type("Own", (HttpSession,), {}), type("OwnFast", (FastHttpSession,), {})
        locustclients.take_places(own, own_fast)
        for base, client in ((locust.HttpUser, own), (FastHttpUser, own_fast)):
            user: Any = type("Visitor", (base,), {"host": "http://127.0.0.1"})(Environment())
            assert type(user.client) is client
        assert clients.HttpSession is own


def test_a_listeners_exception_is_reported_and_the_next_one_is_called(monkeypatch):
    """Except orders to its user; Locust alone would end as if nothing had happened; `tell_exceptions`."""
    monkeypatch.setattr(EventHook, "fire", EventHook.fire)
    monkeypatch.setattr(runners, "locust_exception_handler", runners.locust_exception_handler)
    monkeypatch.setattr(log, "unhandled_greenlet_exception", False)
    hook, heard, told, ended = EventHook(), [], [], []
    hook.add_listener(lambda **_: 1 / 0)
    hook.add_listener(lambda **named: heard.append(named))
    with unchanged("EventHook._handlers; runners.locust_exception_handler(environment)", "locustevents.py tell_…"):
        locustevents.tell_exceptions(lambda hook, error: told.append((hook, repr(error))), ended.append)
        hook.fire(name="a")
        hook.fire(name="b", reverse=True)
        assert (heard, told) == ([{"name": "a"}, {"name": "b"}], [(hook, "ZeroDivisionError('division by zero')")] * 2)
        assert not log.unhandled_greenlet_exception
        hook.add_listener(functools.partial(_stop, "enough"))
        with pytest.raises(StopUser, match="enough"):
            hook.fire()
        hook = EventHook()
        # A bug of ours must not look like the locustfile's.
        mine = functools.partial(_stop, "bug", of=KeyError)
        vars(mine)["__module__"] = "loadproof.generator.crew.writing"
        hook.add_listener(mine)
        with pytest.raises(KeyError, match="bug"):
            hook.fire()
    with unchanged("the greenlet that makes users ends in locust_exception_handler's", "generator/guards/raised.py"):
        runner = Environment(user_classes=[Refusing]).create_local_runner()
        runner.start(1, spawn_rate=1)
        with pytest.raises(KeyError):
            runner.spawning_greenlet.get()
        gevent.sleep(0)
        assert [repr(error) for error in ended] == ["KeyError('no account')"]
        assert log.unhandled_greenlet_exception


def _stop(why: str, of: type[Exception] = StopUser, **_: object) -> None:
    raise of(why)


class Refusing(locust.User):
    """Can't be created."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        raise KeyError("no account")

    @locust.task
    def never(self) -> None:
        pass


def test_an_exception_outside_of_tasks_is_counted_with_those_in_tasks():
    """In one process, and on a worker, which tells its master; `report_exception`."""
    with unchanged("Runner.log_exception(node_id, msg, formatted_tb), and the message 'exception'", "report_exception"):
        local = Environment().create_local_runner()
        ours.report_exception(local, "no", "there")
        (row,) = local.exceptions.values()
        assert (row["count"], row["msg"], row["traceback"], row["nodes"]) == (1, "no", "there", {"local"})
        sent: list[tuple[str, object]] = []
        # A whole one would look for its master.
        worker: Any = runners.WorkerRunner.__new__(runners.WorkerRunner)
        worker.send_message = lambda kind, data: sent.append((kind, data))
        worker.greenlet = None
        ours.report_exception(worker, "no", "there")
        assert sent == [("exception", {"msg": "no", "traceback": "there"})]
        assert '"exception", {"msg": str(exception), "traceback": ' in inspect.getsource(runners.WorkerRunner)
        assert 'msg.data["msg"], msg.data["traceback"]' in inspect.getsource(runners.MasterRunner)


def test_our_listeners_come_last():
    """Otherwise in order; also after listeners without a module, and those added later; `call_ours_last`."""
    hook, called = EventHook(), []
    mine = [functools.partial(called.append, number) for number in range(2)]
    theirs = functools.partial(called.append, "theirs")
    for number, listener in enumerate(mine):
        vars(listener)["__module__"] = f"loadproof.generator.m{number}"
    for listener in (*mine, theirs):
        hook.add_listener(listener)
    with unchanged("EventHook._handlers are called in their order", "locustevents.py call_ours_last"):
        locustevents.call_ours_last(hook)
        hook.fire()
        assert called == ["theirs", 0, 1]


def test_the_exit_code_is_ours():
    """Whatever another listener sets at the end; `end_with`."""
    environment = Environment()
    environment.events.quitting.add_listener(lambda environment, **_: setattr(environment, "process_exit_code", 1))
    with unchanged("main fires `quitting` in reverse, and then reads environment.process_exit_code", "end_with"):
        locustevents.end_with(environment, lambda: 7)
        environment.events.quitting.fire(environment=environment, reverse=True)
        assert environment.process_exit_code == 7
        source = inspect.getsource(main)
        place = source.index("events.quitting.fire(environment=environment, reverse=True)")
        assert "if environment.process_exit_code is not None:" in source[place:]


def test_everything_we_use_is_tested_here():
    """A new function there needs a test that shows what changed."""
    tried = Path(__file__).read_text(encoding="utf-8")
    modules = {"ours": ours} | {name_of(module): module for module in (locustclients, locustevents, locustusers)}
    for name, module in modules.items():
        defined = {name for name, held in vars(module).items() if getattr(held, "__module__", None) == module.__name__}
        functions = {name for name in defined if not name.startswith("_")}
        assert set(re.findall(rf"\b{name}\.(\w+)\(", tried)) == functions


def name_of(module: ModuleType) -> str:
    """The module's name without its packages."""
    return module.__name__.rpartition(".")[2]


@pytest.mark.slow
def test_errors_are_masked_in_locusts_records():
    """From requests, tasks, and events that users' own code fires; `mask_events`."""
    environment = Environment()
    runner = environment.create_local_runner()
    with unchanged("EventHook.fire calls the listeners of request and user_error", "locustevents.py mask_events"):
        hide = functools.partial(re.sub, "t0ken", "***")
        locustevents.mask_events(environment, error=lambda error: ValueError(hide(str(error))), text=hide)
        request = {"request_type": "GET", "name": "own t0ken", "response_time": 1, "response_length": 1, "context": {}}
        environment.events.request.fire(**request, exception=RuntimeError("bad t0ken"))
        environment.events.request.fire(**request, exception="bad t0ken in words")
        environment.events.request.fire(**request, exception=None)
        environment.events.request.fire(**request)
        environment.events.user_error.fire(user_instance=None, exception=RuntimeError("bad t0ken"), tb=None)
        assert [repr(error.error) for error in runner.stats.errors.values()] == [
            "ValueError('bad ***')",
            "'bad *** in words'",
        ]
        assert [row["msg"] for row in runner.exceptions.values()] == ["bad ***"]
        assert runner.stats.get("own ***", "GET").num_requests == runner.stats.total.num_requests == 4
    runner.quit()
