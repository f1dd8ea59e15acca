"""The embedded target is ready when it says so, whatever else it prints."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from loadproof.errors import TargetError
from loadproof.run import embedded, readiness

pytestmark = pytest.mark.process


@contextmanager
def starting(tmp_path, monkeypatch, at_start: str) -> Iterator[str]:
    """The base URL of one whose Python does this first."""
    (tmp_path / "sitecustomize.py").write_text(at_start)
    monkeypatch.setattr(readiness, "_TIMEOUT_S", 10.0)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with embedded.embedded_target({}, cores=set(), log=tmp_path / "log", stop_requested=lambda: False) as found:
        yield found.base_url


@pytest.mark.parametrize("warning", ["a warning", "", "\\n\\na warning\\n"])
def test_a_line_before_the_ready_one_hides_nothing(tmp_path, monkeypatch, warning):
    """They come together, for they were in one buffer; what it was is in the log."""
    with starting(tmp_path, monkeypatch, f"print('{warning}')") as base_url:
        assert base_url.startswith("http://127.0.0.1:")
    assert warning.strip("\\n") in (tmp_path / "log").read_text()


def test_one_that_ends_before_it_is_ready_is_told_at_once(tmp_path, monkeypatch):
    """With its last words."""
    code = "import sys; print('an empty line follows', flush=True); print(flush=True); sys.exit('no luck')"
    with pytest.raises(TargetError, match="did not get ready, got"), starting(tmp_path, monkeypatch, code):
        pass
