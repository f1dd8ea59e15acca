"""No connection outlives its test."""

from __future__ import annotations

import pytest

from tests.loadproof.http.connections import made
from tests.loadproof.http.tls import new_certificate


@pytest.fixture(autouse=True)
def _closed_in_the_end():
    yield
    while made:
        made.pop().close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    return new_certificate(tmp_path_factory.mktemp("tls"))
