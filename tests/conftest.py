"""Fixtures shared by several folders: the real target, and runs that many tests examine."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from typing import Final

import pytest
import requests
from markupsafe import Markup

from drills.target import Target, running_target
from tests import profiles, quiet
from tests.commands import FinishedRun, finished_run

pytest_plugins = ["tests.collecting", "tests.greenlets"]

# Tables as wide as a terminal of 200 columns; this process's console reads the width only once.
os.environ["COLUMNS"] = "200"
# Keep this machine's self-test out of the reports that tests compare.
os.environ["XDG_STATE_HOME"] = os.devnull
# Under nohup SIGHUP would be ignored, by this process and by all its children.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
MOST_QUIET: Final = 10
FOLLOWED: Final = (
    ("locust.clients", "HttpSession"),
    ("locust.contrib.fasthttp", "FastHttpSession"),
    ("loadproof.httpuser.session", "HttpSession"),
)
"""Classes whose `request` method a run replaces in its own process."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--refresh-golden", action="store_true", help="write the expected files in tests/golden anew")


def pytest_report_header() -> str:
    return f"simulations: {'all' if profiles.IS_FULL else 'a quarter, and few examples of properties'}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Check that few tests are marked quiet, all in the folder where the Makefile looks for them."""
    marked = [item.path for item in items if item.get_closest_marker("quiet")]
    if len(marked) > MOST_QUIET or any(path.parent.name != "end_to_end" for path in marked):
        raise pytest.UsageError(f"at most {MOST_QUIET} tests are marked quiet, all of them in tests/end_to_end")


def pytest_runtest_setup(item: pytest.Item) -> None:
    quiet.is_marked = item.get_closest_marker("quiet") is not None


def pytest_unconfigure(config: pytest.Config) -> None:
    """Say in the last line how many tests could not be measured."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if restless := [report for report in skipped if quiet.SKIPPED in str(report.longrepr)]:
        reporter.write_line(f"{len(restless)} quiet tests skipped: this machine was too busy to measure")


@pytest.fixture(autouse=True)
def _no_client_stays_followed() -> Iterator[None]:
    """Check that each test that replaces clients' `request` restores it: the next test has its own timeouts."""
    yield
    for module, name in FOLLOWED:
        if module in sys.modules:
            assert not hasattr(vars(sys.modules[module])[name].request, "__wrapped__"), f"{name} is still followed"


@pytest.fixture(scope="session")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """A completed run of the quick scenario."""
    return finished_run(tmp_path_factory.mktemp("healthy"))


@pytest.fixture(scope="session")
def three_workers(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """The same run with three workers."""
    return finished_run(tmp_path_factory.mktemp("three-workers"), "--workers", 3)


@pytest.fixture(scope="session")
def shared_target() -> Iterator[Target]:
    """One target without limits for all tests that only read or use fresh accounts."""
    with running_target(LIMITER="off") as target:
        yield target


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.fixture(autouse=True)
def _undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave charts out of reports, because they take most of the time, except in tests marked `drawn`."""
    if request.node.get_closest_marker("drawn") is None:
        monkeypatch.setattr("loadproof.analysis.report.drawing.Drawing.svg", lambda *_: Markup())
