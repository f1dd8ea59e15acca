"""What was the generator's or its machine's and not the target's, and where in a run it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from loadproof.analysis.frames.run import Run
    from loadproof.plan.phases import PhaseSpan

LESS_LOAD: Final = "free the generator's core, add workers, or lower the load, then run again"
_JITTER_S: Final = 0.1
"""By so much a row may reach into the next second and tell nothing of it."""
_LONGEST_S: Final = 60.0
"""What claims to be longer is damaged; so long a standstill decides by itself."""


@dataclass(frozen=True)
class Disturbance:
    """Something that was the generator's or its machine's, not the target's."""

    what: str
    remedy: str
    seconds: frozenset[int] = frozenset()
    """In which requests may have been sent or timed late."""
    decides: bool = False
    """Whatever the thresholds say: the load was not the planned one."""
    phases: frozenset[str] = frozenset()
    """Whose load it was; empty where it may be any phase's."""

    def spoils(self, span: PhaseSpan) -> bool:
        """Decides, and not on other phases only."""
        is_in_it = bool(in_phase(span, self.seconds)) or span.name in self.phases
        return self.decides and (is_in_it or not (self.seconds or self.phases))


def measured_phases(run: Run) -> list[PhaseSpan]:
    return [span for span in run.phases if not span.warm_up]


def in_phase(span: PhaseSpan, seconds: frozenset[int]) -> list[int]:
    """Those of which a part is the phase's; of two phases that share one, either's."""
    return [second for second in seconds if span.start_s < second + 1 and second < span.end_s]


def seconds_of_rows(rows: pd.DataFrame) -> frozenset[int]:
    """All that these rows reach into."""
    ends = np.ceil(rows["second"] + rows["length_s"].clip(0, _LONGEST_S) - _JITTER_S)
    return frozenset(
        second
        for first, end in zip(rows["second"], ends, strict=True)
        for second in range(int(first), max(int(end), int(first) + 1))
    )
