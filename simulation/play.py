"""Plays a schedule into a run directory: a whole run in simulated time, from plan to manifest.

Everything that decides what is sent and recorded is real: plan, arrivals, executor, dispatcher, users, shape,
allotment, crew, recorder, writer and watch. Time, Locust's runners, the wire between them, the target and the operating
system are simulated.
"""

from __future__ import annotations

import functools
import math
import os
import random
from contextlib import closing
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

import gevent
from locust.env import Environment

from loadproof import variables
from loadproof.generator.crew.allotment import UserAllotment
from loadproof.generator.crew.crew import LocalCrew, MasterCrew, WorkerCrew
from loadproof.generator.dispatch.shape import PlanShape
from loadproof.recording.runwriter import RunWriter
from loadproof.run.processes.locust import Generator
from loadproof.run.processes.stopping import StopSignal
from loadproof.run.watching.watch import Watch
from loadproof.rundir.manifest import write_manifest
from loadproof.users.post import Post
from simulation.clock import FakeTime
from simulation.disk import filling_up
from simulation.network import Target
from simulation.playedusers import PlayedUsers
from simulation.rundirs import manifest
from simulation.runners import Child, Leader, PlayedMaster, PlayedRunner, PlayedWorker
from simulation.schedules import LEADER, Schedule
from simulation.surroundings import PlayedSurroundings
from simulation.wire import MASTER, Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from loadproof.rundir.manifest import Manifest

_LONGEST_S: Final = 120.0
_WAY_S: Final = 0.001
_GONE: Final = -9
_SIGINT: Final = 2


@dataclass(frozen=True)
class Played:
    """A finished run."""

    schedule: Schedule
    path: Path
    target: Target
    over_s: float
    failures: list[Exception]
    """Exceptions raised by listeners; Locust logs them and continues."""


def play(schedule: Schedule, path: Path, **habits: object) -> Played:
    """Play until the watch ends; AssertionError if it doesn't within 120 simulated seconds.

    `habits` are attributes for the user class of `health`: tasks, an on_start.
    """
    with closing(_Stage(schedule, path, habits)) as stage:
        return stage.play()


class _Process:
    """One process of the generator: its clock, its part of Locust, its users."""

    def __init__(self, stage: _Stage, number: int, make_runner: Callable[..., PlayedRunner], name: str) -> None:
        self.number = number
        awake_s = functools.partial(stage.schedule.awake_s, number)
        self.clock = stage.time.clock(up_s=1000.0 * number, awake_s=awake_s)
        connect = functools.partial(stage.target.connect, max(number, 1), self.clock)
        self.post = Post(self.clock, lambda *_: connect())
        users = PlayedUsers(self.post, self.clock, stage.habits)
        self.dispatcher = users.dispatcher
        self.runner: Any = make_runner(stage.wire, name, self.clock, stage.time)
        mix = stage.manifest.scenario.mix
        mixed = [cls for cls in users.api_users if cls.endpoint in mix]
        environment: Any = Environment(user_classes=[*mixed, users.dispatcher])
        environment.dispatcher_class = UserAllotment
        environment.runner = self.runner
        self.environment = self.runner.environment = environment
        for cls in mixed:
            cls.weight = mix[cls.endpoint].share * 100


class _Stage:
    """Everything that takes part in one run."""

    def __init__(self, schedule: Schedule, path: Path, habits: Mapping[str, object]) -> None:
        self.schedule = schedule
        self.habits = habits
        self.path = path
        self.time = FakeTime(schedule.seed)
        self._dice = random.Random(f"wire {schedule.seed}")
        self.target = Target(self.time, schedule)
        self.wire = Wire(self.time, self._fate)
        self.manifest: Manifest = manifest(schedule.plan, ending="running").model_copy(
            update={"workers": schedule.workers}
        )
        write_manifest(path, self.manifest)
        self.pipe, self._telling = os.pipe()
        self._is_telling = True
        self.target_process = Child()
        self.stop_signal = StopSignal()
        self.is_distributed = schedule.workers > 1
        self.leader = self._leader()
        first = LEADER + 1
        self.workers = [self._worker(number) for number in range(first, first + schedule.workers * self.is_distributed)]
        self._arrange_faults()

    def _leader(self) -> _Process:
        process = _Process(self, LEADER, PlayedMaster if self.is_distributed else Leader, MASTER)
        runner = process.runner
        shape = type("Shape", (PlanShape,), {"post": process.post, "dispatcher": process.dispatcher})()
        shape.runner = runner
        process.post.assign(self.manifest, rank=0, workers=1)
        with mock.patch.dict(os.environ, {variables.PROGRESS_FD: str(self._telling)}):
            writer = RunWriter(self.path, self.manifest)
        if self.is_distributed:
            self.crew: Any = MasterCrew(process.environment, writer, self.manifest, process.post)
            process.environment.dispatcher_class = functools.partial(UserAllotment, has_part=self.crew.has_part)
        else:
            self.crew = LocalCrew(process.environment, writer, process.post)
        shape.lead(self.crew, writer)
        runner.shape = shape
        runner.child = Child(on_signal=shape.end_early)
        process.environment.events.quit.add_listener(lambda **_: self._hang_up())
        return process

    def _worker(self, number: int) -> _Process:
        process = _Process(self, number, PlayedWorker, f"worker-{number}")
        WorkerCrew(process.environment, process.post)
        return process

    def play(self) -> Played:
        runner = self.leader.runner
        generator = Generator(
            runner.child,
            self.pipe,
            [worker.runner.child for worker in self.workers],
            wait_s=60 if self.is_distributed else 0,
        )
        watch = Watch(
            self.path,
            self.manifest,
            generator=generator,
            target=self.target_process,  # type: ignore[arg-type]
            broken=lambda _: None,
            around=PlayedSurroundings(self.time.clock()),
        )
        silent: Any = SimpleNamespace(show=lambda _: None, say=lambda _: None)
        full_s = min((fault.at_s for fault in self.schedule.of("disk")), default=math.inf)
        with filling_up(lambda: self.time.now_s >= full_s):
            runner.start_shape()
            watching = gevent.spawn(watch.until_over, silent, self.stop_signal)
            self.time.advance_until(watching.ready, within_s=_LONGEST_S)
        write_manifest(self.path, watching.get())
        return Played(self.schedule, self.path, self.target, self.time.now_s, self.wire.failures)

    def close(self) -> None:
        """Close whatever a real process keeps open until it exits."""
        self.wire.close()
        self._hang_up()
        os.close(self.pipe)
        self.crew.writing.csv.close()

    def _hang_up(self) -> None:
        """Close the leader's end of the pipe, as when the leader exits."""
        if self._is_telling:
            self._is_telling = False
            os.close(self._telling)

    def _fate(self) -> list[float]:
        """Delays of the copies of the next message; see `simulation.wire.Fate`."""
        copies, longest_s = 1, _WAY_S
        for fault in self.schedule.of("lost", "doubled", "late"):
            if fault.at_s <= self.time.now_s:
                is_met = self._dice.random() < fault.size
                if fault.kind == "late":
                    longest_s = fault.size
                elif is_met:
                    copies = 0 if fault.kind == "lost" else 2 * copies
        return [longest_s * self._dice.random() for _ in range(copies)]

    def _arrange_faults(self) -> None:
        for fault in self.schedule.faults:
            arrange: Any = {
                "join": self._join,
                "death": functools.partial(self._die, fault.process),
                "quit": functools.partial(self._quit, fault.process),
                "interrupt": functools.partial(setattr, self.stop_signal, "number", _SIGINT),
                "target": functools.partial(self.target_process.ends, _GONE),
            }.get(fault.kind)
            if arrange:
                self.time.call_at(fault.at_s, arrange)

    def _join(self) -> None:
        """Add a worker that nobody expected."""
        number = len(self.workers) + 1
        newcomer = self._worker(number)
        self.workers.append(newcomer)
        gevent.spawn(self.leader.runner.hear_of, SimpleNamespace(id=f"worker-{number}"))

    def _process(self, number: int) -> _Process:
        return self.leader if number == LEADER else self.workers[number - 1]

    def _die(self, number: int) -> None:
        process = self._process(number)
        self.wire.cut(MASTER if number == LEADER else f"worker-{number}")
        process.runner.child.ends(_GONE)
        if number == LEADER:
            self._hang_up()

    def _quit(self, number: int) -> None:
        gevent.spawn(self._process(number).runner.quit)
