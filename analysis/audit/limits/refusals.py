"""Classifies refusals: which are certainly right, which certainly came too early, and when the limit admits again.

A refusal is early if, at every moment of its interval, the most that can have counted leaves room for one more: in a
window, what the last W may hold; in a sliding counter, each request of the last 2 W with the greatest weight for its
age; in a bucket, what it can't have refilled since any moment. If that only holds at some moments, the refusal is
neither early nor right.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.analysis.audit.limits.timeline import DRIFT_RATIO

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from loadproof.analysis.audit.limits.timeline import Hits, Line
    from loadproof.analysis.audit.limits.windows import FixedWindows

_CLOSE: Final = 1e-3
"""In requests: the error of adding up floats."""


@dataclass(frozen=True)
class Before:
    """What the target may have counted before second 0."""

    hits: int = 0
    """Our own probe's requests, per client."""
    is_unknown: bool = False
    """Others may have sent requests, like an earlier run: refusals within their reach can't be called early."""


@dataclass(frozen=True, eq=False)
class Refusals:
    """What is known about each of a line's refusals, in order; moments in µs on the line."""

    is_early: NDArray[np.bool_]
    is_right: NDArray[np.bool_]
    free_low: NDArray[np.int64]
    """The earliest moment at which the limit alone can admit the client again."""
    free_high: NDArray[np.int64]
    """The latest moment by which it has to."""


def refusals(line: Line, algorithm: str, windows: FixedWindows, before: Before) -> Refusals:
    """Classify a line's refusals as if this algorithm had made them."""
    limit, sent, ended = line.limit, line.sent[line.refused], line.ended[line.refused]
    reach, size = line.window_us + line.slack_us, limit.amount
    if algorithm == "sliding-counter":
        most, least = weighted(line, line.refused), _least(line, sent, ended)
        reach *= 2
    elif algorithm == "token-bucket":
        # Under steady traffic, a bucket never refills what it lacked at second 0.
        size, reach = limit.size, 0
        lacked = np.where(line.since[line.refused] > 0, size, size if before.is_unknown else before.hits)
        most, least = drained(line, line.refused, lacked=lacked)
    else:
        most = _most(line.possible, sent - reach, ended)
        least = _least(line, sent, ended)
    since = line.since[line.refused]
    is_known = sent - line.shift[line.refused] - since >= reach if reach else np.ones(len(sent), dtype=bool)
    is_early = (most + np.where(is_known, 0, before.hits) <= size - 1) & (is_known | (since == 0))
    is_early &= ~(_may_be_punished(line) & (before.is_unknown | (since > 0)))
    if before.is_unknown:
        is_early &= is_known
    free_low, free_high = _free(line, algorithm, sent, ended)
    found = Refusals(is_early, (least > size - 1) & ~is_early, free_low, free_high)
    return _in_windows(line, windows, found) if algorithm == "fixed-window" else found


def _may_be_punished(line: Line) -> NDArray[np.bool_]:
    """Refusals that an unknown earlier penalty would explain, because nothing has been admitted yet to disprove it."""
    rule, refused = line.limit.penalties, line.refused
    if rule is None:
        return np.zeros(len(refused), dtype=bool)
    far = np.iinfo(np.int64).max
    first = np.full(len(line.first) - 1, far)
    np.minimum.at(first, line.client[line.is_admitted], line.ended[line.is_admitted])
    longest_us = round(rule.cap * 1e6) + line.window_us
    known_us = line.sent[refused] - line.shift[refused] - line.since[refused]
    return (line.sent[refused] <= first[line.client[refused]]) & (known_us < longest_us)


def _most(hits: Hits, from_us: NDArray[np.int64], to_us: NDArray[np.int64]) -> NDArray[np.float64]:
    return (hits.begun(to_us) - hits.over(from_us)).astype(np.float64)


def _least(line: Line, sent: NDArray[np.int64], ended: NDArray[np.int64]) -> NDArray[np.float64]:
    """How many were certainly admitted within the last window, at every moment of the intervals."""
    least = line.sure.over(sent) - line.sure.begun(ended - line.window_us + line.slack_us)
    return least.astype(np.float64)


def weighted(line: Line, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """The most that a sliding counter can have counted when each of these rows, included, was decided.

    A request of age a in the previous window weighs at most 2 - a / W: the current window began after the request, so
    at least a - W of it has passed.
    """
    hits, reach = line.possible, line.window_us + line.slack_us
    sent, ended = line.sent[rows], line.ended[rows]
    middle, oldest = hits.over(sent - reach), hits.over(sent - reach - line.window_us)
    # Relative to each client's first request, so that sums stay exact.
    begins = line.sent[line.first[:-1]]
    own = hits.ends - begins[np.searchsorted(begins, hits.ends, side="right") - 1]
    sums = np.concatenate([[0], np.cumsum(own)])
    number = middle - oldest
    ages = number * (sent - line.slack_us - begins[line.client[rows]]) - (sums[middle] - sums[oldest])
    older: NDArray[np.float64] = 2 * number - ages / line.window_us
    return (hits.begun(ended) - middle).astype(np.float64) + np.where(number, older + _CLOSE, 0.0)


def drained(
    line: Line, rows: NDArray[np.int64], *, lacked: int | NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The most tokens that a bucket can lack after each of these rows, and the least before it.

    That is the maximum, over all earlier moments, of hits since then minus refill. `lacked` is what the bucket lacked,
    by row, at second 0 or at the client's first request.
    """
    rate = line.limit.amount / line.window_us
    slow, fast = rate * (1 - DRIFT_RATIO), rate * (1 + DRIFT_RATIO)
    sent, ended = line.sent[rows], line.ended[rows]
    possible, sure = line.possible, line.sure
    drop = np.maximum.accumulate(np.append(-np.inf, slow * possible.ends - np.arange(len(possible.ends))))
    at = sent - line.slack_us
    begun, over = possible.begun(ended), possible.over(at)
    most = np.maximum(begun - slow * at + drop[over] + _CLOSE, begun - over)
    if np.any(lacked):
        begin = line.sent[line.first[line.client[rows]]]
        own = begun - possible.begun_before(begin)
        most = np.maximum(most, lacked + own - slow * np.maximum(at - np.maximum(begin, line.shift[rows]), 0))
    surely = np.maximum.accumulate(np.append(-np.inf, fast * sure.begins - np.arange(len(sure.begins))))
    least = sure.over(sent) - fast * (ended + line.slack_us) + surely[sure.begun(sent)]
    return most, least - _CLOSE


def _free(
    line: Line, algorithm: str, sent: NDArray[np.int64], ended: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """When a refused client is admitted again, at the earliest and at the latest.

    For windows: when all but N - 1 of the requests that count have left; for buckets: when the next token is there.
    """
    limit, window_us, slack_us = line.limit, line.window_us, line.slack_us
    if algorithm in {"token-bucket", "sliding-counter"}:
        token_us = window_us // limit.amount + 1
        longest_us = token_us + (0 if algorithm == "token-bucket" else window_us)
        return sent, ended + longest_us + slack_us
    begin = line.sent[line.first[line.client[line.refused]]]
    possible, sure = line.possible, line.sure
    place = possible.begun(ended) - limit.amount
    last = _at(possible.ends, place, place >= possible.begun_before(begin), ended)
    free_high = np.minimum(last, ended) + window_us + slack_us
    if algorithm != "moving-window" or limit.processes > 1:
        return sent, free_high
    place = sure.over(sent) - limit.amount
    first = _at(sure.begins, place, place >= sure.begun_before(begin), sent - window_us)
    return np.maximum(first + window_us - slack_us, sent), free_high


def _at(
    values: NDArray[np.int64], places: NDArray[np.int64], exists: NDArray[np.bool_], otherwise: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The values at these places where they exist, and `otherwise` elsewhere."""
    found = otherwise.copy()
    found[exists] = values[places[exists]]
    return found


def _in_windows(line: Line, windows: FixedWindows, refused: Refusals) -> Refusals:
    """Tighter bounds for refusals certainly within one fixed window: only that window's requests count."""
    sent, ended = line.sent[line.refused], line.ended[line.refused]
    number = windows.of(sent, ended)
    inside = number >= 0
    number = number[inside]
    is_early, low, high = refused.is_early.copy(), refused.free_low.copy(), refused.free_high.copy()
    most = _most(line.possible, windows.begin_low[number], ended[inside])
    is_early[inside] |= most <= line.limit.amount - 1
    low[inside] = np.maximum(low[inside], windows.end_low[number])
    high[inside] = np.minimum(high[inside], windows.end_high[number])
    return replace(refused, is_early=is_early, is_right=refused.is_right & ~is_early, free_low=low, free_high=high)
