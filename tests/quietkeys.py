"""A plugin of coverage that keeps a traced process from hanging when its threads end; `make` installs it.

When a thread ends, greenlet deletes its last greenlet in a pending call of the main thread, and a dictionary of
coverage is notified by a Python function. CPython 3.11 never enters a traced function called by a pending call if
another pending call is made meanwhile, as by a second thread that ends: it loops forever and ignores signals. Coverage
loads greenlet into every process that it traces, so this concerns servers without greenlets, too.
"""

from __future__ import annotations

import weakref
from typing import Any


class QuietKeys(weakref.WeakKeyDictionary[Any, Any]):
    """Forgets a dead key with a C function, which isn't traced; must not be changed while it is iterated over."""

    def __init__(self, *entries: Any) -> None:
        super().__init__(*entries)
        self._remove = self.data.__delitem__


def coverage_init(*_: object) -> None:
    """Replace the dictionary before coverage makes one for each thread. Source: coverage 7.17, ctracer/tracer.c."""
    weakref.WeakKeyDictionary = QuietKeys  # type: ignore[misc]
