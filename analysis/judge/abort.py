"""Watches a growing run directory for a window that violates a threshold with `abort: true`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.analysis.estimates.metrics import rows_read
from loadproof.analysis.estimates.scope import Scope
from loadproof.analysis.frames.intervalcells import IntervalCells
from loadproof.analysis.judge.windows import count_seconds, deciding_window
from loadproof.analysis.word import Word
from loadproof.rundir import files
from loadproof.rundir.intervals import IntervalsTail
from loadproof.scenario.metrics import GOOD

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from loadproof.plan.phases import PhaseSpan
    from loadproof.scenario.expectation import Expectation
    from loadproof.scenario.scenario import Scenario, Threshold


_REPORTED_S: Final = 1.0
"""A second's report may come this late, because one of several workers may be slower than the others."""


@dataclass
class _Watched:
    threshold: Threshold
    scope: Scope
    spans: Sequence[PhaseSpan]
    counted: NDArray[np.int64]


class AbortWatch:
    """Watches one run. Each look only reads what is new, so looks don't get slower over a day."""

    def __init__(self, run_directory: Path, scenario: Scenario, spans: Sequence[PhaseSpan]) -> None:
        self._tail = IntervalsTail(run_directory / files.INTERVALS)
        self._scenario, self._spans = scenario, spans
        self._seconds = math.ceil(spans[-1].end_s)
        self._watched = [
            _Watched(
                threshold,
                Scope.of(threshold, scenario),
                [span for span in spans if span.name in scenario.phases_of(threshold)],
                np.zeros((3, self._seconds), dtype=np.int64),
            )
            for threshold in scenario.thresholds
            if threshold.abort
        ]

    def broken(self, now_s: float) -> str | None:
        """A sentence on the threshold that a window complete by `now_s` violated, and when; None if there is none."""
        cells = IntervalCells(self._spans, self._scenario)
        cells.add(self._tail.read())
        rows = cells.frame()
        for watched in self._watched:
            expectation = watched.threshold.expectation
            new = rows_read(expectation.metric, rows, watched.scope)
            watched.counted += count_seconds(expectation, new, watched.scope, seconds=self._seconds)
            until_s = now_s - late_s(expectation, self._scenario) - _REPORTED_S
            window = deciding_window(expectation, watched.spans, watched.counted, until_s=until_s)
            if window is not None and window.word is Word.FAIL:
                return f"{watched.threshold.scope}: {watched.threshold.expect} was violated {window.when}"
        return None


def late_s(expectation: Expectation, scenario: Scenario) -> float:
    """How long after its end a window is complete, in s: until then answers to requests due in it still count."""
    counted = expectation.metric.kind.counted
    if counted is not None and counted.by_arrival:
        return 0.0
    if counted is GOOD:
        return scenario.deadline
    return scenario.timeouts.connect + scenario.timeouts.total
