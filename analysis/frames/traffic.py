"""What metrics and charts read, whether from a run or from another tool's log: requests and their phases."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol, Self

import pandas as pd

from loadproof.rundir.rows import EventRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadproof.plan.phases import PhaseSpan


class Traffic(Protocol):
    """Requests and phases. Frames have the columns of rundir's row types, times in s from the start."""

    @property
    def phases(self) -> Sequence[PhaseSpan]: ...

    @property
    def endpoints(self) -> tuple[str, ...]: ...

    @property
    def start_unix_s(self) -> float: ...

    @property
    def measured_s(self) -> float:
        """When measuring ended, in s from the start."""

    @property
    def intervals(self) -> pd.DataFrame: ...

    @property
    def events(self) -> pd.DataFrame: ...

    def with_intervals(self, intervals: pd.DataFrame) -> Self:
        """The same traffic with these as its requests."""


@dataclass(frozen=True, eq=False, kw_only=True)
class PlainTraffic:
    """Only what a Traffic has: a log's requests, or some seconds of a run."""

    phases: tuple[PhaseSpan, ...]
    endpoints: tuple[str, ...]
    start_unix_s: float
    measured_s: float
    intervals: pd.DataFrame
    events: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(EventRow._fields)))

    def with_intervals(self, intervals: pd.DataFrame) -> PlainTraffic:
        return replace(self, intervals=intervals)
