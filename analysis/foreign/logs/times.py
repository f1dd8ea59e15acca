"""Reads the times of a request log in the unit that its column's name or their size shows; otherwise it is unclear.

Times since 1970 and in ISO 8601 show their unit. Times since the start don't: 20,000 may be six hours or 20 s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from loadproof.errors import Problem
from loadproof.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LAST_S: Final = 2**32
"""The latest time, in s since 1970."""
ANY_UNIT: Final = "seconds"
_UNITS: Final = ((1, "seconds"), (10**3, "milliseconds"), (10**6, "microseconds"), (10**9, "nanoseconds"))
_DIVISORS: Final = {f"time_{unit}": divisor for unit, (divisor, _) in zip(("s", "ms", "us", "ns"), _UNITS, strict=True)}
TIME_COLUMNS: Final = tuple(_DIVISORS)
"""Names of the times' column that say the unit."""
_ISO: Final = "ISO 8601"
_MOST_DIGITS: Final = 100
_SINCE_1970_S: Final = 10**8
"""Larger times count from 1970: no log is from before 1973, and no run takes three years."""
_LONG_S: Final = 3600
_SPARSE_RPS: Final = 2
"""Below this rate over more than an hour, the times are more likely in a unit a thousand times smaller."""
_LEAST_MIXED: Final = 10
_MIXED_RATIO: Final = 0.002
"""Share of neighbouring lines with different times; in random order, one in 5,000 looks like mixed units."""


class LogTimes:
    """The times of one log, and the unit that they were read as."""

    def __init__(self, column: str = ANY_UNIT) -> None:
        self.column = column
        self.unit = ""
        """The unit recognised from the times; empty if the column's name says it."""
        self._divisor = _DIVISORS.get(column, 0)
        self._pairs = self._mixed = 0

    def seconds(self, written: pd.Series[float]) -> pd.Series[float]:
        """Times in s, by the unit recognised in the first call; texts may be ISO 8601, in UTC if they name no zone."""
        times = numbers_in(written)
        # Like `1e999`, which is no time.
        times = times.where(np.isfinite(times))
        if not self._divisor and times.notna().any():
            typical = float(times.abs().median())
            self._divisor, self.unit = next((known for known in _UNITS if typical <= LAST_S * known[0]), _UNITS[0])
        self._compare(times.to_numpy())
        times = times / (self._divisor or 1)
        others = times.isna() & written.notna()
        if others.any():
            # ISO 8601 allows a comma before the fraction, and Python's logging writes one.
            texts = written[others].astype(str).str.replace(",", ".")
            parsed = pd.to_datetime(texts, utc=True, format="ISO8601", errors="coerce")
            times[others] = (parsed - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
            if not self._divisor and parsed.notna().any():
                self.unit = _ISO
        return times

    def _compare(self, times: NDArray[np.floating[Any]]) -> None:
        """Count neighbouring lines whose times differ by a factor of 1000: if it happens often, units are mixed."""
        times = times[times > 0]
        if len(times) > 1:
            factors = np.exp(np.abs(np.diff(np.log(times))))
            self._pairs += int((factors > 1).sum())
            self._mixed += int(((factors > 900) & (factors < 1100)).sum())

    def problem(self, where: str, requests: int, start_s: float, last_s: float) -> Problem | None:
        """Why the unit is unclear, or None; call it once all times have been read."""
        if self._mixed >= max(_LEAST_MIXED, _MIXED_RATIO * self._pairs):
            what = f"in {self._mixed:,} places a line's time is a thousand times that of the next, or the reverse"
            return Problem(where, what, "give all times in one unit, or in ISO 8601")
        length_s = last_s - start_s + 1
        is_clear = self.column != ANY_UNIT or self.unit == _ISO or start_s >= _SINCE_1970_S
        if is_clear or length_s <= _LONG_S or requests >= _SPARSE_RPS * length_s:
            return None
        what = (
            f"the unit of `{ANY_UNIT}` is unclear: read as {self.unit}, {requests:,} requests took "
            f"{format_duration(length_s)}, {requests / length_s:.2g} per second"
        )
        return Problem(
            where, what, f"rename that column to its unit: {', '.join(TIME_COLUMNS[:-1])} or {TIME_COLUMNS[-1]}"
        )


def time_columns(header: Sequence[str]) -> list[str]:
    """The columns of times that this log has; only `seconds` if there is one."""
    return [ANY_UNIT] if ANY_UNIT in header else [name for name in TIME_COLUMNS if name in header]


def numbers_in(written: pd.Series[float]) -> pd.Series[float]:
    """Numbers as floats; nan for anything else, including booleans."""
    if pd.api.types.is_bool_dtype(written):
        return pd.Series(float("nan"), index=written.index)
    try:
        return pd.to_numeric(written, errors="coerce").astype(float)
    except OverflowError:
        # pandas reads hundreds of digits as an integer, which doesn't fit into a float.
        texts = written.astype(str)
        return pd.to_numeric(texts.where(texts.str.len() < _MOST_DIGITS), errors="coerce").astype(float)
