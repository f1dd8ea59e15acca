"""Locust's private parts are where loadproof looks for them, and what it takes of others stands in one place each."""

from __future__ import annotations

import csv
import inspect
import io
import re

from tests.unpatched import locust  # isort: skip

from locust import argument_parser
from locust.dispatch import UsersDispatcher
from locust.runners import LocalRunner, WorkerNode, WorkerRunner
from locust.stats import PERCENTILES_TO_REPORT, StatsCSVFileWriter
from locust.user.task import LOCUST_STATE_RUNNING, LOCUST_STATE_STOPPING
from locust.web import WebUI

from loadproof.internals import locust as internals
from tests.commands import ROOT


class SomeUser(locust.User):
    pass


def test_a_user_that_is_to_stop_can_be_told():
    """By its state."""
    user = SomeUser(locust.env.Environment())
    user._state = LOCUST_STATE_RUNNING
    assert not internals.is_stopping(user), "Locust changed: a running user looks stopped (User._state)"
    user._state = LOCUST_STATE_STOPPING
    assert internals.is_stopping(user), "Locust changed: a stopping user looks as if it ran on (User._state)"


def test_it_is_known_who_listens_to_requests():
    """The runner's own listener, and anybody else's beside it."""
    environment = locust.env.Environment()
    LocalRunner(environment)
    assert internals.only_the_runner_listens(environment), "Locust changed: the runner's listener is another one"
    environment.events.request.add_listener(lambda **_: None)
    assert not internals.only_the_runner_listens(environment), "Locust changed: listeners are kept elsewhere"


def test_a_row_can_be_added_to_the_history(tmp_path):
    """Now, and not only every second."""
    environment = locust.env.Environment()
    LocalRunner(environment)
    writer = StatsCSVFileWriter(environment, PERCENTILES_TO_REPORT, str(tmp_path / "x"), full_history=True)
    text = io.StringIO()
    writer.stats_history_csv_writer = csv.writer(text)
    internals.append_history(writer)
    writer.close_files()
    assert "Aggregated" in text.getvalue(), "Locust changed: StatsCSVFileWriter writes no row of the total"


def test_a_dispatcher_knows_its_classes_and_workers():
    """In the order of their ids."""
    nodes = [WorkerNode("b"), WorkerNode("a")]
    dispatcher = UsersDispatcher(nodes, [SomeUser])
    assert internals.planned_classes(dispatcher) == [SomeUser], "Locust changed: UsersDispatcher._user_classes"
    assert internals.worker_ids(dispatcher) == ["a", "b"], "Locust changed: UsersDispatcher._worker_nodes"


def test_a_worker_can_report_at_once():
    """Which needs a master to see; here, that the way is there."""
    assert callable(getattr(WorkerRunner, "_send_stats", None)), "Locust changed: WorkerRunner._send_stats is gone"


def test_the_argument_parser_is_built_once(monkeypatch):
    """However often Locust asks for the defaults."""
    monkeypatch.setattr(argument_parser, "default_args_dict", argument_parser.default_args_dict)
    internals.keep_default_arguments()
    assert argument_parser.default_args_dict() is argument_parser.default_args_dict()
    source = inspect.getsource(WorkerRunner.handle_message)
    assert "default_args_dict" in source, "Locust changed: WorkerRunner.handle_message asks for no defaults any more"


def test_the_stop_button_is_a_view_of_its_name():
    """What the web UI calls when somebody presses it."""
    environment = locust.env.Environment(user_classes=[SomeUser])
    LocalRunner(environment)
    web_ui = WebUI(environment, "127.0.0.1", 0, delayed_start=True)
    assert "locust.stop" in web_ui.app.view_functions, "Locust changed: the web UI's route /stop has another name"
    internals.take_stop_button(web_ui, lambda: {"success": True})
    assert web_ui.app.test_client().post("/stop").json == {"success": True}, "Locust changed: /stop is another view"


def test_nobody_else_reaches_into_other_libraries():
    """ruff forbids private members of others (SLF001); the only exceptions are in pyproject.toml."""
    excused = re.compile(r"noqa:.*SLF001")
    files = [file for package in ("analysis", "loadproof", "payments_api") for file in (ROOT / package).rglob("*.py")]
    assert [str(file) for file in files if excused.search(file.read_text(encoding="utf-8"))] == []
