"""Works out when a request began that a plain user's client has only reported when it ended."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from loadproof.generator.plainlocust.heard import Heard
    from loadproof.generator.plainlocust.lives import Life

_CLOCKS_DIFFER_S: Final = 0.05
"""Smaller differences are within the error of reading two clocks."""
_LONGEST_S: Final = 3600.0
"""No request is taken to have lasted longer than this."""
_MOST: Final = 100


class Beginnings:
    """One per process: if several requests report the same start, it is that of a connection, not their own."""

    def __init__(self) -> None:
        self._reported_s: deque[float] = deque(maxlen=_MOST)
        """The last start times reported, in Unix time."""

    def began_s(self, heard: Heard, now_s: float, life: Life | None, *, is_of_task: bool) -> float:
        """When the request began, in seconds from the run's start; for a user at work, never within its setup."""
        took_s, start_time = heard.took_s or 0.0, heard.start_time
        candidates_s = [now_s - took_s]
        if start_time is not None and start_time not in self._reported_s:
            self._reported_s.append(start_time)
            candidates_s.insert(0, began_s(now_s, took_s, start_time))
        if life is None:
            return max(min(now_s, 0.0), candidates_s[0])
        if not life.is_at_work(now_s, is_of_task=is_of_task):
            return candidates_s[0]
        # A duration reported in the wrong unit must not move a request into the setup.
        return next((at_s for at_s in candidates_s if life.is_at_work(at_s, is_of_task=is_of_task)), life.set_up_s)


def began_s(now_s: float, took_s: float, start_time: float | None) -> float:
    """When a request began, from its start as Unix time if that is plausible, or else from its duration."""
    latest_s = now_s - took_s
    if start_time is None:
        return latest_s
    reported_s = now_s - (time.time() - start_time)
    return reported_s if -_CLOCKS_DIFFER_S <= latest_s - reported_s < _LONGEST_S else latest_s
