"""The drills' Redis."""

from __future__ import annotations

import tempfile

import pytest

from drills.redisserver import RedisServer


@pytest.mark.process
def test_the_server_leaves_no_files_even_if_killed_and_restarted(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with RedisServer() as server:
        assert list(tmp_path.iterdir())
        server.kill()
        server.start_again()
        with server.client() as client:
            assert client.ping()
    assert list(tmp_path.iterdir()) == []
