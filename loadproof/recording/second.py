"""Collects the current second, and turns its finished requests into columns."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from loadproof.outcome import Outcome

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from loadproof.recording.journalrows import EndedRequest

_AT_ONCE_S: Final = 0.001
"""More than any lag of a request that is due when it begins."""
Kind = tuple[str, str, Outcome]
"""Endpoint, method and outcome of finished requests."""
CellKey = tuple[int, str, str, str, str, int]
"""The columns of an IntervalRow, without its count."""


class Moments(NamedTuple):
    """Finished requests of one kind, as arrays of equal length; `Recorder.finished` uses the same order."""

    due_s: NDArray[np.float64]
    """Intended start, from the run's start."""
    began_s: NDArray[np.float64]
    """When connecting or sending began, from the run's start."""
    sent_s: NDArray[np.float64]
    """When the request was sent, from the run's start."""
    connect_s: NDArray[np.float64]
    """How long connecting took; 0 if the connection was already open."""
    first_byte_s: NDArray[np.float64]
    """From sending to the answer's first byte; 0 if there was none."""
    ended_s: NDArray[np.float64]
    """When the request ended, from the run's start."""
    body_bytes: NDArray[np.float64]


Tables = dict[Kind, Moments]


def _rows() -> defaultdict[Kind, array[float]]:
    return defaultdict(lambda: array("d"))


@dataclass
class Second:
    """Filled request by request while it runs."""

    loop_delay_s: float = 0.0
    """The longest so far."""
    peak_in_flight: int = 0
    sent: int = 0
    dropped: int = 0
    abandoned: int = 0
    rows: defaultdict[Kind, array[float]] = field(default_factory=_rows)
    """One finished request's Moments after another; `began_s`, `sent_s` and `ended_s` are monotonic."""
    setup_rows: defaultdict[Kind, array[float]] = field(default_factory=_rows)
    """The same for requests that `on_start` and `on_stop` sent."""
    group_rows: defaultdict[Kind, array[float]] = field(default_factory=_rows)
    """The same for groups of requests, by group name."""
    cells: Counter[CellKey] = field(default_factory=Counter)
    """Counters of whatever has no moments."""
    followed: int = 0
    """Requests begun that are not the first of their turn."""
    journal: list[EndedRequest] = field(default_factory=list)
    """If the run records its requests: all of them, in the order in which they ended."""
    unjournalled: int = 0
    """Requests missing from the journal."""


def tables_of(rows: dict[Kind, array[float]], start_s: float) -> Tables:
    """The rows of a second as columns; `start_s` is the run's start in monotonic seconds."""
    tables = {}
    for kind, values in rows.items():
        moments = Moments(*np.frombuffer(values).reshape(-1, len(Moments._fields)).T.copy())
        for column in (moments.began_s, moments.sent_s, moments.ended_s):
            np.subtract(column, start_s, out=column)
        tables[kind] = moments
    return tables


def lag_p99_s(tables: Tables, followed: int = 0) -> float:
    """The 99th percentile of start lag in s: the smallest lag that at least 99 % of requests don't exceed.

    Later requests of a turn are due when they begin: the `followed` smallest lags, which are theirs, are left out. 0 if
    no others are left.
    """
    lags_s = np.concatenate([moments.began_s - moments.due_s for moments in tables.values()] or [np.empty(0)])
    # Those that began in this second may end in a later one.
    followed = min(followed, int(np.count_nonzero(lags_s < _AT_ONCE_S)))
    timed = lags_s.size - followed
    if timed <= 0:
        return 0.0
    rank = followed + min(timed - 1, int(0.99 * timed))
    return float(np.partition(lags_s, rank)[rank])
