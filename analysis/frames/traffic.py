"""What metrics and charts read, whether from a run or from another tool's log: requests and their phases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

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
