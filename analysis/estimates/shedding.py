"""Determines whether the target shed load gracefully: refused fast, and was honest about when to retry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from loadproof.analysis.estimates.estimate import quantile_estimate
from loadproof.analysis.frames.cellsums import histogram, series_counts
from loadproof.outcome import Outcome
from loadproof.rundir.rows import RETRY_BROKEN, RETRY_KEPT, RETRY_MISSING, RETRY_UNREADABLE
from loadproof.units import format_duration

if TYPE_CHECKING:
    import pandas as pd

    from loadproof.analysis.frames.run import Run

_MOST_DISHONEST: Final = 0.05
"""As a share of refusals; clocks and concurrent requests cause isolated cases."""
_FAST: Final = 0.1
"""As a fraction of the deadline: a client refused this soon still has time to ask elsewhere."""


@dataclass(frozen=True)
class Shedding:
    """How a target refused. Each Retry-After is a promise, tested by the client's first request after it."""

    refused: int
    p95_s: float
    slow_s: float
    """The longest p95 that counts as fast, in s: the served requests' or a tenth of the deadline, if that is longer."""
    kept: int
    broken: int
    missing: int
    unreadable: int

    @property
    def is_graceful(self) -> bool:
        return not list(self.faults())

    def faults(self) -> Iterator[str]:
        """What was not graceful, one clause each."""
        if self.p95_s > self.slow_s:
            yield f"refused slowly, p95 {format_duration(self.p95_s)}"
        if self.missing + self.unreadable > _MOST_DISHONEST * self.refused:
            for refusals, had in ((self.missing, "no Retry-After"), (self.unreadable, "an unreadable Retry-After")):
                if refusals:
                    yield f"{refusals:,} of {self.refused:,} refusals had {had}"
        if self.broken > _MOST_DISHONEST * (self.kept + self.broken):
            yield f"{self.broken:,} of {self.kept + self.broken:,} were refused again after Retry-After"

    def __str__(self) -> str:
        faults = "; ".join(self.faults())
        if faults:
            return f"not gracefully: {faults}"
        tested = self.kept + self.broken
        kept = f"Retry-After kept {self.kept:,} of {tested:,} times" if tested else "no Retry-After was tested"
        return f"gracefully: p95 {format_duration(self.p95_s)}, {kept}"


def shedding_in(run: Run, rows: pd.DataFrame) -> Shedding | None:
    """How the target refused in these rows of the run's intervals; None if nothing was refused."""
    refused = histogram(rows, "response", Outcome.THROTTLED)
    p95 = quantile_estimate(refused, 0.95)
    if p95 is None:
        return None
    served = quantile_estimate(histogram(rows, "response", Outcome.OK), 0.95)
    counts = series_counts(rows)
    # A worker doesn't know how much of a shared limit another worker's requests used up.
    is_tested = run.manifest.workers == 1 or run.manifest.scenario.clients != "shared"
    return Shedding(
        refused=int(refused.sum()),
        p95_s=p95.value,
        slow_s=max(served.value if served else 0.0, _FAST * run.manifest.scenario.deadline),
        kept=int(counts.get(RETRY_KEPT, 0)) if is_tested else 0,
        broken=int(counts.get(RETRY_BROKEN, 0)) if is_tested else 0,
        missing=int(counts.get(RETRY_MISSING, 0)),
        unreadable=int(counts.get(RETRY_UNREADABLE, 0)),
    )
