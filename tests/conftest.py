"""Fixtures that several folders share: the real target, and runs that many tests look at."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import requests

from tests import profiles
from tests.targets import RunningTarget, running_target

# Tables as wide as in a terminal of 200 columns: the console of this process asks once.
os.environ["COLUMNS"] = "200"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--refresh-golden", action="store_true", help="write the expected files in tests/golden anew")


def pytest_report_header() -> str:
    return f"simulations: {'all' if profiles.IS_FULL else 'a quarter'}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests could not be measured, below all else."""
    skipped = terminalreporter.stats.get("skipped", [])
    if restless := [report for report in skipped if "want of quiet" in str(report.longrepr)]:
        terminalreporter.write_line(f"{len(restless)} quiet tests skipped: this machine was too busy to measure")


@pytest.fixture(scope="session")
def shared_target() -> Iterator[RunningTarget]:
    """One target without limits for all tests that only read or use fresh accounts."""
    with running_target(LIMITER="off") as target:
        yield target


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session
