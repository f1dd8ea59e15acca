"""A pytest plugin: the garbage collector is off while tests are collected, because nothing of that is garbage."""

from __future__ import annotations

import gc

gc.disable()


def pytest_collection_finish() -> None:
    """Tests create garbage, which is looked for among their objects only."""
    gc.collect()
    gc.freeze()
    gc.enable()
