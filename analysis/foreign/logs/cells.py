"""Turns rows of a request log, chunk by chunk, into cells like a run's intervals, few enough to fit in memory."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from loadproof.errors import InputError, Problem
from loadproof.histogram import BUCKETS, buckets_of
from loadproof.outcome import Outcome, classify

if TYPE_CHECKING:
    from numpy.typing import NDArray

PHASE: Final = "log"
_SERIES: Final = ("response", "good", "completed")
_OUTCOMES: Final = tuple(Outcome)
_MOST_FINE_CELLS: Final = 2_000_000


class LogCells:
    """A histogram for each second, name and outcome; each cell's key is packed into a single number."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.start_s, self.last_s = math.inf, 0.0
        """The first and last whole second, by the log's clock."""
        self.is_coarse = False
        """Four of the histogram's buckets are merged into one, because there are too many cells."""
        self._codes: dict[str, int] = {}
        self._keys: list[NDArray[np.int64]] = []
        self._counts: list[NDArray[np.int32]] = []
        self._ended: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        """All requests, with or without a time."""
        self._untimed: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        self._lost: Counter[tuple[int, str]] = Counter()

    def add(self, rows: pd.DataFrame) -> None:
        lost = rows["status"].isna()
        if lost.any():
            seconds = rows.loc[lost, "seconds"].dropna()
            self._lost.update(zip(seconds.astype(int), rows["name"].astype(str)[seconds.index], strict=True))
            rows = rows[~lost]
        if rows.empty:
            return
        self.start_s = min(self.start_s, float(rows["seconds"].min() // 1))
        self.last_s = max(self.last_s, float(rows["seconds"].max() // 1))
        names = rows["name"].cat.remove_unused_categories()
        codes = np.array([self._code(str(name)) for name in names.cat.categories], dtype=np.int64)
        keys = rows["seconds"].to_numpy().astype(np.int64) << 16 | codes[names.cat.codes]
        keys = keys * len(_OUTCOMES) + _outcomes(rows["status"].to_numpy())
        times_s = rows["response_ms"].to_numpy() / 1000
        is_timed = ~np.isnan(times_s)
        self._ended.append(np.unique(keys, return_counts=True))
        if not is_timed.all():
            self._untimed.append(np.unique(keys[~is_timed], return_counts=True))
            # Good answers without a time are left out of the times; failed ones count in the highest bucket.
            told = is_timed | (keys % len(_OUTCOMES) != _OUTCOMES.index(Outcome.OK))
            keys, times_s = keys[told], np.where(is_timed, times_s, math.inf)[told]
        keys = keys * BUCKETS + buckets_of(times_s)
        unique, counts = np.unique(_coarse(keys) if self.is_coarse else keys, return_counts=True)
        self._keys.append(unique)
        self._counts.append(counts.astype(np.int32))
        if not self.is_coarse and sum(map(len, self._keys)) > _MOST_FINE_CELLS:
            self.is_coarse = True
            self._keys = [_coarse(each) for each in self._keys]

    def frame(self, names: list[str]) -> pd.DataFrame:
        """Cells with an IntervalRow's columns, as if recorded from the first second on.

        A cell with lines from several chunks has several rows. All `ok` answers count as good, because a log has no
        deadline, and as completed in the second in which they began.
        """
        ended, ended_counts = (np.concatenate(part) for part in zip(*self._ended, strict=True))
        ok = ended % len(_OUTCOMES) == _OUTCOMES.index(Outcome.OK)
        self._keys += [ended[ok] * BUCKETS, ended * BUCKETS]
        self._counts += [ended_counts[ok], ended_counts]
        cells = _Cells(sum(map(len, self._keys)), int(self.start_s))
        series = [0] * (len(self._keys) - 2) + [1, 2]
        # There may be millions of cells, so parts are freed as they are copied.
        self._keys.reverse()
        self._counts.reverse()
        for number in series:
            cells.add(self._keys.pop(), self._counts.pop(), series=number)
        return cells.frame(names)

    @property
    def lost(self) -> dict[tuple[int, str], int]:
        """Lines left out, by second from the start (clipped to the log) and name."""
        lost: Counter[tuple[int, str]] = Counter()
        for (second, name), count in self._lost.items():
            lost[int(min(max(second, self.start_s), self.last_s) - self.start_s), name] += count
        return dict(lost)

    def untimed_frame(self, names: list[str]) -> pd.DataFrame:
        cells = _Cells(sum(len(keys) for keys, _ in self._untimed), int(self.start_s))
        for keys, counts in self._untimed:
            cells.add(keys * BUCKETS + BUCKETS - 1, counts.astype(np.int32), series=0)
        return cells.frame(names)

    def _code(self, name: str) -> int:
        code = self._codes.setdefault(name, len(self._codes))
        if code == len(self.names):
            if code > 0xFFFF:
                raise InputError(Problem("name", "more than 65,536 names", "group them, like /users/[id]"))
            self.names.append(name)
        return code


class _Cells:
    """The columns of a frame, filled part by part."""

    def __init__(self, size: int, start_s: int) -> None:
        self._start_s = start_s
        self._filled = 0
        self._second, self._count, self._endpoint = (np.empty(size, dtype=np.int32) for _ in range(3))
        self._bucket = np.empty(size, dtype=np.int16)
        self._outcome, self._series = (np.empty(size, dtype=np.int8) for _ in range(2))

    def add(self, keys: NDArray[np.int64], counts: NDArray[np.int32], *, series: int) -> None:
        part = slice(self._filled, self._filled + keys.size)
        self._filled = part.stop
        self._count[part], self._bucket[part], self._series[part] = counts, keys % BUCKETS, series
        keys = keys // BUCKETS
        self._outcome[part] = keys % len(_OUTCOMES)
        keys //= len(_OUTCOMES)
        self._endpoint[part], self._second[part] = keys & 0xFFFF, (keys >> 16) - self._start_s

    def frame(self, names: list[str]) -> pd.DataFrame:
        outcomes = [str(outcome) for outcome in _OUTCOMES]
        columns: dict[str, Any] = {
            "second": self._second,
            "phase": pd.Categorical.from_codes(np.zeros(self._filled, dtype=np.int8), pd.Index([PHASE])),
            "endpoint": pd.Categorical.from_codes(self._endpoint, pd.Index(names)),
            "outcome": pd.Categorical.from_codes(self._outcome, pd.Index(outcomes)),
            "series": pd.Categorical.from_codes(self._series, pd.Index(_SERIES)),
            "bucket": self._bucket,
            "count": self._count,
        }
        return pd.DataFrame(columns, copy=False)


def _coarse(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """The keys with each bucket replaced by the middle of four; a bucket is the lowest part of a key."""
    return (keys & ~3) + 2


def _outcomes(status: NDArray[np.float64]) -> NDArray[np.int64]:
    """The outcome's number for each status; a status of 0 means no answer."""
    values, place = np.unique(status.astype(np.int64), return_inverse=True)
    outcomes = [
        _OUTCOMES.index(
            classify(value, as_expected=200 <= value < 400, has_retry_after=False) if value > 0 else Outcome.CONNECTION
        )
        for value in values.tolist()
    ]
    return np.array(outcomes, dtype=np.int64)[place]
