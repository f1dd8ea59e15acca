"""Injects a scenario's faults into its run on schedule, and undoes them however the run ends."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from loadproof.errors import TargetError
from loadproof.plan.faultspans import FaultSpan, fault_spans
from loadproof.plan.phases import plan_phases
from loadproof.run.faults.commandfaults import CommandFaults, named
from loadproof.run.faults.keeperclient import FaultError, KeeperClient, fault_keeper
from loadproof.run.machine.ports import LOOPBACK
from loadproof.rundir.rows import FAULT_BEGUN, FAULT_ENDED, FAULT_FAILED
from loadproof.scenario.faults import Backup, CommandFault, Kill, NamedCommand, Pause, Restart
from loadproof.scenario.target.way import TlsSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from loadproof.run.faults.commandfaults import Note
    from loadproof.run.faults.commands import TargetCommands
    from loadproof.run.servers.ownserver import OwnServer
    from loadproof.run.servers.sharedredis import SharedRedis
    from loadproof.rundir.manifest import TargetFacts
    from loadproof.scenario.scenario import Scenario

_LOOK_S: Final = 0.1
"""How late a command's end may be noted."""
_LAST_MOMENT_S: Final = 1.0
"""A command with no more than this time left when the run is over is waited for, not stopped: it is late by itself."""
_PORTS: Final = {"http": 80, "https": 443, "redis": 6379}


@contextmanager
def faults_of(scenario: Scenario, directory: Path, *, cores: set[int]) -> Iterator[Faults]:
    """The scenario's faults, all undone at the end; starts a process to inject them only if there are any."""
    if not scenario.faults:
        yield Faults()
        return
    with fault_keeper(directory, cores=cores) as keeper:
        faults = Faults(fault_spans(scenario.faults, plan_phases(scenario)), keeper)
        try:
            yield faults
        finally:
            faults.end()


class Faults:
    """The faults of one run; does nothing if there are none."""

    def __init__(self, spans: Sequence[FaultSpan] = (), keeper: KeeperClient | None = None) -> None:
        self._spans = spans
        self.keeper = keeper
        """None if there are no faults."""
        self.servers: dict[str, OwnServer] = {}
        """Servers that the run has started, by their name in a fault's `of`; set once they run."""
        self.commands: TargetCommands | None = None
        """Set once the target's commands are known."""
        self._running: CommandFaults | None = None
        self._thread: threading.Thread | None = None
        self._is_over = threading.Event()
        self._active: list[FaultSpan] = []

    def in_front_of(self, target: TargetFacts) -> TargetFacts:
        """The target as seen through a proxy if it has network faults; else the target itself."""
        port = self._proxy_port("target", target.base_url)
        if port is None:
            return target
        url = urlsplit(target.base_url)
        changes: dict[str, object] = {
            "base_url": url._replace(netloc=f"{LOOPBACK}:{port}").geturl(),
            "behind": target.base_url,
        }
        if target.kind == "own" and "host" not in map(str.lower, target.headers):
            changes["headers"] = {**target.headers, "Host": url.netloc}
        if url.scheme == "https":
            tls = target.tls or TlsSettings()
            changes["tls"] = tls.model_copy(update={"server_name": tls.server_name or url.hostname})
        return target.model_copy(update=changes)

    def in_front_of_redis(self, redis: SharedRedis) -> SharedRedis:
        """The Redis as the target should reach it: through a proxy if it has network faults."""
        if redis.server is not None:
            self.servers["redis"] = redis.server
        port = self._proxy_port("redis", redis.url) if redis.url else None
        if port is None:
            return redis
        url = urlsplit(redis.url)
        user, separator, _ = url.netloc.rpartition("@")
        return replace(redis, url=url._replace(netloc=f"{user}{separator}{LOOPBACK}:{port}").geturl())

    def adopt(self, directory: str) -> None:
        """Have this directory removed at the end, even if the run is killed."""
        if self.keeper is not None:
            self.keeper.adopt(directory)

    def _proxy_port(self, of: str, url: str) -> int | None:
        if self.keeper is None or not any(span.fault.is_of_network and span.fault.of == of for span in self._spans):
            return None
        parts = urlsplit(url)
        return self.keeper.proxy(of, parts.hostname or "", parts.port or _PORTS[parts.scheme])

    def begin(self, start_unix_s: float, note: Note) -> None:
        """Start the schedule; second 0 of the run is, or will be, at this Unix time."""
        if self._spans:
            self._running = CommandFaults(self.commands, note) if self.commands else None
            self._thread = threading.Thread(target=self._run, args=[start_unix_s, note], name="faults")
            self._thread.start()

    def end(self) -> None:
        """Begin no more faults, and return once the active ones are undone."""
        self._is_over.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, start_unix_s: float, note: Note) -> None:
        # Monotonic from here on, in case the clock is set.
        start_s = time.monotonic() + start_unix_s - time.time()
        begins = [(span.start_s, 1, span) for span in self._spans]
        ends = [(span.end_s, 0, span) for span in self._spans]
        for at_s, is_begin, span in sorted(begins + ends, key=lambda due: due[:2]):
            if self._is_over_by(start_s + at_s):
                break
            if is_begin:
                self._try(self._do, span, note, FAULT_BEGUN)
                self._active.append(span)
            else:
                self._active.remove(span)
                self._try(self._undo, span, note, FAULT_ENDED)
        for span in self._active:
            if not isinstance(span.fault, CommandFault):
                self._try(self._undo, span, note, FAULT_ENDED)
        if self._running is not None:
            left_s = max((start_s + span.end_s - time.monotonic() for span in self._active), default=0.0)
            self._running.finish(is_early=left_s > _LAST_MOMENT_S)
        self._is_over.wait()
        self._look_after_keeper(note)

    def _is_over_by(self, at_s: float) -> bool:
        """Wait until this time while noting commands that end; True as soon as the run is over."""
        while self._running is not None and not self._running.are_over and time.monotonic() < at_s - _LOOK_S:
            if self._is_over.wait(_LOOK_S):
                return True
            self._running.look()
        return self._is_over.wait(at_s - time.monotonic())

    def _look_after_keeper(self, note: Note) -> None:
        """Note if the process that injects faults is gone with its proxies: then failures aren't the target's fault."""
        for span in sorted(self._spans, key=lambda span: not span.fault.is_of_network)[:1]:
            try:
                if self.keeper is not None:
                    self.keeper.look()
            except FaultError as error:
                note(FAULT_FAILED, json.dumps({**named(span), "reason": str(error)}))

    def _try(self, change: Callable[[FaultSpan, KeeperClient], None], span: FaultSpan, note: Note, kind: str) -> None:
        detail = named(span)
        try:
            if self.keeper is not None:
                change(span, self.keeper)
        except TargetError as error:
            is_targets = span.fault.of == "target"
            kind, detail = FAULT_FAILED, detail | {"reason": str(error), "is_targets": is_targets}
        except (FaultError, OSError) as error:
            kind, detail = FAULT_FAILED, detail | {"reason": str(error)}
        if kind != FAULT_ENDED or not isinstance(span.fault, CommandFault):
            # The end of a command is noted when the command really ends.
            note(kind, json.dumps(detail))

    def _do(self, span: FaultSpan, keeper: KeeperClient) -> None:
        match span.fault:
            case Pause():
                keeper.pause(self._server_of(span).process.pid)
            case Kill() | Restart():
                self._server_of(span).take_down(politely=isinstance(span.fault, Restart))
            case Backup() | NamedCommand():
                if self._running is None:
                    raise FaultError("the target names no commands")
                self._running.begin(span)
            case fault:
                keeper.begin(fault.of, span.number, fault)

    def _undo(self, span: FaultSpan, keeper: KeeperClient) -> None:
        match span.fault:
            case Pause():
                self._resume(self._server_of(span).process.pid, keeper)
            case Kill() | Restart():
                self._server_of(span).bring_up()
            case Backup() | NamedCommand():
                if self._running is not None:
                    self._running.end(span)
            case fault:
                keeper.end(fault.of, span.number)

    def _resume(self, group: int, keeper: KeeperClient) -> None:
        try:
            keeper.resume(group)
        except FaultError:
            # The process that paused it is gone: without this it would stay paused until killed, and never clean up.
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGCONT)
            raise

    def _server_of(self, span: FaultSpan) -> OwnServer:
        """The server that the fault happens to, which leads its own process group; FaultError if the run has none."""
        if span.fault.of not in self.servers:
            raise FaultError("not started by this run")
        return self.servers[span.fault.of]
