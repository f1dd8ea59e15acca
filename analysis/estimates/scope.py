"""Selects the cells that an estimate reads, a scope's rows, and tallies them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loadproof.analysis.frames.cellsums import among, counts_by
from loadproof.histogram import LOWER_US
from loadproof.outcome import WITH_ANSWER, Outcome
from loadproof.rundir.rows import REPEATED, RETRIED, SURPLUS, WANTS

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from loadproof.analysis.frames.traffic import Traffic
    from loadproof.scenario.scenario import Scenario, Threshold


@dataclass(frozen=True)
class Scope:
    """What an estimate reads: these phases and endpoints taken together."""

    phases: tuple[str, ...]
    endpoints: tuple[str, ...]
    outcome: Outcome = Outcome.OK
    series: str = "response"

    @staticmethod
    def of(threshold: Threshold, scenario: Scenario) -> Scope:
        """The scope that a threshold reads."""
        return Scope(
            phases=scenario.phases_of(threshold),
            endpoints=scenario.endpoints_of(threshold),
            outcome=threshold.outcome,
            series=threshold.series,
        )


@dataclass(frozen=True)
class Tally:
    """Counts of one scope. Each request started has one outcome, was unsent, or was abandoned when the run stopped."""

    outcomes: dict[Outcome, int]
    good: int
    dropped: int
    abandoned: int
    repeated: int = 0
    """Requests sent twice, the first time in vain; part of those sent."""
    surplus: int = 0
    """Answers followed by bytes that belong to no request; part of those sent."""
    retried: int = 0
    """Requests that users sent again because the previous attempt had failed; part of those sent."""
    unsent: int = 0
    """Requests started but not sent, because the generator's machine ran out of something."""

    @staticmethod
    def of(counts: Mapping[tuple[str, str], int]) -> Tally:
        """From counts by series and outcome."""
        sums: Counter[str] = Counter()
        for (series, _), count in counts.items():
            sums[series] += int(count)
        return Tally(
            outcomes={outcome: int(counts.get(("response", str(outcome)), 0)) for outcome in Outcome},
            good=sums["good"],
            dropped=sums["dropped"],
            abandoned=sums["abandoned"],
            repeated=sums[REPEATED],
            surplus=sums[SURPLUS],
            retried=sums[RETRIED],
            unsent=sum(sums[series] for series in WANTS.values()),
        )

    @property
    def sent(self) -> int:
        return sum(self.outcomes.values())

    @property
    def answered(self) -> int:
        return sum(self.outcomes[outcome] for outcome in WITH_ANSWER)

    @property
    def offered(self) -> int:
        return self.sent + self.dropped


def rows_of(traffic: Traffic, scope: Scope) -> pd.DataFrame:
    """The intervals of a scope's phases and endpoints."""
    return in_scope(traffic.intervals, scope)


def in_scope(intervals: pd.DataFrame, scope: Scope) -> pd.DataFrame:
    """The rows of a scope's phases and endpoints; not copied if that is all of them, because it may be a lot."""
    inside = among(intervals["phase"], scope.phases) & among(intervals["endpoint"], scope.endpoints)
    return intervals if inside.all() else intervals[inside]


def answers_of(intervals: pd.DataFrame, endpoints: Sequence[str]) -> pd.DataFrame:
    """The rows that count answers by the second in which they arrived."""
    return intervals[are_answers(intervals, "completed") & among(intervals["endpoint"], endpoints)]


def answered_in_time(rows: pd.DataFrame, deadline_s: float) -> pd.DataFrame:
    """Like `answers_of`, but by the second in which the requests were due, and without answers beyond the deadline."""
    in_time = LOWER_US[rows["bucket"]] <= deadline_s * 1e6
    return rows[are_answers(rows, "response") & in_time].assign(series="completed")


def are_answers(rows: pd.DataFrame, series: str) -> NDArray[np.bool_]:
    """Which rows count answers in this series, shape (rows,); a request that timed out got none."""
    return among(rows["series"], (series,)) & among(rows["outcome"], WITH_ANSWER)


def times_of(rows: pd.DataFrame, scope: Scope) -> pd.DataFrame:
    """The rows of the scope's series and outcome."""
    return rows[among(rows["series"], (scope.series,)) & among(rows["outcome"], (scope.outcome,))]


def tally(rows: pd.DataFrame) -> Tally:
    return Tally.of(counts_by(rows, "series", "outcome"))
