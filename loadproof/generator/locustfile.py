"""The locustfile that loadproof adds to the users': sets up the shape, the dispatcher, and this process's role."""

from __future__ import annotations

import functools
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gevent
from locust import events
from locust.runners import MasterRunner, WorkerRunner

from loadproof import variables
from loadproof.errors import TargetError
from loadproof.generator.crew.allotment import UserAllotment
from loadproof.generator.crew.crew import LocalCrew, MasterCrew, WorkerCrew
from loadproof.generator.crew.measuring import look_for_garbage_rarely
from loadproof.generator.crew.sockets import SocketKeys, watch_strangers
from loadproof.generator.dispatch import dispatcher, shape
from loadproof.generator.guards.lastwords import say_who_ends_it
from loadproof.generator.guards.raised import Raised
from loadproof.generator.plainlocust.following import follow_plain_users
from loadproof.generator.plainlocust.targetterms import hand_terms
from loadproof.internals.locust import keep_default_arguments, master_socket, prepare_sockets, take_stop_button
from loadproof.internals.locustevents import end_with, mask_events, tell_exceptions
from loadproof.recording.announcements import StopAsked, StrangerRefused
from loadproof.recording.runwriter import RunWriter
from loadproof.rundir.manifest import read_manifest
from loadproof.users.post import THIS_PROCESS
from loadproof.users.tokenkeeper import keep_token
from loadproof.users.user import api_users, take_likes

if TYPE_CHECKING:
    from locust.env import Environment
    from locust.web import WebUI

    from loadproof.generator.dispatch.shape import PlanShape
    from loadproof.rundir.manifest import Manifest

# Locust loads this file before it creates its runner, and with it the sockets.
prepare_sockets(SocketKeys().prepare)
# And before it loads any other locustfile.
hand_terms()


class LoadproofDispatcher(dispatcher.ArrivalDispatcher):
    """The open model's single user; each worker has one."""


class LoadproofShape(shape.PlanShape):
    dispatcher = LoadproofDispatcher


raised = Raised(masked=lambda error: THIS_PROCESS.workload().mask(str(error)))
tell_exceptions(raised.by_listener, raised.in_greenlet)


@events.init.add_listener
def _set_up(environment: Environment, **_: Any) -> None:
    raised.runner = environment.runner
    environment.events.test_stopping.add_listener(lambda **_: say_who_ends_it())
    gevent.spawn(_quit_with_parent, environment.runner, int(os.environ.get(variables.PARENT, os.getppid())))
    follow_plain_users(environment, LoadproofDispatcher)
    # After it, so that the events it hears are masked.
    mask_events(environment, error=_masked_error, text=_masked_text)
    if not isinstance(environment.runner, MasterRunner):
        environment.events.test_start.add_listener(look_for_garbage_rarely)
    if isinstance(environment.runner, WorkerRunner):
        _set_up_worker(environment)
    else:
        _set_up_leader(environment)


def _set_up_worker(environment: Environment) -> None:
    """Wait for the master to assign a share of the run."""
    keep_default_arguments()
    part = WorkerCrew(environment)
    end_with(environment, lambda: int(part.has_refused))


def _set_up_leader(environment: Environment) -> None:
    """Set up the process that follows the plan and writes the run directory."""
    path = _run_directory()
    manifest = read_manifest(path)
    writer = RunWriter(path, manifest)
    THIS_PROCESS.assign(manifest, rank=0, workers=1)
    environment.dispatcher_class = UserAllotment
    take_likes(environment, manifest.scenario)
    for cls in api_users(environment):
        if cls.endpoint in manifest.scenario.mix:
            cls.weight = manifest.scenario.mix[cls.endpoint].share * 100
    plan: Any = environment.shape_class
    plan.begins_at_unix_s = float(os.environ.get(variables.BEGINS_AT, "-inf"))
    if manifest.scenario.locustfile is not None:
        plan.begin_after(environment.events.test_start)
    crew = _crew_of(environment, writer, manifest)
    plan.lead(crew, writer)
    end_with(environment, lambda: int(not crew.is_sound))
    if not isinstance(environment.runner, MasterRunner):
        _hold_token(environment)
    gevent.signal_handler(signal.SIGUSR1, plan.end_early)
    if environment.web_ui is not None:
        _take_stop_button(environment.web_ui, plan, writer)


def _run_directory() -> Path:
    named = os.environ.get(variables.RUN)
    if named is None:
        raise SystemExit(f"{Path(__file__).name}: no run directory; use `loadproof run`, or -f locustfiles alone")
    return Path(named)


def _crew_of(environment: Environment, writer: RunWriter, manifest: Manifest) -> MasterCrew | LocalCrew:
    """The processes that send: this process's workers, or the process itself."""
    if isinstance(environment.runner, MasterRunner):
        crew = MasterCrew(environment, writer, manifest)
        # Locust only calls it, so it need not be a class.
        environment.dispatcher_class = functools.partial(UserAllotment, has_part=crew.has_part)  # type: ignore[assignment]
        watch_strangers(master_socket(environment.runner), lambda: writer.announce(StrangerRefused()))
        return crew
    return LocalCrew(environment, writer)


def _hold_token(environment: Environment) -> None:
    """Obtain a token if the target needs one, or exit: without it, all requests would be refused."""
    try:
        keep_token(environment)
    except TargetError as error:
        raise SystemExit(str(error)) from None


def _masked_error(error: BaseException) -> BaseException:
    """The error without the secrets of the run that this process takes part in at that time."""
    return THIS_PROCESS.workload().mask.error(error)


def _masked_text(text: str) -> str:
    return THIS_PROCESS.workload().mask(text)


def _take_stop_button(web_ui: WebUI, plan: PlanShape, writer: RunWriter) -> None:
    """Make the stop button end the run cleanly: Locust's would kill the shape and lose the last reports."""

    def stop() -> dict[str, object]:
        writer.announce(StopAsked("in the web UI"))
        plan.end_early()
        return {"success": True, "message": "Test stopped"}

    take_stop_button(web_ui, stop)


def _quit_with_parent(runner: Any, parent: int) -> None:
    while os.getppid() == parent:
        gevent.sleep(0.5)
    runner.quit()
