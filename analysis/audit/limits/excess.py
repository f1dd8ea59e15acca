"""Finds where more was admitted than an algorithm allows, wherever in their intervals the decisions were.

The most that may be admitted in any half-open window of the period W, with a limit of N (P processes that count
separately admit P times as much): moving window N; fixed window started by the first request 2N - 1; aligned window 2N;
sliding counter 2N (2N - 1 if it doesn't floor its weight); token bucket or GCRA of size B: B + N - 1, which is 2N - 1
for B = N. In any stretch of length t, at most t N / W more than N, 2N - 1, 2N, N + 1 and B: a sliding counter that
admitted c <= N in one window admits less than N - c (1 - t / W) + 1 in the first t of the next, together less than
N + 1 + t N / W.
Source: limits 5.8 with a fake clock; ITU-T I.371 for the generic cell rate algorithm.

Other tools count refusals, or admissions per window, where N + 1 can't be told from the edge of two windows. The
algorithm's own state can tell: when its windows began, and how full its bucket is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.analysis.audit.limits.timeline import DRIFT_RATIO, Excess, Line

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from loadproof.analysis.audit.limits.windows import FixedWindows
    from loadproof.scenario.target.limits import DeclaredLimit

_CLOSE: Final = 1e-3
"""In requests: the error of adding up floats."""


def most_admitted(limit: DeclaredLimit, algorithm: str) -> int:
    """The most that one client may be admitted in any half-open window of the period."""
    n = limit.amount
    most = {"moving-window": n, "fixed-window": 2 * n - 1, "token-bucket": limit.size + n - 1}
    return limit.processes * most.get(algorithm, 2 * n)


def most_at_once(limit: DeclaredLimit, algorithm: str) -> int:
    """The most that one client may be admitted in a stretch so short that nothing refills."""
    n = limit.amount
    most = {"moving-window": n, "fixed-window": 2 * n - 1, "sliding-counter": n + 1, "token-bucket": limit.size}
    return limit.processes * most.get(algorithm, 2 * n)


def excesses(line: Line, algorithm: str, windows: FixedWindows) -> list[Excess]:
    """Each client's worst excess; empty if the algorithm may have admitted all of this."""
    excess = over_window(line, most_admitted(line.limit, algorithm))
    excess = excess or over_stretch(line, most_at_once(line.limit, algorithm))
    if excess or algorithm in {"moving-window", "token-bucket"}:
        return excess
    if algorithm == "fixed-window":
        return windows.excesses
    excess = over_aligned(line)
    # Sliding counters may have windows at fixed times of the clock, or from the first request on.
    return excess if algorithm == "aligned-window" or windows.excesses else []


def over_window(line: Line, most: int) -> list[Excess]:
    begins = line.sure.begins
    to = begins + line.window_us - line.slack_us
    counts = line.sure.over(to) - line.sure.begun_before(begins)
    return _worst(line, begins, to, counts, np.full(len(begins), most))


def over_stretch(line: Line, size: int) -> list[Excess]:
    """Excesses in any stretch, from one request's begin x to another's end y: #{within} - rate (y - x) > size.

    The terms in x and y separate, so for each y it is enough to compare with the greatest term in x up to it.
    """
    limit, sure = line.limit, line.sure
    if not len(sure.begins):
        return []
    rate = limit.processes * limit.amount / line.window_us * (1 + DRIFT_RATIO)
    room = size + rate * line.slack_us + _CLOSE
    begun = rate * sure.begins - sure.begun_before(sure.begins)
    best = np.maximum.accumulate(begun)
    # The position of the maximum so far: the last one at which it changed.
    at = np.maximum.accumulate(np.where(begun >= best, np.arange(len(begun)), 0))
    before = sure.begun(sure.ends) - 1
    is_over = np.arange(1, len(sure.ends) + 1) - rate * sure.ends + best[before] > room
    froms, to = sure.begins[at[before[is_over]]], sure.ends[is_over] + 1
    counts = sure.over(to) - sure.begun_before(froms)
    return _worst(line, froms, to, counts, np.floor(room + rate * (to - froms)).astype(np.int64))


def over_aligned(line: Line) -> list[Excess]:
    """Excesses for windows at unknown fixed times: N + 1 admitted within less than a window need an edge between them.

    Each group of N + 1 gives an arc on the circle of possible edges; a correct target's edge lies on all arcs.
    """
    sure, most, window_us = line.sure, line.limit.processes * line.limit.amount, line.window_us
    last = sure.begun_before(sure.begins) + most
    kept = last < len(sure.ends)
    froms, to = sure.begins[kept], sure.ends[last[kept]]
    is_short = to - froms < window_us - line.slack_us
    froms, to = froms[is_short], to[is_short]
    if not len(froms):
        return []
    is_off = ~with_common_moment(line, froms, to)
    froms, to = froms[is_off], to[is_off] + 1
    return _worst(line, froms, to, sure.over(to) - sure.begun_before(froms), np.full(len(froms), most))


def with_common_moment(line: Line, froms: NDArray[np.int64], to: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of the stretches (from, to], in µs on the line, contain the window edge that most of them contain."""
    run_us = int(line.rows["ended_us"].max() - line.rows["sent_us"].min())
    spread = line.slack_us + int(DRIFT_RATIO * run_us)
    shift = line.shift[line.first[_client_at(line, froms)]]
    return _with_common_point(froms - shift - spread, to - shift + spread, line.window_us)


def _with_common_point(froms: NDArray[np.int64], to: NDArray[np.int64], circle: int) -> NDArray[np.bool_]:
    """Which of the arcs (from, to] contain the point that most of them contain; it may be taken to be one arc's end."""
    is_whole = to - froms >= circle
    begin, end = froms % circle, to % circle
    wraps = begin > end
    points = np.unique(end[~is_whole])
    if not len(points):
        return is_whole
    begins, ends = np.sort(begin[~is_whole]), np.sort(end[~is_whole])
    # Arcs that wrap around also begin one round earlier.
    on = np.searchsorted(begins, points, "left") - np.searchsorted(ends, points, "left") + (wraps & ~is_whole).sum()
    best = points[np.argmax(on)]
    after, until = begin < best, best <= end
    is_on: NDArray[np.bool_] = np.where(wraps, after | until, after & until)
    return is_whole | is_on


def _client_at(line: Line, moments: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.searchsorted(line.sent[line.first[:-1]], moments, side="right") - 1


def _worst(
    line: Line,
    froms: NDArray[np.int64],
    to: NDArray[np.int64],
    counts: NDArray[np.int64],
    allowed: NDArray[np.int64],
) -> list[Excess]:
    """Each client's largest excess, among stretches with more than allowed."""
    over = np.flatnonzero(counts > allowed)
    client = _client_at(line, froms[over])
    order = np.lexsort(((counts - allowed)[over], client))
    last = np.flatnonzero(np.diff(client[order], append=-1))
    return [
        Excess(int(_client_at(line, froms[[at]])[0]), int(froms[at]), int(to[at]), int(counts[at]), int(allowed[at]))
        for at in over[order[last]]
    ]
