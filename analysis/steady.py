"""A run's first seconds to when it settled: a check on how long its scenario says that warming up takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from analysis.metrics import mean_over_time

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analysis.frames import Run

BATCH_S: Final = 5
"""MSER-5's batches."""
_FEWEST_BATCHES: Final = 10


@dataclass(frozen=True)
class Settling:
    """When the mean response time had settled, in s from the run's start; None: not within half of what was seen."""

    settled_s: int | None
    warm_up_s: float
    phase: str
    """The one after the warm-up."""

    @property
    def is_too_late(self) -> bool:
        return self.settled_s is None or self.settled_s > self.warm_up_s + BATCH_S


def settling(run: Run) -> Settling | None:
    """None without a warm-up before a phase of the same load, or of too few seconds."""
    spans = run.manifest.phases
    measured = next((place for place, span in enumerate(spans) if not span.warm_up), 0)
    if not measured or (spans[0].users, spans[0].rate_rps) != (spans[measured].users, spans[measured].rate_rps):
        return None
    end_s = min(spans[measured].end_s, run.measured_s)
    values = mean_over_time(run).reindex(range(int(spans[0].ramp_s), int(end_s))).dropna().to_numpy()
    if spans[measured].bursts_s or values.size < _FEWEST_BATCHES * BATCH_S:
        return None
    cut = mser5(values)
    settled_s = None if cut is None else int(spans[0].ramp_s) + cut
    return Settling(settled_s, spans[measured].start_s, spans[measured].name)


def mser5(values: NDArray[np.float64]) -> int | None:
    """How many values to leave out, so that the mean of the rest is known best; None: half of them, or more.

    Source: White 1997, doi:10.1177/003754979706900601; Franklin & White 2008, doi:10.1109/WSC.2008.4736112.
    """
    batches = values[: values.size // BATCH_S * BATCH_S].reshape(-1, BATCH_S).mean(axis=1)
    n = batches.size
    # Of the last few batches the spread is small by chance.
    errors = [float(batches[cut:].var()) / (n - cut) for cut in range(n // 2 + 1)]
    best = int(np.argmin(errors))
    return None if best == n // 2 else best * BATCH_S
