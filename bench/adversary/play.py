"""Runs loadproof's command line as users do, against a server or on files."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from bench.adversary.bank import Honest
from bench.adversary.case import FAIL, Case, Check, Played
from bench.adversary.scenarios import CLOSED, Scenario
from bench.adversary.wire import Script, Server, serving
from bench.serving import ROOT
from loadproof.run.machine.ports import free_port

MOST_S = 150
WEBHOOK_SECRET = "whsec_bG9hZHByb29mLW9mLXRoZS1hZHZlcnNhcnk="  # noqa: S105 - for private servers only
Environment = dict[str, str]


class Command:
    """A command running in the background, for a limited time."""

    def __init__(
        self, *arguments: object, port: int = 0, cwd: Path = ROOT, environment: Environment, under: tuple[str, ...] = ()
    ) -> None:
        self.port = port
        self.last = arguments[-1]
        """The last argument; for a run, the directory of its reports."""
        self.beside: list[subprocess.Popen[bytes]] = []
        self.process = subprocess.Popen(
            [*under, sys.executable, "-P", "-m", "loadproof", *map(str, arguments)],
            cwd=cwd,
            env={**os.environ, "COLUMNS": "200", "PYTHONPATH": str(ROOT), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )

    def children(self, of: str = "locust") -> list[psutil.Process]:
        """Descendants with this text in their command line."""
        with contextlib.suppress(psutil.Error):
            found = psutil.Process(self.process.pid).children(recursive=True)
            return [one for one in found if any(of in word for word in one.cmdline())]
        return []

    def end(self, most_s: float = MOST_S) -> tuple[int | None, str]:
        """Wait for the exit; returns exit code and output, with None for the code if it had to be killed."""
        try:
            output, _ = self.process.communicate(timeout=most_s)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            return None, self.process.communicate()[0]
        finally:
            for one in self.beside:
                one.kill()
                one.wait()
        return self.process.returncode, output


Deed = Callable[[Command, Server], "Iterable[subprocess.Popen[bytes]] | None"]
"""An action on a run; the processes that it returns are killed when the run ends."""


@dataclass(frozen=True)
class During:
    """An action on a run while it is running."""

    do: Deed
    at_s: float | None = 2.0
    """Seconds after the first request of the load; None: immediately."""

    def follow(self, command: Command, server: Server) -> None:
        """Wait for the moment, unless the command exits before, and act."""
        while command.process.poll() is None:
            if self.at_s is None or (server.began_s is not None and time.monotonic() - server.began_s >= self.at_s):
                command.beside += self.do(command, server) or ()
                return
            time.sleep(0.02)


@dataclass(frozen=True, kw_only=True)
class Run:
    """`loadproof run` of a scenario against a server with this script."""

    script: Callable[[], Script] = Honest
    scenario: Scenario = field(default_factory=lambda: CLOSED)
    options: tuple[object, ...] = ()
    environment: Environment = field(default_factory=dict)
    target: str | None = None
    """A target file; URL is replaced by the server's."""
    users: dict[str, str] = field(default_factory=dict)
    """Locustfiles by name, instead of loadproof's own."""
    around: dict[str, str] = field(default_factory=dict)
    """Other files in the working directory."""
    during: tuple[During, ...] = ()
    idle_s: float | None = None
    farewell: bytes = b""
    reads_bodies: bool = True
    url: str | None = None
    """Replaces the server's URL."""
    embedded: bool = False
    """Use the reference API as the target, and leave the server unused."""
    under: tuple[str, ...] = ()
    times: int = 1
    command: tuple[str, ...] = ("run",)

    def __call__(self, directory: Path) -> Played:
        server = Server(self.script(), idle_s=self.idle_s, farewell=self.farewell, reads_bodies=self.reads_bodies)
        with serving(server):
            for number in range(self.times):
                played = self._once(directory, server, directory / f"out-{number}")
        return played

    def _once(self, directory: Path, server: Server, reports: Path) -> Played:
        server.begin_anew()
        port = free_port()
        options = [str(option).replace("PORT", str(port)) for option in self.options]
        arguments = [*self.command, *self._written(directory, server), *options]
        arguments += [] if "--out" in options else ["--out", reports]
        cwd = directory if self.around else ROOT
        command = Command(*arguments, port=port, cwd=cwd, environment=self._environment(server), under=self.under)
        for during in self.during:
            threading.Thread(target=during.follow, args=(command, server), daemon=True).start()
        code, output = command.end()
        return Played(code, output, reports, server.seen)

    def _environment(self, server: Server) -> Environment:
        url = {} if self.target or self.embedded else {"TARGET_URL": self.url or server.url}
        return {**url, "WEBHOOK_SECRET": WEBHOOK_SECRET, **self.environment}

    def _written(self, directory: Path, server: Server) -> list[object]:
        """Write the files that the command reads; returns the arguments that name them."""
        scenario = directory / "tried.yaml"
        scenario.write_text(yaml.safe_dump(self.scenario, sort_keys=False))
        arguments: list[object] = [scenario]
        for name, text in self.around.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_text(text)
        if self.users:
            (directory / "users").mkdir(exist_ok=True)
            for name, text in self.users.items():
                (directory / "users" / f"{name}.py").write_text(text)
            arguments += ["--locustfiles", directory / "users"]
        if self.target is not None:
            (directory / "target.yaml").write_text(self.target.replace("URL", self.url or server.url))
            arguments += ["--target", directory / "target.yaml"]
        return arguments


def running(
    kind: str,
    name: str,
    tries: str,
    *,
    right: tuple[str, ...] = (FAIL,),
    also: tuple[Check, ...] = (),
    never: tuple[Check, ...] = (),
    needs: Callable[[], bool] | None = None,
    **run: Any,
) -> Case:
    """A case that consists of a run with these fields."""
    return Case(name=name, kind=kind, tries=tries, right=right, play=Run(**run), also=also, never=never, needs=needs)


@dataclass(frozen=True, kw_only=True)
class Report:
    """`loadproof report` on files from elsewhere; `what` are its arguments, relative to the directory."""

    files: dict[str, bytes]
    what: tuple[str, ...]
    thresholds: list[dict[str, object]] | None = None

    def __call__(self, directory: Path) -> Played:
        for name, content in self.files.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_bytes(content)
        arguments: list[object] = ["report", *(one.replace("DIR", str(directory)) for one in self.what)]
        if self.thresholds is not None:
            (directory / "thresholds.yaml").write_text(yaml.safe_dump({"thresholds": self.thresholds}))
            arguments += ["--thresholds", directory / "thresholds.yaml"]
        reports = directory / "told"
        command = Command(*arguments, "--out", reports, environment={})
        code, output = command.end()
        return Played(code, output, reports)


@dataclass(frozen=True, kw_only=True)
class Judge:
    """`loadproof report RUN` on a run directory that this function writes."""

    write: Callable[[Path], object]
    options: tuple[object, ...] = ()

    def __call__(self, directory: Path) -> Played:
        run = directory / "run"
        self.write(run)
        code, output = Command("report", run, *self.options, environment={}).end()
        return Played(code, output, run)
