"""A test that needs what only some machines have is skipped, or fails where that is expected."""

from __future__ import annotations

import pytest

from tests import containers
from tests.missing import missing


@pytest.fixture(autouse=True)
def _no_engine(monkeypatch):
    """A machine without Docker."""
    monkeypatch.setenv("PATH", "")


@pytest.mark.parametrize("expected", ["", "index"])
def test_a_container_test_is_skipped_without_an_engine(monkeypatch, expected):
    """As on most machines."""
    monkeypatch.setenv("LOADPROOF_EXPECTS", expected)
    with pytest.raises(pytest.skip.Exception, match="no Docker engine"):
        containers.need_engine()


def test_a_container_test_fails_where_an_engine_is_expected(monkeypatch):
    """A skip would go unnoticed."""
    monkeypatch.setenv("LOADPROOF_EXPECTS", "index docker")
    # Otherwise a skip would skip this test instead of failing it.
    with pytest.raises((pytest.fail.Exception, pytest.skip.Exception), match="says docker, but no Docker engine"):
        containers.need_engine()


def test_an_unknown_expectation_is_an_error(monkeypatch):
    """It would never be met, nor missed."""
    monkeypatch.setenv("LOADPROOF_EXPECTS", "dcoker")
    with pytest.raises((pytest.fail.Exception, pytest.skip.Exception), match="no such part: dcoker; there are docker"):
        missing("index", "no package index can be reached")
