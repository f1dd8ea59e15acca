"""The `loadproof` command as a user types it: in this process if that is enough, else in a separate one."""

from __future__ import annotations

import contextlib
import functools
import gzip
import importlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import psutil
import typer.main
import yaml

from loadproof.cli import app
from loadproof.rundir import files

ROOT = Path(__file__).parent.parent
_COMMANDS = functools.cache(typer.main.get_command)
"""Cached: building the commands takes half of the time of a refused command."""
GENERATOR = "loadproof.generator.locust"
"""The module that each process of a generator runs."""
SHIPPED = [
    ROOT / f"scenarios/{name}.yaml"
    for name in sorted(set(re.findall(r"\$\(RUN\) scenarios/(\S+)\.yaml", (ROOT / "Makefile").read_text())))
]
"""Scenarios with a `make` command. Others in that folder belong to users."""
QUICK = {
    "name": "quick",
    "model": "closed",
    "deadline": "1 s",
    "mix": {
        "balance": {"share": "50 %", "every": "200 ms"},
        "transactions": {"share": "20 %", "every": "200 ms"},
        "health": {"share": "20 %", "every": "100 ms"},
        "webhooks": {"share": "10 %", "every": "200 ms"},
    },
    "phases": [
        {"name": "warm-up", "warm_up": True, "duration": "1 s", "users": 20},
        {"name": "steady", "duration": "3 s", "users": 20},
        {"name": "bursts", "users": 20, "burst": {"times": 2, "every": "1 s"}},
    ],
    "timeouts": {"connect": "5 s", "total": "5 s"},
    "thresholds": [
        {"endpoint": ["balance", "health"], "phase": "steady", "expect": "p(90) < 400 ms"},
        {"phase": "steady", "expect": "error_ratio < 5 %"},
        {"phase": "steady", "expect": "goodput_ratio >= 90 %"},
        {"phase": "bursts", "expect": "spread <= 50 ms"},
    ],
    "settings": {"limiter": "off"},
}
ENDLESS = {
    "phases": [{"name": "steady", "duration": "2 min", "users": 20}],
    "thresholds": [{"expect": "goodput_ratio >= 90 %"}],
}
"""Changes to the quick scenario for runs that are ended early: long enough however late that happens."""


def scenario_file(path: Path, **changes: object) -> Path:
    """Write the quick scenario with changes to a file."""
    file = path / "quick.yaml"
    file.write_text(yaml.safe_dump(QUICK | changes))
    return file


def in_process(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end in this process, but not its children; the working directory is the repository."""
    # Imported first, because the console reads its width only once, and not from this command's environment.
    importlib.import_module("loadproof.cli.console.options")
    command = ["loadproof", *map(str, arguments)]
    output, errors = io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, environment),
        mock.patch.object(sys, "argv", command),
        mock.patch("typer.main.get_command", _COMMANDS),
        contextlib.chdir(ROOT),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
    ):
        code = 0
        try:
            app.main()
        except SystemExit as exit_:
            code = int(exit_.code or 0)
    return subprocess.CompletedProcess(command, code, output.getvalue(), errors.getvalue())


def loadproof(
    *arguments: object, timeout_s: float = 150, program: str = "tests.undrawn", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end in a separate process; the working directory is the repository."""
    return subprocess.run(
        [sys.executable, "-m", program, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def content_of(file: Path) -> bytes:
    """The uncompressed content of a run's file."""
    content = file.read_bytes()
    return gzip.decompress(content) if file.suffix == ".gz" else content


class Background:
    """A run in the background while a test does something to it."""

    def __init__(self, *arguments: object, program: str = "tests.undrawn", **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", program, *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, "COLUMNS": "200", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.offspring: list[psutil.Process] = []

    def child(self, module: str, timeout_s: float = 60) -> psutil.Process:
        """The child process that runs this module, as soon as there is one."""
        return self.eventually(
            lambda: next((one for one in self.children() if module in one.cmdline()), None), timeout_s
        )

    def children(self) -> list[psutil.Process]:
        found = psutil.Process(self.process.pid).children(recursive=True)
        self.offspring += [one for one in found if one not in self.offspring]
        return found

    def wait_for(self, path_pattern: Path, timeout_s: float = 60) -> Path:
        """The first file that matches, as soon as there is one."""
        pattern = str(path_pattern.relative_to("/"))
        return self.eventually(lambda: next(iter(sorted(Path("/").glob(pattern))), None), timeout_s)

    def wait_for_phase(self, reports: Path, phase: str) -> None:
        """Wait until the run has reached this phase."""
        events = self.wait_for(reports / "*/events.csv")
        self.eventually(lambda: f"phase,{phase}" in events.read_text())

    def eventually(self, look: Callable[[], object], timeout_s: float = 60):
        """The first true result of `look`; fails if the program ends before."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            try:
                if found := look():
                    return found
            except psutil.Error:
                pass
            assert self.process.poll() is None, self.process.communicate()[0]
            time.sleep(0.02)
        raise AssertionError("it never came")

    def signalled(self, number: signal.Signals) -> int:
        self.children()
        self.process.send_signal(number)
        return self.end()

    def end(self, timeout_s: float = 120) -> int:
        """Wait for the end; returns the exit code, and keeps what was printed in `output`."""
        self.output = self.process.communicate(timeout=timeout_s)[0]
        return self.process.returncode

    def survivors(self) -> list[psutil.Process]:
        """Children that outlived the program, after a moment to end."""
        _, alive = psutil.wait_procs(self.offspring, timeout=40)
        return alive


def becomes(process: psutil.Process, status: str) -> None:
    """Assert that the process gets this status within 5 s."""
    deadline_s = time.monotonic() + 5
    while process.status() != status:
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def verdict_of(run: Path) -> dict[str, Any]:
    return json.loads((run / files.VERDICT).read_text())


CODES = {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 3, "INVALID": 4}
"""As the README has them."""


def code_of(run: Path) -> int:
    """The exit code of a run's verdict, whatever that is."""
    return CODES[verdict_of(run)["verdict"]]


@dataclass(frozen=True)
class FinishedRun:
    path: Path
    output: str
    cores: dict[str, set[int]]
    """The cores that each program could use, by program."""
    survivors: list[psutil.Process]


def finished_run(path: Path, *arguments: object) -> FinishedRun:
    """A completed run of the quick scenario with a journal, whatever its verdict."""
    reports = path / "reports"
    run = Background("run", scenario_file(path, record="requests"), "--out", reports, *arguments, program="loadproof")
    run.wait_for(reports / "*/target.csv")
    cores = {module: set(run.child(module).cpu_affinity()) for module in (GENERATOR, "payments_api")}
    run.end()
    found = FinishedRun(only_run(reports), run.output, cores, run.survivors())
    assert verdict_of(found.path)["ending"] == "completed", run.output
    return found


def words_of(run: Path) -> dict[tuple[str, str], str]:
    """Each threshold's own verdict, which the run's INVALID doesn't hide, by scope and `expect`."""
    return {(each["scope"], each["expect"]): each["word"] for each in verdict_of(run)["thresholds"]}


def word_of(run: Path, expect: str) -> str:
    """The verdict of the only threshold with this `expect`, written as in the scenario."""
    (word,) = (word for (_, expected), word in words_of(run).items() if expected == expect)
    return word


def found(run: Path, what: str) -> set[str]:
    """The words of the findings with this text."""
    return {finding["word"] for finding in verdict_of(run)["findings"] if what in finding["what"]}


def only_run(reports: Path) -> Path:
    (run,) = reports.iterdir()
    return run
