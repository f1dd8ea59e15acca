"""Disturbances: what the generator or its machine caused rather than the target, and where in a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from loadproof.analysis.frames.run import Run
    from loadproof.plan.phases import PhaseSpan

LESS_LOAD: Final = "free the generator's core, add workers, or lower the load, then run again"
_JITTER_S: Final = 0.1
"""A row that extends into the next second by no more than this says nothing about it."""
_LONGEST_S: Final = 60.0
"""A row that claims to be longer is damaged; a standstill this long decides by itself."""


@dataclass(frozen=True)
class Disturbance:
    """Something caused by the generator or its machine, not by the target."""

    what: str
    remedy: str
    seconds: frozenset[int] = frozenset()
    """Seconds in which requests may have been sent or timed late."""
    decides: bool = False
    """The run is INVALID whatever the thresholds say, because the load was not the planned load."""
    phases: frozenset[str] = frozenset()
    """Names of the phases affected; empty if it may be any."""

    def spoils(self, span: PhaseSpan) -> bool:
        """Whether it decides, and affects this phase."""
        is_in_it = bool(in_phase(span, self.seconds)) or span.name in self.phases
        return self.decides and (is_in_it or not (self.seconds or self.phases))


def measured_phases(run: Run) -> list[PhaseSpan]:
    return [span for span in run.phases if not span.warm_up]


def measured_names(run: Run) -> frozenset[str]:
    """Names of the phases that are judged: all except warm-up."""
    return frozenset(span.name for span in measured_phases(run))


def in_phase(span: PhaseSpan, seconds: frozenset[int]) -> list[int]:
    """Seconds that overlap the phase; a second shared by two phases belongs to both."""
    return [second for second in seconds if span.start_s < second + 1 and second < span.end_s]


def reaches(rows: pd.DataFrame, span: PhaseSpan) -> NDArray[np.bool_]:
    """Which of these rows overlap the phase, if only because the process stalled; shape (rows,).

    A second shared by two phases belongs to both.
    """
    begins_s = rows["second"].to_numpy(dtype=np.float64)
    ends_s = begins_s + rows["length_s"].to_numpy(dtype=np.float64).clip(1.0, _LONGEST_S) - _JITTER_S
    overlaps: NDArray[np.bool_] = (begins_s < span.end_s) & (ends_s > span.start_s)
    return overlaps


def seconds_of_rows(rows: pd.DataFrame) -> frozenset[int]:
    """All seconds that these rows extend into."""
    ends = np.ceil(rows["second"] + rows["length_s"].clip(0, _LONGEST_S) - _JITTER_S)
    return frozenset(
        second
        for first, end in zip(rows["second"], ends, strict=True)
        for second in range(int(first), max(int(end), int(first) + 1))
    )
