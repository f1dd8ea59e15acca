"""When a request began that a client of somebody's own has told of only when it had ended."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from loadproof.generator.heard import Heard
    from loadproof.generator.lives import Life

_CLOCKS_DIFFER_S: Final = 0.05
"""By less, the two readings of the clocks do."""
_LONGEST_S: Final = 3600.0
"""No request that ends now began earlier than this."""
_MOST: Final = 100


class Beginnings:
    """One per process: several requests that tell of the same one have it from a connection, not of their own."""

    def __init__(self) -> None:
        self._told: deque[float] = deque(maxlen=_MOST)
        """The last ones, by the time of day."""

    def began_s(self, heard: Heard, now_s: float, life: Life | None, *, is_of_task: bool) -> float:
        """In seconds from the run's start; of what a user at work is told of, never in its set-up."""
        took_s, start_time = heard.took_s or 0.0, heard.start_time
        told_s = [now_s - took_s]
        if start_time is not None and start_time not in self._told:
            self._told.append(start_time)
            told_s.insert(0, began_s(now_s, took_s, start_time))
        if life is None:
            return max(min(now_s, 0.0), told_s[0])
        if not life.is_at_work(now_s, is_of_task=is_of_task):
            return told_s[0]
        # No amount that is said to be in milliseconds and isn't makes a request one of the set-up.
        return next((at_s for at_s in told_s if life.is_at_work(at_s, is_of_task=is_of_task)), life.set_up_s)


def began_s(now_s: float, took_s: float, start_time: float | None) -> float:
    """When a request began of which only the time of day is known, or how long ago it ended at the latest."""
    latest_s = now_s - took_s
    if start_time is None:
        return latest_s
    told_s = now_s - (time.time() - start_time)
    return told_s if -_CLOCKS_DIFFER_S <= latest_s - told_s < _LONGEST_S else latest_s
