"""A ledger and places for its backups."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.payments_api.backups.books import new_ledger
from tests.payments_api.backups.storage.storage import Storage, new_bucket, running_storage


@pytest.fixture
def ledger(tmp_path) -> Path:
    (tmp_path / "data").mkdir()
    return new_ledger(tmp_path / "data/ledger.sqlite3")


@pytest.fixture
def place(tmp_path) -> Path:
    path = tmp_path / "place"
    path.mkdir()
    return path


_HANG = """
import os, time

def hanging(call):
    def touch(path, *arguments, **options):
        while str(path).startswith(os.environ["HANGS_AT"]):
            time.sleep(1)
        return call(path, *arguments, **options)
    return touch

for name in ("stat", "lstat", "open", "scandir", "listdir", "readlink"):
    setattr(os, name, hanging(getattr(os, name)))
"""


@pytest.fixture
def hung_place(place, tmp_path, monkeypatch) -> Path:
    """A dead mount: each Python process that is started from now on hangs as soon as it touches it."""
    (tmp_path / "hang").mkdir()
    (tmp_path / "hang/sitecustomize.py").write_text(_HANG)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "hang"))
    monkeypatch.setenv("HANGS_AT", str(place))
    return place


@pytest.fixture(scope="session")
def storage_server() -> Iterator[str]:
    with running_storage() as endpoint:
        yield endpoint


@pytest.fixture
def storage(storage_server) -> Storage:
    """A new bucket for each test."""
    return new_bucket(storage_server)
