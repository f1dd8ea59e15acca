"""Runs several versions of Locust against the reference target, and stores their CSVs next to this file.

    python -m tests.captures.make 1.0.3=PATH/TO/locust 2.47=PATH/TO/locust …

The expected outputs are written by `make golden`, not by this script.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from drills.target import running_target

HERE = Path(__file__).parent
LOCUSTFILE = HERE / "locustfile.py"
NOBODY_LISTENS = "http://127.0.0.1:1"
FAULTS = '{"balance": {"delay_ms": 20, "error_ratio": 0.02}, "health": {"delay_ms": 3}}'


@dataclass(frozen=True)
class Capture:
    name: str
    """The version, and anything special about the run."""
    full_history: bool
    users: int = 8
    spawn_rate: float = 2
    seconds: int = 14
    kill_after_s: float | None = None
    target_is_up: bool = True
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def version(self) -> str:
        return self.name.partition("-")[0]


CAPTURES = (
    Capture("1.0.3", full_history=True),
    Capture("1.0.3-names", full_history=False, environment={"NAMES": "hostile"}),
    Capture("2.2.3", full_history=False),
    Capture("2.15.1-all-failed", full_history=True, target_is_up=False),
    Capture("2.32.10-killed", full_history=True, kill_after_s=11.5),
    Capture("2.47-names", full_history=True, environment={"NAMES": "hostile"}),
    Capture("2.47-ramp", full_history=True, users=60, spawn_rate=0.6, seconds=110, environment={"WAIT_S": "0.02"}),
    Capture(
        "2.47-ramp-brief", full_history=False, users=60, spawn_rate=0.6, seconds=110, environment={"WAIT_S": "0.02"}
    ),
)


def make(capture: Capture, locust: str) -> None:
    """Run Locust and keep its CSVs, without anything specific to this machine."""
    with tempfile.TemporaryDirectory() as directory, running_target(LIMITER="off", FAULTS=FAULTS) as target:
        url = target.url if capture.target_is_up else NOBODY_LISTENS
        command = [locust, "-f", str(LOCUSTFILE), "--headless", "--host", url, "--csv", f"{directory}/run"]
        command += ["-u", str(capture.users), "-r", str(capture.spawn_rate), "-t", f"{capture.seconds}s"]
        command += ["--csv-full-history"] * capture.full_history
        process = subprocess.Popen(command, env={**os.environ, **capture.environment}, stderr=subprocess.DEVNULL)
        if capture.kill_after_s is not None:
            time.sleep(capture.kill_after_s)
            process.send_signal(signal.SIGKILL)
        process.wait(capture.seconds + 30)
        for file in sorted(Path(directory).glob("run_*.csv")):
            keep(file, HERE / capture.name / file.name)


def keep(file: Path, place: Path) -> None:
    """Copy the file byte for byte, except for paths in tracebacks."""
    place.parent.mkdir(exist_ok=True)
    content = file.read_bytes().replace(str(HERE).encode(), b".")
    place.write_bytes(re.sub(rb'"/[^"]*?/(?=site-packages/|python[\d.]+/)', b'"', content))


if __name__ == "__main__":
    locusts = dict(argument.split("=", 1) for argument in sys.argv[1:])
    for capture in CAPTURES:
        if capture.version in locusts:
            sys.stdout.write(f"{capture.name}\n")
            make(capture, locusts[capture.version])
