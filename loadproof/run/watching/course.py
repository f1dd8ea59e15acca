"""Decides how a run ends, and when its generator is stopped or killed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadproof.run.processes.locust import Generator
    from loadproof.rundir.manifest import Ending

FINAL_ENDINGS: Final = frozenset({"interrupted", "terminated", "disk_full"})
"""Endings that no later event replaces."""


class Course:
    """How long the generator runs: to the plan's end, unless something ends it early; always for a bounded time."""

    def __init__(
        self, generator: Generator, *, now_s: Callable[[], float], longest_s: float, stop_patience_s: float
    ) -> None:
        """`now_s` is a monotonic clock; a generator that is asked to stop has `stop_patience_s` to end."""
        self._generator = generator
        self._now_s = now_s
        self._stop_patience_s = stop_patience_s
        self._longest_s = longest_s
        self._kill_at_s = now_s() + longest_s
        self._stop_at_s: float | None = None
        self.ending: Ending = "completed"
        self.detail = ""

    def begin(self, ahead_s: float) -> None:
        """The generator is ready, and second 0 is `ahead_s` from now: restart its time limit there.

        Neither starting counts, nor what it still has to do before second 0.
        """
        if self.is_whole and not self.is_stopped:
            self._kill_at_s = self._now_s() + max(0.0, ahead_s) + self._longest_s

    @property
    def is_whole(self) -> bool:
        """Whether nothing has ended the run early so far."""
        return self.ending == "completed"

    @property
    def is_stopped(self) -> bool:
        """Whether the generator was asked to stop, or will be."""
        return self._stop_at_s is not None

    def becomes(self, ending: Ending, detail: str) -> None:
        """Record how the run ends; the generator isn't asked to stop."""
        if self.ending not in FINAL_ENDINGS:
            self.ending, self.detail = ending, detail

    def stop(self, ending: Ending, detail: str, *, in_s: float = 0.0) -> None:
        """Ask the generator to stop in `in_s` seconds."""
        self.becomes(ending, detail)
        self._stop_at_s = self._now_s() + in_s
        self.expect_end(self._stop_at_s)

    def stop_unrecorded(self, reason: str) -> None:
        """Stop the run because its directory can't be written."""
        if self.ending in FINAL_ENDINGS:
            return
        if self.is_stopped:
            self.becomes("disk_full", reason)
        else:
            self.stop("disk_full", reason)

    def expect_end(self, from_s: float | None = None) -> None:
        """Expect the generator to end from `from_s` on (by default now); it is killed if it takes too long."""
        self._kill_at_s = (self._now_s() if from_s is None else from_s) + self._stop_patience_s

    def enforce(self) -> None:
        """Stop or kill the generator if it is due."""
        now_s = self._now_s()
        if self._stop_at_s is not None and now_s >= self._stop_at_s:
            self._generator.end_early()
            self._stop_at_s = math.inf
        if now_s >= self._kill_at_s:
            self._generator.leader.kill()
            self._generator.leader.wait()
            if self.is_whole:
                self.becomes("generator_died", "it did not end in time and was killed")
