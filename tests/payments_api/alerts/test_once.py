"""Incidents on standard error of the real program."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest


def until_lines(log: Path, wanted: int, *, within_s: float = 15.0) -> list[str]:
    """Lines about lists, once there are as many as wanted, and after another second to see that there are no more."""
    until_s = time.monotonic() + within_s
    while len(about_lists(log)) < wanted and time.monotonic() < until_s:
        time.sleep(0.05)
    time.sleep(1.0)
    return about_lists(log)


def about_lists(log: Path) -> list[str]:
    return [line for line in log.read_text().splitlines() if "deny" in line]


@pytest.mark.process
@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.long)])
def test_an_incident_is_one_line_on_stderr_and_its_end_another(tmp_path, workers):
    """However many parts of the program, and processes, notice it."""
    deny, log = tmp_path / "deny.txt", tmp_path / "log"
    deny.write_text("127.9.0.1\n")
    command = [sys.executable, "-m", "payments_api", "--port", "0"]
    settings = {"DENY_FILE": str(deny), "WORKERS": workers, "ACCOUNTS": "10"}
    with (
        log.open("w") as stderr,
        subprocess.Popen(
            command, env={"PATH": "", **settings}, stdout=subprocess.PIPE, stderr=stderr, text=True
        ) as process,
    ):
        try:
            assert process.stdout.readline().startswith("payments_api: ready on ")
            deny.write_text("not a network\n")
            (began,) = until_lines(log, 1)
            deny.write_text("127.9.0.2\n")
            _, ended = until_lines(log, 2)
        finally:
            process.terminate()
    assert began.startswith("incident: list-deny-not-reloaded: ")
    assert "the previous version stays" in began
    assert ended.startswith("incident: list-deny-not-reloaded: recovered after ")
