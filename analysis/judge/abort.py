"""Watches a growing run directory for a window that violates a threshold with `abort: true`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.analysis.estimates.metrics import rows_read
from loadproof.analysis.estimates.scope import Scope
from loadproof.analysis.frames.cellsums import among
from loadproof.analysis.frames.intervalcells import IntervalCells
from loadproof.analysis.judge.windows import count_seconds, deciding_window, without_beginnings
from loadproof.analysis.word import Word
from loadproof.outcome import SETUP
from loadproof.rundir import files
from loadproof.rundir.intervals import IntervalsTail
from loadproof.rundir.rows import USER_TIMES
from loadproof.scenario.thresholds.metrics import GOOD

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from loadproof.plan.phases import PhaseSpan
    from loadproof.scenario.scenario import Scenario, Threshold
    from loadproof.scenario.thresholds.expectation import Expectation


_REPORTED_S: Final = 1.0
"""A second's report may come this late, because one of several workers may be slower than the others."""


@dataclass
class _Watched:
    threshold: Threshold
    spans: Sequence[PhaseSpan]
    counted: NDArray[np.int64]
    """As `count_seconds` returns it."""


class AbortWatch:
    """Watches one run. Each look only reads what is new, so looks don't get slower over a day."""

    def __init__(self, run_directory: Path, scenario: Scenario, spans: Sequence[PhaseSpan]) -> None:
        self._tail = IntervalsTail(run_directory / files.INTERVALS)
        self._scenario, self._spans = scenario, spans
        self._seconds = math.ceil(spans[-1].end_s)
        self._sent: dict[str, None] = {}
        """A locustfile's requests so far, in order: their names are only known once they are sent."""
        self._watched = [
            _Watched(
                threshold,
                _watched_spans(threshold, scenario, spans),
                np.zeros((3, self._seconds), dtype=np.int64),
            )
            for threshold in scenario.thresholds
            if threshold.abort
        ]

    def broken(self, now_s: float) -> str | None:
        """A sentence on the threshold that a window complete by `now_s` violated, and when; None if there is none."""
        cells = IntervalCells(self._spans, self._scenario)
        cells.add(self._tail.read())
        rows = _of_the_plan(cells.frame())
        scenario = self._with_names(rows)
        for watched in self._watched:
            expectation = watched.threshold.expectation
            scope = Scope.of(watched.threshold, scenario)
            new = rows_read(expectation.metric, rows, scope)
            watched.counted += count_seconds(expectation, new, scope, seconds=self._seconds)
            until_s = now_s - late_s(expectation, self._scenario) - _REPORTED_S
            window = deciding_window(expectation, watched.spans, watched.counted, until_s=until_s)
            if window is not None and window.word is Word.FAIL:
                return f"{watched.threshold.scope}: {watched.threshold.expect} was violated {window.when}"
        return None

    def _with_names(self, rows: pd.DataFrame) -> Scenario:
        """The scenario with the requests that a locustfile has sent so far; any other as it is."""
        if self._scenario.locustfile is None:
            return self._scenario
        self._sent |= dict.fromkeys(map(str, rows["endpoint"].unique()))
        return self._scenario.with_requests(self._sent)


def _watched_spans(threshold: Threshold, scenario: Scenario, spans: Sequence[PhaseSpan]) -> list[PhaseSpan]:
    """Where windows are watched: not where too few answers can have arrived yet."""
    read = [span for span in spans if span.name in scenario.phases_of(threshold)]
    if not threshold.expectation.metric.kind.is_by_arrival or threshold.expectation.wants_low:
        return read
    return without_beginnings(read, scenario.deadline)


def _of_the_plan(rows: pd.DataFrame) -> pd.DataFrame:
    """Without what was sent outside of the plan, and the times of users, whose names are no requests'."""
    return rows[~(among(rows["phase"], (SETUP,)) | among(rows["series"], USER_TIMES))]


def late_s(expectation: Expectation, scenario: Scenario) -> float:
    """How long after its end a window is complete, in s: until then answers to requests due in it still count."""
    if expectation.metric.kind.is_by_arrival:
        return 0.0
    if expectation.metric.kind.counted is GOOD:
        return scenario.deadline
    return scenario.timeouts.connect + scenario.timeouts.total
