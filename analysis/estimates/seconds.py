"""Counts rows per second of given phases, and determines how much correlated samples are worth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.analysis.estimates.designeffect import cautious_effect, design_effect
from loadproof.analysis.estimates.estimate import Precision
from loadproof.analysis.frames.cellsums import blocks
from loadproof.plan.windows import load_in

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from loadproof.analysis.frames.traffic import Traffic
    from loadproof.plan.phases import PhaseSpan

_CAUTIOUS: Final = 0.99
"""The confidence required to claim that a target will violate its threshold again."""


class Noise(Enum):
    """What an interval allows for."""

    SAMPLING = auto()
    """Independent samples: what happened in this run, with 95 % confidence."""
    SECONDS = auto()
    """Correlated seconds as well: what may happen next time, with 95 % confidence."""
    UNSEEN = auto()
    """Correlation that so few seconds can't show as well, with 99 % confidence."""


def whole_seconds(traffic: Traffic, span: PhaseSpan) -> range:
    """The whole seconds of a phase that were measured."""
    return range(math.ceil(span.start_s), int(min(span.end_s, traffic.measured_s)))


def flat_seconds(traffic: Traffic, span: PhaseSpan) -> range:
    """The measured whole seconds after a phase's ramp that no other phase shares."""
    return range(math.ceil(span.start_s + span.ramp_s), int(min(span.end_s, traffic.measured_s)))


@dataclass(frozen=True)
class Seconds:
    """The measured whole seconds of given phases; shapes (seconds,)."""

    numbers: NDArray[np.int64]
    phases: NDArray[np.int64]
    """The number of each second's phase."""

    @staticmethod
    def of(traffic: Traffic, phases: Sequence[str]) -> Seconds:
        pairs = [
            (second, number)
            for number, span in enumerate(traffic.phases)
            if span.name in phases
            for second in whole_seconds(traffic, span)
        ]
        numbers, places = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        return Seconds(numbers, places)

    def planned(self, phases: Sequence[PhaseSpan]) -> NDArray[np.float64]:
        """The load planned for each second, in a unit of its phase; 0 in phases with a constant load."""
        uneven = {number for number, span in enumerate(phases) if span.ramp_s or span.bursts_s}
        pairs = zip(self.numbers.tolist(), self.phases.tolist(), strict=True)
        return np.array([load_in(phases, place, second) if place in uneven else 0.0 for second, place in pairs])

    def count(self, rows: pd.DataFrame) -> NDArray[np.int64]:
        """The sum of these rows' counts in each second."""
        if not self.numbers.size:
            return np.zeros(0, dtype=np.int64)
        length = int(max(self.numbers[-1], rows["second"].max() if len(rows) else 0)) + 1
        sums = sum(np.bincount(block["second"], weights=block["count"], minlength=length) for block in blocks(rows))
        counted: NDArray[np.int64] = np.asarray(sums, dtype=np.int64)[self.numbers]
        return counted


@dataclass(frozen=True)
class Sums:
    """The sum and the number of samples in each second; shapes (seconds,)."""

    sums: NDArray[np.int64]
    sizes: NDArray[np.int64]
    phases: NDArray[np.int64]
    variance: float | None
    """The variance of one sample; None if samples are hits or misses."""

    @staticmethod
    def of(sums: pd.DataFrame, sizes: pd.DataFrame, seconds: Seconds, variance: float | None = None) -> Sums:
        return Sums(seconds.count(sums), seconds.count(sizes), seconds.phases, variance)

    def precision(self, noise: Noise) -> Precision:
        if noise is Noise.SAMPLING:
            return Precision()
        counted = self.sums, self.sizes, self.phases
        if noise is Noise.SECONDS:
            return Precision(design_effect=design_effect(*counted, variance=self.variance))
        return Precision(confidence=_CAUTIOUS, design_effect=cautious_effect(*counted, variance=self.variance))


def share_of(
    hits: pd.DataFrame, sizes: pd.DataFrame, seconds: Seconds, noise: Noise = Noise.SECONDS
) -> tuple[float, float]:
    """The share of these samples that are hits, 0-1, and the design effect."""
    n = int(sizes["count"].sum())
    effect = Sums.of(hits, sizes, seconds).precision(noise).design_effect
    return int(hits["count"].sum()) / max(n, 1), effect
