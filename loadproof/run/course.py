"""How a run is going to end, and when its generator is made to."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadproof.run.locust import Generator
    from loadproof.rundir.manifest import Ending

_FIRST_WORD: Final = frozenset({"interrupted", "terminated", "disk_full"})
"""Endings that nothing replaces that is noticed later: whoever stopped the run, or the disk, was first."""


class Course:
    """To the plan's end, unless something ends the run early; in any case within a bounded time."""

    def __init__(
        self, generator: Generator, *, now_s: Callable[[], float], longest_s: float, stop_patience_s: float
    ) -> None:
        """`now_s` is monotonic; a generator that was asked to stop has `stop_patience_s` for it."""
        self._generator = generator
        self._now_s = now_s
        self._stop_patience_s = stop_patience_s
        self._kill_at_s = now_s() + longest_s
        self._stop_at_s: float | None = None
        self.ending: Ending = "completed"
        self.detail = ""

    @property
    def is_whole(self) -> bool:
        """Nothing has come up so far that ends it early."""
        return self.ending == "completed"

    @property
    def is_stopped(self) -> bool:
        """The generator was asked to stop, or will be."""
        return self._stop_at_s is not None

    def becomes(self, ending: Ending, detail: str) -> None:
        """The generator ends by itself."""
        if self.ending not in _FIRST_WORD:
            self.ending, self.detail = ending, detail

    def stop(self, ending: Ending, detail: str, *, in_s: float = 0.0) -> None:
        """Ask the generator to stop, after so long."""
        self.becomes(ending, detail)
        self._stop_at_s = self._now_s() + in_s
        self.expect_end(self._stop_at_s)

    def stop_unrecorded(self, reason: str) -> None:
        """The run directory doesn't take what was to be written."""
        if self.ending in _FIRST_WORD:
            return
        if self.is_stopped:
            self.becomes("disk_full", reason)
        else:
            self.stop("disk_full", reason)

    def expect_end(self, from_s: float | None = None) -> None:
        """It ends from then on, or from now, and is killed if it takes too long."""
        self._kill_at_s = (self._now_s() if from_s is None else from_s) + self._stop_patience_s

    def enforce(self) -> None:
        """Stop or kill the generator if it is time to."""
        now_s = self._now_s()
        if self._stop_at_s is not None and now_s >= self._stop_at_s:
            self._generator.end_early()
            self._stop_at_s = math.inf
        if now_s >= self._kill_at_s:
            self._generator.leader.kill()
            self._generator.leader.wait()
            if self.is_whole:
                self.becomes("generator_died", "it did not end in time and was killed")
