"""Checks Retry-After: whether clients that waited it out were admitted, and no wait was a second too long.

Source: RFC 9110, section 10.2.3: whole seconds, or an HTTP-date (section 5.6.7), which has a second's resolution and
the target's own clock.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from loadproof.rundir.rows import ANSWER_DATE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from loadproof.analysis.audit.limits.refusals import Refusals
    from loadproof.analysis.audit.limits.timeline import Line

SECOND_US: Final = 1_000_000
NEVER_US: Final = -(1 << 62)
_SECONDS: Final = re.compile(r"\d{1,9}", re.ASCII)
_SECONDS_ALONE, _DATE_BY_OURS, _DATE_BY_TARGETS = range(3)
"""Kinds of announcements: a wait, a date by this machine's clock, or one by the target's clock, given in the answer."""
_DATE_US: Final = 2 * SECOND_US
"""How old a Date may be: it is truncated to seconds, and servers renew it once a second.

Source: uvicorn 0.54, server.py, `on_tick`.
"""
_DATE: Final = re.compile(r"[A-Z][a-z]{2,8},? .*\d\d:\d\d:\d\d.*")


@dataclass(frozen=True, eq=False)
class Waits:
    """What each of a line's refusals announced, in order; moments in µs on the line."""

    is_missing: NDArray[np.bool_]
    is_unreadable: NDArray[np.bool_]
    until_low: NDArray[np.int64]
    """The earliest end of the wait, counted from when it was sent; `NEVER_US` if nothing was announced."""
    until_high: NDArray[np.int64]
    """The latest end of the wait, counted from when it ended: a client that waits until then has honoured it."""

    @property
    def is_told(self) -> NDArray[np.bool_]:
        return self.until_low > NEVER_US


@dataclass(frozen=True, eq=False)
class Honesty:
    """Whether what a line's refusals announced came true; positions are rows of the line."""

    tested: int
    """Requests after a wait, from clients with nothing else in flight since."""
    confirmed: int
    """Refusals whose wait is right to within a second, given what was admitted before."""
    broken: NDArray[np.int64]
    """Requests refused although their client had waited."""
    too_short: NDArray[np.int64]
    """Refusals with a wait after which the limit can't admit yet."""
    too_long: NDArray[np.int64]
    """Refusals with a wait that is more than a second too long."""


def waits_of(line: Line, start_unix_s: float) -> Waits:
    refused = line.rows.iloc[line.refused]
    texts = refused["retry_after"].to_numpy()
    is_missing = np.array([text == "" for text in texts], dtype=bool)
    announced = [_announced(text, noted) for text, noted in zip(texts, refused["noted"], strict=True)]
    kinds = np.array([kind for kind, _ in announced], dtype=np.int64)
    value = np.array([number for _, number in announced], dtype=np.float64)
    is_told = ~np.isnan(value)
    shift, sent, ended = (part[line.refused] for part in (line.shift, line.sent, line.ended))
    is_ours = kinds == _DATE_BY_OURS
    moment = np.where(is_told, value - np.where(is_ours, start_unix_s, 0), 0) * SECOND_US
    wait = moment.astype(np.int64)
    low = np.where(is_ours, wait + shift - SECOND_US, sent + wait - np.where(kinds == _DATE_BY_TARGETS, _DATE_US, 0))
    high = np.where(is_ours, wait + shift + SECOND_US, ended + wait)
    return Waits(is_missing, ~is_missing & ~is_told, *(np.where(is_told, end, NEVER_US) for end in (low, high)))


@lru_cache(maxsize=100_000)
def _announced(text: str, noted: str) -> tuple[int, float]:
    """The kind of announcement, and its seconds: from the answer on, or Unix time by our clock; NaN if unreadable."""
    if _SECONDS.fullmatch(text):
        return _SECONDS_ALONE, float(text)
    until_s = _moment(text)
    answered_s = _moment(json.loads(noted).get(ANSWER_DATE, "")) if f'"{ANSWER_DATE}"' in noted else None
    if until_s is None:
        return _SECONDS_ALONE, math.nan
    return (_DATE_BY_OURS, until_s) if answered_s is None else (_DATE_BY_TARGETS, until_s - answered_s)


def _moment(text: str) -> float | None:
    """The date in Unix time; None if it is no date."""
    try:
        moment = parsedate_to_datetime(text) if _DATE.fullmatch(text) else None
    except (IndexError, OverflowError, TypeError, ValueError):
        return None
    if moment is None:
        return None
    # The oldest format has no time zone, and means UTC.
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def honesty(line: Line, waits: Waits, refused: Refusals, announced_us: NDArray[np.int64] | None) -> Honesty:
    """Check what a line's refusals announced.

    `announced_us`, for penalties, is until when each row's client had been told to wait, whatever it requested. Nothing
    is tested if several processes count separately: one can't know what the next one will answer.
    """
    nothing = np.empty(0, np.int64)
    if line.limit.processes > 1 or not len(line.refused):
        return Honesty(0, 0, nothing, nothing, nothing)
    due = _waited_until(line, waits)
    if announced_us is not None:
        due = np.where(due > NEVER_US, np.maximum(due, announced_us), due)
    is_tested = (due > NEVER_US) & (line.sent > due + line.slack_us)
    is_short = waits.is_told & (waits.until_high < refused.free_low)
    latest = waits.until_low - SECOND_US - line.slack_us
    ends = np.append(line.sent[line.first[1:-1]], np.iinfo(np.int64).max)[line.client[line.refused]]
    within = line.sure.over(np.minimum(latest, ends)) - line.sure.begun(line.ended[line.refused])
    is_long, confirmed = waits.is_told & (within > 0), 0
    if line.limit.penalties is None:
        is_long |= waits.is_told & (latest > refused.free_high)
        # Not too short even if the limit admits late, and not too long even if it admits early.
        is_due = (waits.until_high >= refused.free_high - 2 * line.slack_us) & (latest <= refused.free_low)
        confirmed = int((waits.is_told & is_due & ~is_long & ~refused.is_early).sum())
    return Honesty(
        int(is_tested.sum()),
        confirmed,
        np.flatnonzero(is_tested & line.is_refused),
        line.refused[is_short & ~is_long],
        line.refused[is_long],
    )


def _waited_until(line: Line, waits: Waits) -> NDArray[np.int64]:
    """For each row, the earliest moment announced by a refusal since its client last had anything else in flight.

    `NEVER_US` unless there is one, and nothing else was in flight during the row.
    """
    possible, refused = line.possible, line.refused
    may = np.flatnonzero(~line.is_refused)
    latest_end = np.maximum.accumulate(np.append(NEVER_US, line.ended[may]))
    since = np.searchsorted(may, refused)
    is_clean = waits.is_told & (latest_end[since] < line.sent[refused])
    far = np.iinfo(np.int64).max
    until = pd.Series(np.where(is_clean, waits.until_high, far))
    least = until.groupby([since, line.client[refused]]).cummin().to_numpy()
    before = np.searchsorted(line.sent[refused], line.sent, side="left") - 1
    own = possible.begun(line.ended) - possible.begun_before(line.sent)
    number = np.searchsorted(line.sent[may], line.sent, side="left")
    is_alone = (before >= 0) & (own == np.where(line.is_refused, 0, 1)) & (line.is_refused | line.is_admitted)
    is_alone &= (since[before] == number) & (line.client[refused[before]] == line.client)
    return np.where(is_alone & (least[before] < far), least[before], NEVER_US)
