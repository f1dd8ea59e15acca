"""Locust's private parts that loadproof needs, each behind a name of ours.

A new Locust may change them without notice: `tests/loadproof/internals/test_locust.py` reports which ones changed.
Source of all: locust 2.47.
"""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any, Final

from locust import User, argument_parser, clients, runners
from locust.clients import HttpSession, ResponseContextManager
from locust.contrib import fasthttp
from locust.contrib.fasthttp import FastHttpSession
from locust.event import EventHook
from locust.exception import InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately, StopTest, StopUser
from locust.rpc.zmqrpc import BaseSocket
from locust.user import users
from locust.user.task import LOCUST_STATE_STOPPING, TaskSet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from locust.dispatch import UsersDispatcher
    from locust.env import Environment
    from locust.runners import MasterRunner, Runner, WorkerRunner
    from locust.stats import StatsCSVFileWriter
    from locust.web import WebUI


_MASKED: Final = ("exception", "name", "request_type", "url")
"""Of an event, what is recorded."""


_ORDERS: Final = (InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately, StopTest, StopUser)
"""Of a listener to whoever fired the event. Source: locust/event.py, EventHook.fire."""


def is_stopping(user: User) -> bool:
    """Locust wants this user to end at its next wait. Source: locust/user/users.py, User.stop."""
    return bool(user._state == LOCUST_STATE_STOPPING)


def last_pacing(user: User) -> tuple[float, float]:
    """When a user's `constant_pacing` was last asked how long to wait, by `time.perf_counter`, and what it said, in s.

    Source: locust/user/wait_time.py, constant_pacing; locust/user/users.py, User.__init__.
    """
    return user._cp_last_run, user._cp_last_wait_time


def wait_by(user: User, sleep: Callable[[float], None]) -> None:
    """Make `User.wait` use another clock from now on: the only place where Locust's users sleep.

    Source: locust/user/users.py, User.wait; locust/user/task.py, TaskSet.wait.
    """
    tasks: Any = user._taskset_instance
    tasks._sleep = sleep
    tasks.wait()


def only_the_runner_listens(environment: Environment) -> bool:
    """Nothing but the runner's own statistics listens to the `request` event; False where this can't be known.

    Source: locust/event.py; locust/runners.py, Runner.__init__'s `on_request`.
    """
    handlers: list[Any] | None = getattr(environment.events.request, "_handlers", None)
    return (
        handlers is not None
        and len(handlers) == 1
        and getattr(handlers[0], "__qualname__", "") == "Runner.__init__.<locals>.on_request"
    )


def mask_events(
    environment: Environment, *, error: Callable[[BaseException], BaseException], text: Callable[[str], str]
) -> None:
    """Fire the events of requests and of users' mistakes with masked exceptions and names, the latter as texts.

    Source: locust/event.py, EventHook.fire; locust/runners.py, the runners' `on_request` and `on_user_error`.
    """

    def masked(value: Any) -> Any:
        if isinstance(value, BaseException):
            return error(value)
        return text(str(value))

    def fire_masked(fire: Callable[..., None], **named: Any) -> None:
        fire(**named | {key: masked(named[key]) for key in _MASKED if named.get(key)})

    for hook in (environment.events.request, environment.events.user_error):
        hook.fire = functools.partial(fire_masked, hook.fire)  # type: ignore[method-assign]


def tell_exceptions(listener_raised: Callable[[EventHook, Exception], None], ended: Callable[[Any], None]) -> None:
    """From now on, call these with what a listener of any event raises, and with what ends a greenlet of Locust's.

    Locust notes the first, and that its process ends with an error code. What one of ours raises ends whatever it can.
    Source: locust/event.py, EventHook.fire; locust/runners.py, locust_exception_handler.
    """

    def fire(hook: EventHook, *, reverse: bool = False, **named: Any) -> None:
        for listener in hook._handlers[::-1] if reverse else hook._handlers.copy():
            try:
                listener(**named)
            except _ORDERS:
                raise
            except Exception as error:
                if _is_ours(listener):
                    raise
                listener_raised(hook, error)

    EventHook.fire = fire  # type: ignore[method-assign, assignment]
    make_handler = runners.locust_exception_handler

    def make_telling(environment: Environment) -> Callable[[Any], None]:
        handle = make_handler(environment)

        def handle_told(greenlet: Any) -> None:
            ended(greenlet.exception)
            handle(greenlet)

        return handle_told

    runners.locust_exception_handler = make_telling


def report_exception(runner: Runner, message: str, frames: str) -> None:
    """Have Locust count it with those of users' tasks.

    Source: locust/runners.py, on_user_error of LocalRunner and of WorkerRunner.
    """
    if isinstance(runner, runners.WorkerRunner):
        runner.send_message("exception", {"msg": message, "traceback": frames})
    else:
        runner.log_exception("local", message, frames)


def call_ours_last(hook: EventHook) -> None:
    """All other listeners come first, whenever they were added. Source: locust/event.py, EventHook.fire."""
    hook._handlers.sort(key=_is_ours)


def _is_ours(listener: Any) -> bool:
    return getattr(listener, "__module__", "").startswith("loadproof.")


def end_with(environment: Environment, code: Callable[[], int]) -> None:
    """The process's exit code, whatever listeners of its end have made of it.

    Source: locust/main.py, shutdown, which calls them in reverse.
    """

    def decide(**_: Any) -> None:
        environment.process_exit_code = code()

    environment.events.quitting._handlers.insert(0, decide)


def hear_requests(environment: Environment, hear: Callable[[Mapping[str, Any]], None]) -> None:
    """Call `hear` with each `request` event, ahead of all listeners, one of which may keep it from the others.

    Source: locust/event.py, EventHook.fire, which lets some exceptions of a listener pass.
    """
    hook = environment.events.request
    fire = hook.fire

    def fire_heard(**named: Any) -> None:
        hear(named)
        fire(**named)

    hook.fire = fire_heard  # type: ignore[method-assign]


def follow_users(
    live: Callable[[User, Callable[[], None]], None], take_turn: Callable[[User, Callable[[], None]], None]
) -> None:
    """From now on, call `live` for each user's life, and `take_turn` for each of its tasks, with what runs it.

    Source: locust/user/users.py, User.run; locust/user/task.py, TaskSet.run, whose only way to a task is
    execute_next_task: execute_task may be a set's own.
    """
    run: Callable[[User], None] = User.run

    def followed_run(user: User) -> None:
        live(user, functools.partial(run, user))

    User.run = followed_run  # type: ignore[method-assign, misc]  # it is final for users' own classes

    execute: Callable[[TaskSet], None] = TaskSet.execute_next_task

    def execute_followed(tasks: TaskSet) -> None:
        if isinstance(tasks._task_queue[0], type):
            # A nested set, whose tasks are followed.
            execute(tasks)
        else:
            take_turn(tasks.user, functools.partial(execute, tasks))

    TaskSet.execute_next_task = execute_followed  # type: ignore[method-assign]


def follow_requests(
    send: Callable[[str, str, Callable[[], Any]], Any],
    *,
    timeouts_s: Callable[[], tuple[float, float]],
    heirs: Iterable[type[HttpSession]] = (),
) -> None:
    """From now on, call `send` for each request of Locust's two HTTP clients, with its method, name, and what sends it.

    `heirs` of the first have a `request` of their own, with the same parameters. These wait for ever where they aren't
    told a timeout: they get these two, for connecting and for each wait for the answer.
    Source: locust/clients.py, HttpSession.request; locust/contrib/fasthttp.py, FastHttpSession.request.
    """

    def followed(request: Any, *, has_timeout: bool) -> Any:
        @functools.wraps(request)
        def request_followed(session: Any, method: str, url: str, *rest: Any, **options: Any) -> Any:
            if not has_timeout:
                options.setdefault("timeout", timeouts_s())
            name = options.get("name") or (rest[0] if rest else None) or session.request_name or url
            return send(method, name, functools.partial(request, session, method, url, *rest, **options))

        return request_followed

    waiting: list[Any] = [HttpSession, *heirs]
    for session in waiting:
        session.request = followed(session.request, has_timeout=False)
    FastHttpSession.request = followed(FastHttpSession.request, has_timeout=True)  # type: ignore[method-assign]


def take_places(session: type[HttpSession], fast_session: type[FastHttpSession]) -> None:
    """Make these what Locust's users, and locustfiles that are loaded from now on, take for Locust's two clients.

    Source: locust/user/users.py, HttpUser.__init__; locust/contrib/fasthttp.py, FastHttpUser.__init__.
    """
    vars(users)["HttpSession"] = vars(clients)["HttpSession"] = session
    vars(fasthttp)["FastHttpSession"] = fast_session


def body_read(response: Any) -> bytes:
    """What has been read of an answer's body, without reading more of it.

    Source: requests/models.py, Response.content; locust/contrib/fasthttp.py, FastResponse.
    """
    for name in ("_content", "_cached_content"):
        if isinstance(body := getattr(response, name, None), bytes):
            return body
    return b""


def report_to(response: Any, request_event: EventHook, meta: dict[str, Any], *, is_caught: bool) -> None:
    """Give the response, of requests or of Locust, what it needs to fire the event when it is left.

    Source: locust/clients.py, ResponseContextManager.wrap_response, which would also change the class of those that
    have one of their own.
    """
    if not isinstance(response, ResponseContextManager):
        response.__class__ = ResponseContextManager
    response._entered = False
    response._manual_result = None
    response._request_event = request_event
    response._catch_response = is_caught
    response.request_meta = meta


def is_reported(response: ResponseContextManager) -> bool:
    """Fire the event of a response that was no failure, unless the locustfile has said what it is.

    Source: locust/clients.py, ResponseContextManager.__exit__.
    """
    if response._manual_result is not None:
        return False
    # Not kept in what the response keeps: it would be freed by the garbage collector only.
    response._request_event.fire(**response.request_meta, response=response)
    return True


def complete_url(session: HttpSession | FastHttpSession, url: str) -> str:
    """Below the session's base URL, if it is no URL of its own. Source: locust/clients.py and contrib/fasthttp.py."""
    return session._build_url(url)


def append_history(writer: StatsCSVFileWriter) -> None:
    """Add a row per entry to the history, as of now. Source: locust/stats.py, StatsCSVFileWriter."""
    writer._stats_history_data_rows(writer.stats_history_csv_writer, time.time())


def planned_classes(dispatcher: UsersDispatcher) -> list[Any]:
    """The user classes that the dispatcher was created for. Source: locust/dispatch.py."""
    return list(dispatcher._user_classes)


def worker_ids(dispatcher: UsersDispatcher) -> list[str]:
    """The workers that users go to, in the order of their ids. Source: locust/dispatch.py."""
    return sorted(node.id for node in dispatcher._worker_nodes)


def send_statistics(runner: WorkerRunner) -> None:
    """Report what Locust's statistics hold now, instead of in three seconds. Source: locust/runners.py."""
    runner._send_stats()


def ignore_setting_files() -> None:
    """Make Locust read no configuration file, neither in the home directory nor in the working directory.

    Source: locust/argument_parser.py, DEFAULT_CONFIG_FILES, which its parsers hand on to configargparse.
    """
    parser: Any = argument_parser.LocustArgumentParser
    make = parser.__init__

    def make_without(self: Any, *positional: Any, **named: Any) -> None:
        make(self, *positional, **named | {"default_config_files": ()})

    parser.__init__ = make_without


def keep_default_arguments() -> None:
    """Build Locust's argument parser once.

    A worker builds it for each of 100 options at each spawn message, which stalls the event loop for 0.1 s at each step
    of a ramp. Source: locust/runners.py, WorkerRunner.handle_message.
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
