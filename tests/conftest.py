"""Fixtures that several modules share: the real target, and synthetic runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from tests.targets import RunningTarget, running_target


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--refresh-golden", action="store_true", help="write the expected files in tests/golden anew")


@pytest.fixture(scope="session")
def shared_target() -> Iterator[RunningTarget]:
    """One target without limits for all tests that only read or use fresh accounts."""
    with running_target(LIMITER="off") as target:
        yield target


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session
