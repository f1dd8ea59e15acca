"""Determines whether a run's phases are long enough: when the run settled, and how much a phase's seconds are worth."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.analysis.estimates.correlation import FEWEST_SECONDS, neighbours_correlation
from loadproof.analysis.estimates.overtime import answered, counts_over_time, mean_over_time
from loadproof.analysis.estimates.seconds import flat_seconds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from loadproof.analysis.frames.run import Run
    from loadproof.plan.phases import PhaseSpan

BATCH_S: Final = 5
"""The length of MSER-5's batches."""
_FEWEST_BATCHES: Final = 10
_TOO_FEW: Final = 10
"""In independent seconds: with fewer, 95 % intervals cover clearly less than 95 % (docs/statistics.md)."""
_ENOUGH: Final = 30


@dataclass(frozen=True)
class Settling:
    """When the mean response time settled, in s from the run's start; None: not in the first half of the time."""

    settled_s: int | None
    warm_up_s: float
    phase: str
    """The phase after the warm-up."""

    @property
    def is_too_late(self) -> bool:
        return self.settled_s is None or self.settled_s > self.warm_up_s + BATCH_S


def settling(run: Run) -> Settling | None:
    """When the run settled; None without a warm-up before a phase of the same load, or with too few seconds."""
    spans = run.phases
    measured = next((place for place, span in enumerate(spans) if not span.warm_up), 0)
    if not measured or (spans[0].users, spans[0].rate_rps) != (spans[measured].users, spans[measured].rate_rps):
        return None
    end_s = min(spans[measured].end_s, run.measured_s)
    values = (
        mean_over_time(answered(run.intervals)).reindex(range(int(spans[0].ramp_s), int(end_s))).dropna().to_numpy()
    )
    if spans[measured].bursts_s or values.size < _FEWEST_BATCHES * BATCH_S:
        return None
    cut = mser5(values)
    settled_s = None if cut is None else int(spans[0].ramp_s) + cut
    return Settling(settled_s, spans[measured].start_s, spans[measured].name)


@dataclass(frozen=True)
class Alike:
    """How correlated a phase's neighbouring seconds are, in response time or goodput ratio, whichever is higher."""

    phase: str
    correlation: float
    lasted_s: int

    @property
    def enough_s(self) -> int:
        """How long the phase should last, in s, rounded up to whole minutes."""
        return 60 * math.ceil(_ENOUGH * self._seconds_for_one() / 60)

    @property
    def is_too_short(self) -> bool:
        # Even independent seconds look somewhat correlated by chance.
        by_chance = 2 / math.sqrt(self.lasted_s)
        return self.correlation > by_chance and self.lasted_s < _TOO_FEW * self._seconds_for_one()

    def _seconds_for_one(self) -> float:
        """How many seconds are worth one independent second, if they follow an AR(1) process."""
        return (1 + self.correlation) / (1 - self.correlation)


def too_alike(run: Run) -> Iterator[Alike]:
    """Phases that thresholds read but whose seconds are so correlated that together they tell too little."""
    long = [(span, flat) for span, flat in _read_phases(run) if len(flat) >= FEWEST_SECONDS]
    if not long:
        return
    counts = counts_over_time(run)
    watched = (
        mean_over_time(answered(run.intervals)),
        1 - counts["good"] / counts["offered"].where(counts["offered"] > 0),
    )
    for span, flat in long:
        known = [values.reindex(flat).dropna().to_numpy() for values in watched]
        alike = [neighbours_correlation(values) for values in known if values.size >= FEWEST_SECONDS]
        found = Alike(span.name, max(alike, default=0.0), len(flat))
        if found.is_too_short:
            yield found


def too_short(run: Run) -> Iterator[PhaseSpan]:
    """Phases that thresholds read but that are too short to show how correlated their seconds are."""
    return (span for span, flat in _read_phases(run) if len(flat) < FEWEST_SECONDS)


def _read_phases(run: Run) -> Iterator[tuple[PhaseSpan, range]]:
    """Phases that thresholds read and the run reached, with their measured seconds at full load."""
    read = run.manifest.scenario.phases_read
    for span in run.phases:
        flat = flat_seconds(run, span)
        if span.name in read and not span.bursts_s and flat:
            yield span, flat


def mser5(values: NDArray[np.float64]) -> int | None:
    """How many initial values to discard so that the mean of the rest has the least error; None: half or more.

    Source: White 1997, doi:10.1177/003754979706900601; Franklin & White 2008, doi:10.1109/WSC.2008.4736112.
    """
    batches = values[: values.size // BATCH_S * BATCH_S].reshape(-1, BATCH_S).mean(axis=1)
    n = batches.size
    # The last few batches may have a small spread by chance, so at most half are cut.
    errors = [float(batches[cut:].var()) / (n - cut) for cut in range(n // 2 + 1)]
    best = int(np.argmin(errors))
    return None if best == n // 2 else best * BATCH_S
