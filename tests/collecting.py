"""A pytest plugin: turns the garbage collector off while tests are collected, which creates no garbage."""

from __future__ import annotations

import gc

gc.disable()


def pytest_collection_finish() -> None:
    """Turn the collector on again for the tests, and exempt all objects so far."""
    gc.collect()
    gc.freeze()
    gc.enable()
