"""What metrics and charts read, from a run of ours or anyone's log: requests, and the phases that they belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from loadproof.plan.phases import PhaseSpan


class Traffic(Protocol):
    """Frames have the columns of rundir's row types, times in s from the start."""

    @property
    def phases(self) -> Sequence[PhaseSpan]: ...

    @property
    def endpoints(self) -> tuple[str, ...]: ...

    @property
    def start_unix_s(self) -> float: ...

    @property
    def measured_s(self) -> float:
        """Until when something was measured, in s."""

    @property
    def intervals(self) -> pd.DataFrame: ...

    @property
    def events(self) -> pd.DataFrame: ...

    def with_intervals(self, intervals: pd.DataFrame) -> Self:
        """The same, as if these had been its requests."""
