"""Waits for what another process or thread does."""

from __future__ import annotations

import time
from collections.abc import Callable


def eventually(holds: Callable[[], object], *, within_s: float = 300.0) -> None:
    """Wait until it holds; far longer than it should take, because the machine may be busy."""
    deadline_s = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline_s, "never came true"
        time.sleep(0.01)
