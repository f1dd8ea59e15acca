"""Bounds what can be left of a limit after each of a line's requests, wherever in its interval it was decided.

What is left is the amount, or the bucket's size, minus what counts: in a moving window what it holds, in a fixed one
what came since it began, in a sliding counter the weighted sum, in a bucket what it lacks. When aligned windows begin
is unknown, but it is the same for all clients: whenever the target says that more is left than without a new window,
one must have begun within a known stretch of time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from loadproof.analysis.audit.limits.excess import with_common_moment
from loadproof.analysis.audit.limits.refusals import drained, weighted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from loadproof.analysis.audit.limits.refusals import Before
    from loadproof.analysis.audit.limits.timeline import Line
    from loadproof.analysis.audit.limits.windows import FixedWindows


@dataclass(frozen=True, eq=False)
class Left:
    """For each row of a line, the least and the most that can be left after it."""

    least: NDArray[np.int64]
    most: NDArray[np.int64]


def left_of(line: Line, algorithms: Sequence[str], windows: FixedWindows, before: Before) -> Left:
    """What can be left, whichever of these algorithms it is."""
    lefts = [_left(line, algorithm, windows, before) for algorithm in algorithms]
    return Left(np.minimum.reduce([one.least for one in lefts]), np.maximum.reduce([one.most for one in lefts]))


def misplaced(line: Line, rows: NDArray[np.int64], left: NDArray[np.int64]) -> NDArray[np.bool_]:
    """For aligned windows, which of these admitted rows say that more is `left` than can be."""
    used = line.limit.amount - left
    place = line.sure.over(line.sent[rows]) - used
    is_off = np.zeros(len(rows), dtype=np.bool_)
    kept = np.flatnonzero((used > 0) & (place >= line.sure.begun_before(line.sent[line.first[line.client[rows]]])))
    froms, to = line.sure.begins[place[kept]], line.ended[rows[kept]]
    is_short = to - froms < line.window_us - line.slack_us
    if is_short.any():
        is_off[kept[is_short]] = ~with_common_moment(line, froms[is_short], to[is_short])
    return is_off


def _left(line: Line, algorithm: str, windows: FixedWindows, before: Before) -> Left:
    limit = line.limit
    size = limit.size if algorithm == "token-bucket" else limit.amount
    at_least = _used_at_least(line, algorithm, windows) if limit.processes == 1 else np.ones(len(line.rows))
    least = np.floor(np.maximum(size - _used_at_most(line, algorithm, before), 0))
    return Left(least.astype(np.int64), np.ceil(np.maximum(size - at_least, 0)).astype(np.int64))


def _used_at_most(line: Line, algorithm: str, before: Before) -> NDArray[np.float64]:
    """The most that can be used after each row; infinite if an unknown amount from earlier may count."""
    rows, reach = np.arange(len(line.rows)), line.window_us + line.slack_us
    if algorithm == "token-bucket":
        most, _ = drained(line, rows, lacked=line.limit.size if before.is_unknown else before.hits)
        return np.where(line.since == 0, most, np.inf)
    if algorithm == "sliding-counter":
        most, reach = weighted(line, rows), 2 * reach
    else:
        most = (line.possible.begun(line.ended) - line.possible.over(line.sent - reach)).astype(np.float64)
    is_old = line.sent - line.shift - line.since >= reach
    is_known = is_old | ((line.since == 0) & (not before.is_unknown))
    return np.where(is_known, most + np.where(is_old, 0, before.hits), np.inf)


def _used_at_least(line: Line, algorithm: str, windows: FixedWindows) -> NDArray[np.float64]:
    """The least that is used after each row: the row itself, and what certainly counts from before."""
    before: NDArray[np.float64] | NDArray[np.int64]
    match algorithm:
        case "token-bucket":
            _, before = drained(line, np.arange(len(line.rows)), lacked=0)
        case "sliding-counter":
            before = _weighted_least(line)
        case "moving-window":
            before = line.sure.over(line.sent) - line.sure.begun(line.ended - line.window_us + line.slack_us)
        case "fixed-window":
            before = _before_in_window(line, windows)
        case _:
            return np.ones(len(line.rows))
    return 1.0 + np.maximum(before, 0.0)


def _before_in_window(line: Line, windows: FixedWindows) -> NDArray[np.int64]:
    """How many certainly came before each row in its window: the one that began it, and those since."""
    number = windows.of(line.sent, line.ended)
    earlier = np.zeros(len(line.rows), dtype=np.int64)
    kept = np.flatnonzero(number >= 0)
    begun = windows.begin_high[number[kept]]
    kept, begun = kept[line.sent[kept] > begun], begun[line.sent[kept] > begun]
    earlier[kept] = 1 + np.maximum(line.sure.over(line.sent[kept]) - line.sure.begun(begun), 0)
    return earlier


def _weighted_least(line: Line) -> NDArray[np.float64]:
    """The least weighted sum: a request of age a weighs at least 1 - a / W, and the sum may be rounded down.

    Requests that were over when a row was sent are taken to be those with the earliest begins, which weigh least.
    """
    hits, until = line.sure, line.ended + line.slack_us
    begins = line.sent[line.first[:-1]]
    own = hits.begins - begins[np.searchsorted(begins, hits.begins, side="right") - 1]
    sums = np.concatenate([[0], np.cumsum(own)])
    first, last = hits.begun(until - line.window_us), hits.over(line.sent)
    number = np.maximum(last - first, 0)
    ages = number * (until - begins[line.client]) - (sums[np.maximum(last, first)] - sums[first])
    weight: NDArray[np.float64] = np.floor(np.maximum(number - ages / line.window_us, 0))
    return weight
