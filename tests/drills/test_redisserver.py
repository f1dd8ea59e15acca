"""The drills' Redis."""

from __future__ import annotations

import tempfile

import pytest

from drills.redisserver import RedisServer


@pytest.mark.process
def test_it_leaves_no_files_even_if_it_was_killed_and_started_again(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with RedisServer() as server:
        assert list(tmp_path.iterdir())
        server.kill()
        server.start_again()
        with server.client() as client:
            assert client.ping()
    assert list(tmp_path.iterdir()) == []
