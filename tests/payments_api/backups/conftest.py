"""A ledger and places for its backups."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.payments_api.backups.books import new_ledger
from tests.payments_api.backups.storage import Storage, new_bucket, running_storage


@pytest.fixture
def ledger(tmp_path) -> Path:
    (tmp_path / "data").mkdir()
    return new_ledger(tmp_path / "data/ledger.sqlite3")


@pytest.fixture
def place(tmp_path) -> Path:
    path = tmp_path / "place"
    path.mkdir()
    return path


@pytest.fixture(scope="session")
def storage_server() -> Iterator[str]:
    with running_storage() as endpoint:
        yield endpoint


@pytest.fixture
def storage(storage_server) -> Storage:
    """A bucket of one's own."""
    return new_bucket(storage_server)
