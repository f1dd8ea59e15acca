"""Private parts of Locust that loadproof needs, each behind one function: those of its processes.

A new Locust may change them without notice: `tests/loadproof/internals/test_locust.py` reports which ones changed.
Source for all: locust 2.47.
"""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any

from locust import argument_parser, runners
from locust.rpc.zmqrpc import BaseSocket

if TYPE_CHECKING:
    from collections.abc import Callable

    from locust.dispatch import UsersDispatcher
    from locust.runners import MasterRunner, Runner, WorkerRunner
    from locust.stats import StatsCSVFileWriter
    from locust.web import WebUI


def report_exception(runner: Runner, message: str, frames: str) -> None:
    """Have Locust count this exception with those of users' tasks; `frames` is the traceback's text.

    Source: locust/runners.py, on_user_error of LocalRunner and of WorkerRunner.
    """
    if isinstance(runner, runners.WorkerRunner):
        runner.send_message("exception", {"msg": message, "traceback": frames})
    else:
        runner.log_exception("local", message, frames)


def append_history(writer: StatsCSVFileWriter) -> None:
    """Append a row per entry to the history, with the current time. Source: locust/stats.py, StatsCSVFileWriter."""
    writer._stats_history_data_rows(writer.stats_history_csv_writer, time.time())


def planned_classes(dispatcher: UsersDispatcher) -> list[Any]:
    """The user classes that the dispatcher was created for. Source: locust/dispatch.py."""
    return list(dispatcher._user_classes)


def worker_ids(dispatcher: UsersDispatcher) -> list[str]:
    """The ids of the workers that get users, sorted. Source: locust/dispatch.py."""
    return sorted(node.id for node in dispatcher._worker_nodes)


def send_statistics(runner: WorkerRunner) -> None:
    """Report Locust's statistics now, instead of at the next interval of three seconds. Source: locust/runners.py."""
    runner._send_stats()


def ignore_setting_files() -> None:
    """Make Locust ignore configuration files in the home directory and the working directory.

    Source: locust/argument_parser.py, DEFAULT_CONFIG_FILES, which its parsers pass to configargparse.
    """
    parser: Any = argument_parser.LocustArgumentParser
    make = parser.__init__

    def make_without(self: Any, *positional: Any, **named: Any) -> None:
        make(self, *positional, **named | {"default_config_files": ()})

    parser.__init__ = make_without


def keep_default_arguments() -> None:
    """Build Locust's argument parser only once.

    By default, a worker builds it for each of 100 options on each spawn message, which stalls the event loop for 0.1 s
    at each step of a ramp. Source: locust/runners.py, WorkerRunner.handle_message.
    """
    argument_parser.default_args_dict = functools.cache(argument_parser.default_args_dict)


def prepare_sockets(prepare: Callable[[Any], None]) -> None:
    """Call `prepare` on each socket between master and workers before it is bound or connected.

    Source: locust/rpc/zmqrpc.py; Server and Client call BaseSocket.__init__ before anything else.
    """
    make = BaseSocket.__init__

    def make_prepared(self: BaseSocket, *how: Any, **named: Any) -> None:
        make(self, *how, **named)
        prepare(self.socket)

    BaseSocket.__init__ = make_prepared  # type: ignore[method-assign]


def master_socket(runner: MasterRunner) -> Any:
    """The socket on which the workers' messages arrive.

    Source: locust/runners.py, MasterRunner; locust/rpc/zmqrpc.py.
    """
    return runner.server.socket


def take_stop_button(web_ui: WebUI, stop: Callable[[], dict[str, object]]) -> None:
    """Make the web UI's stop button call `stop`. Source: locust/web.py, the route `/stop`."""
    assert web_ui.app is not None  # noqa: S101 - it is served
    web_ui.app.view_functions["locust.stop"] = stop
