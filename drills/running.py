"""Runs of loadproof for drills, and the report at a drill's end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from drills.target import ROOT, Target

_PYTHON: Final = sys.executable


@contextmanager
def run_directories(drill: str, *, kept: bool) -> Iterator[Path]:
    """The directory for a drill's runs: below reports/ if they are `kept`, otherwise temporary."""
    if kept:
        yield ROOT / "reports" / f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-drill-{drill}"
    else:
        with tempfile.TemporaryDirectory() as directory:
            yield Path(directory)


class LoadRun:
    """`loadproof run` of one of our scenarios, in the background."""

    def __init__(self, scenario: str, target: Target, out: Path, *changes: str) -> None:
        self.scenario = scenario
        self._out = out / scenario
        options = [option for change in changes for option in ("--set", change)]
        command = [_PYTHON, "-m", "loadproof", "run", f"drills/{scenario}.yaml", "--out", str(self._out), *options]
        environment = {**os.environ, "TARGET_URL": target.url}
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)

    def verdict(self, timeout_s: float) -> dict[str, Any]:
        """Wait for the run's verdict; ends the drill if there is none."""
        try:
            self.process.wait(timeout_s)
        finally:
            self.process.kill()
        files = list(self._out.glob("*/verdict.json"))
        if len(files) != 1:
            raise SystemExit(f"drill: no verdict in {self._out}; see what loadproof printed above")
        verdict: dict[str, Any] = json.loads(files[0].read_text())
        self.page = files[0].with_name("report.html")
        return verdict


def outcomes(verdict: dict[str, Any], phase: str, endpoint: str | None = None) -> dict[str, int]:
    """The number of requests of a phase, by outcome."""
    return dict(_row(verdict, phase, endpoint)["outcomes"])


def quantile_ms(verdict: dict[str, Any], phase: str, name: str) -> float | None:
    """A quantile in ms of the response times of a phase's correct answers."""
    value = _row(verdict, phase, None)["response_s"][name]["value"]
    return None if value is None else value * 1000


def _row(verdict: dict[str, Any], phase: str, endpoint: str | None) -> dict[str, Any]:
    return next(row for row in verdict["summary"] if row["phase"] == phase and row["endpoint"] == endpoint)


@dataclass
class Report:
    """Prints facts, and promises that were kept or broken; ends with the exit code."""

    title: str
    broken: list[str] = field(default_factory=list)
    unmeasured: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        print(f"\n{self.title}")

    def fact(self, text: str) -> None:
        print(f"        {text}")

    def promise(self, text: str, *, kept: bool) -> None:
        print(f"  {'kept  ' if kept else 'BROKEN'} {text}")
        if not kept:
            self.broken.append(text)

    def measured(self, text: str, *, is_so: bool) -> None:
        """Report a condition without which the drill proves nothing, although no promise is broken."""
        print(f"  {'so     ' if is_so else 'INVALID'} {text}")
        if not is_so:
            self.unmeasured.append(text)

    def judged(self, run: LoadRun, verdict: dict[str, Any], *, is_about_next: bool = True) -> None:
        """Report loadproof's own verdict on a run as a promise.

        Unless it `is_about_next` runs, too, INCONCLUSIVE is enough: this run met its thresholds.
        """
        word = verdict["verdict"]
        if word == "INVALID":
            print(f"  INVALID the run {run.scenario}: {verdict['reason']}")
            self.unmeasured.append(run.scenario)
        else:
            kept = {"PASS"} if is_about_next else {"PASS", "INCONCLUSIVE"}
            self.promise(f"the run {run.scenario} keeps its thresholds: {word}", kept=word in kept)
        self.fact(f"report: {run.page}")

    def exit_code(self) -> int:
        """0 if every promise was kept, 1 if one was broken, 4 if a disturbed generator leaves it open."""
        if self.broken:
            sum_up = f"{len(self.broken)} broken"
        elif self.unmeasured:
            sum_up = "not measured: a busy machine disturbed the load; run it again"
        else:
            sum_up = "all promises kept"
        print(f"{self.title}: {sum_up}")
        return 1 if self.broken else 4 if self.unmeasured else 0
