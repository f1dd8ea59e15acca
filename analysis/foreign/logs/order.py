"""Watches the times of a request log, line by line, for whether they begin again, as in joined logs.

Lines may be in any order: by name, backwards, or by when answers came. Only stretches that each run forward in time,
overlap an earlier stretch and share a name with earlier lines may be several runs.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

_NEAR_S: Final = 1.0
"""Neighbouring lines no further apart than this are in order."""
_MOST_JUMPS: Final = 10_000
_MOST_JUMPING: Final = 0.1
"""Share of the lines; if more of them jump, or there are more than `_MOST_JUMPS`, the log has no order."""
_FAR: Final = 0.1
"""Share of the log's length: at a join, times jump back by more than this, and the logs overlap by more than this."""


class _Jump(NamedTuple):
    """A jump from one line's time to the next line's."""

    before_s: float
    after_s: float
    is_new_name: bool
    """The next line's name is new, as in lines sorted by name."""


class LogOrder:
    """The order of a log's lines; has to see all of them, in the file's order."""

    def __init__(self) -> None:
        self._jumps: list[_Jump] = []
        self._names: set[str] = set()
        self._first = self._last = math.nan
        self._least_s, self._most_s = math.inf, -math.inf
        self._lines = 0

    def add(self, seconds: pd.Series[float], names: pd.Series[Any]) -> None:
        """Add the next lines: times in s, names as categories; lines without a time are ignored."""
        all_times: NDArray[Any] = seconds.to_numpy()
        is_timed = np.isfinite(all_times)
        times = all_times[is_timed]
        if not times.size:
            return
        if math.isnan(self._first):
            self._first = self._last = float(times[0])
        before = np.concatenate([[self._last], times[:-1]])
        far = np.flatnonzero(np.abs(times - before) > _NEAR_S)[: _MOST_JUMPS + 1 - len(self._jumps)]
        codes, known = names.cat.codes.to_numpy()[is_timed], names.cat.categories
        used, first_places = np.unique(codes, return_index=True)
        first_of = dict(zip(used.tolist(), first_places.tolist(), strict=True))
        for place in far.tolist():
            code = int(codes[place])
            is_new = first_of[code] == place and known[code] not in self._names
            self._jumps.append(_Jump(float(before[place]), float(times[place]), is_new))
        self._names.update(known[used])
        self._last = float(times[-1])
        self._lines += times.size
        self._least_s, self._most_s = min(self._least_s, float(times.min())), max(self._most_s, float(times.max()))

    @property
    def restarts(self) -> int:
        """How many stretches of ordered lines overlap an earlier one in time; 0 if the log has no order."""
        enough_s = _FAR * (self._most_s - self._least_s)
        jumps = [jump for jump in self._jumps if abs(jump.after_s - jump.before_s) > enough_s]
        back = sum(jump.after_s < jump.before_s for jump in jumps)
        is_ordered = len(self._jumps) <= _MOST_JUMPS and len(jumps) <= _MOST_JUMPING * self._lines
        # A request logged long after it began causes a jump back and then one forward.
        if not is_ordered or len(jumps) - back >= back:
            return 0
        stretches = list(
            zip(
                [self._first, *(jump.after_s for jump in jumps)],
                [*(jump.before_s for jump in jumps), self._last],
                strict=True,
            )
        )
        return sum(
            not jump.is_new_name and any(_shared_s(stretches[place], other) > enough_s for other in stretches[:place])
            for place, jump in enumerate(jumps, start=1)
        )


def _shared_s(one: tuple[float, float], other: tuple[float, float]) -> float:
    return min(one[1], other[1]) - max(one[0], other[0])
