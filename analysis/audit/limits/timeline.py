"""Lays a limit's requests on one time line, where counting any client's requests in any window is a binary search.

It is only known that the target decided about a request within the interval [sent, ended]. Bounds that hold wherever in
their intervals the decisions were are counts of sorted begins and ends:

- surely within [x, y): at least #{ended < y} - #{sent < x};
- possibly within (x, y]: at most #{sent <= y} - #{ended < x}.

All clients share the line, further apart than any window reaches, so one search serves all of them: O(n log n).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from loadproof.scenario.target.limits import DeclaredLimit

SINCE: Final = "since_us"
"""A column of rows that are judged separately from everything before this time of the run, in µs."""
_SLACK_US: Final = 1_000
DRIFT_RATIO: Final = 600e-6
"""How much a window may differ from the declared one, because clocks run at different rates.

Source: NTP slews a clock by at most 500 ppm, RFC 5905, section 11.3; crystals differ by tens of ppm.
"""
_REACH: Final = 3
"""In windows, the gap between two clients: a sliding counter looks back two."""


@dataclass(frozen=True, eq=False)
class Hits:
    """Some of a line's requests, as sorted begins and ends in µs."""

    begins: NDArray[np.int64]
    ends: NDArray[np.int64]

    @classmethod
    def of(cls, sent: NDArray[np.int64], ended: NDArray[np.int64]) -> Hits:
        return cls(np.sort(sent), np.sort(ended))

    def begun(self, at: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many were sent by these times."""
        return np.searchsorted(self.begins, at, side="right")

    def begun_before(self, at: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.searchsorted(self.begins, at, side="left")

    def over(self, at: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many ended before these times."""
        return np.searchsorted(self.ends, at, side="left")


@dataclass(frozen=True)
class Excess:
    """More requests of a client than `allowed` in [from_us, to_us), in µs on the line."""

    client: int
    from_us: int
    to_us: int
    count: int
    allowed: int


@dataclass(frozen=True, eq=False)
class Line:
    """The requests of one name, by client and time sent; `sent` and `ended` are µs on the line."""

    limit: DeclaredLimit
    rows: pd.DataFrame
    """The journal's rows."""
    client: NDArray[np.int64]
    shift: NDArray[np.int64]
    """How far each row's times were moved for its client, in µs."""
    sent: NDArray[np.int64]
    ended: NDArray[np.int64]
    """For a request without an answer, the end of the run: it may have been counted at any time until then."""

    @property
    def window_us(self) -> int:
        return round(self.limit.period * 1e6)

    @property
    def slack_us(self) -> int:
        return _SLACK_US + math.ceil(DRIFT_RATIO * self.window_us)

    @cached_property
    def since(self) -> NDArray[np.int64]:
        """For each row, the time since which all of its client's requests are known, in µs of the run; 0 for all."""
        is_of_part = SINCE in self.rows.columns
        return self.rows[SINCE].to_numpy(np.int64) if is_of_part else np.zeros(len(self.rows), dtype=np.int64)

    @cached_property
    def is_refused(self) -> NDArray[np.bool_]:
        return (self.rows["status"] == self.limit.status).to_numpy()

    @cached_property
    def is_admitted(self) -> NDArray[np.bool_]:
        """Whether it was certainly admitted: other statuses may come from something ahead of the limit."""
        return self.rows["status"].between(200, 399).to_numpy()

    @cached_property
    def sure(self) -> Hits:
        """Requests certainly admitted, except those that took longer than a window, which can't lie within one."""
        kept = self.is_admitted & (self.ended - self.sent < self.window_us)
        return Hits.of(self.sent[kept], self.ended[kept])

    @cached_property
    def possible(self) -> Hits:
        """All requests that may have counted: everything not refused, with those that the transport repeated twice."""
        again = (self.rows["repeated"] == 1).to_numpy()
        kept = np.concatenate([np.flatnonzero(~self.is_refused), np.flatnonzero(again)])
        return Hits.of(self.sent[kept], self.ended[kept])

    @cached_property
    def refused(self) -> NDArray[np.int64]:
        """Positions of refusals."""
        return np.flatnonzero(self.is_refused)

    @cached_property
    def first(self) -> NDArray[np.int64]:
        """Where each client's rows begin, followed by the number of rows."""
        changes = np.flatnonzero(np.diff(self.client, prepend=-1))
        return np.append(changes, len(self.rows))

    @cached_property
    def clients(self) -> list[str]:
        return [str(name) for name in self.rows["client"].to_numpy()[self.first[:-1]]]

    def between(self, client: int, from_us: int, to_us: int) -> NDArray[np.int64]:
        """Positions of a client's requests certainly admitted in [from_us, to_us); µs on the line."""
        here = np.arange(self.first[client], self.first[client + 1])
        kept = self.is_admitted[here] & (self.sent[here] >= from_us) & (self.ended[here] < to_us)
        return here[kept]

    def shown(self, positions: Sequence[int] | NDArray[np.int64], most: int) -> tuple[dict[str, Any], ...]:
        """The first `most` of these rows, as in the journal."""
        rows = self.rows.drop(columns=SINCE, errors="ignore").iloc[list(positions[:most])]
        return tuple({str(name): _plain(value) for name, value in row.items()} for row in rows.to_dict("records"))


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def line_of(journal: pd.DataFrame, limit: DeclaredLimit, *, together: bool = False) -> Line:
    """A line of these rows of the journal; with `together`, as if all clients were one.

    If several workers sent them, intervals are widened by the doubt about their clocks.
    """
    is_of_one = len(journal["worker"].unique()) < 2
    doubt = np.int64(0) if is_of_one else journal["doubt_us"].to_numpy(np.int64)
    sent = journal["sent_us"].to_numpy(np.int64) - doubt
    ended = np.maximum(journal["ended_us"].to_numpy(np.int64) + doubt, sent)
    is_one = together or limit.key == "global"
    client = np.zeros(len(journal), dtype=np.int64) if is_one else _clients(journal)
    order = np.lexsort((sent, client))
    rows, client, sent, ended = journal.iloc[order].reset_index(drop=True), client[order], sent[order], ended[order]
    if len(rows) == 0:
        return Line(limit, rows, client, sent, sent, ended)
    end_us = int(ended.max())
    ended = np.where(rows["status"].to_numpy() == 0, end_us, ended)
    shift = _apart(np.bincount(client), int(end_us - sent.min()), limit)[client]
    return Line(limit, rows, client, shift, sent + shift, ended + shift)


def _clients(journal: pd.DataFrame) -> NDArray[np.int64]:
    """A number for each client, and a different one in each part of the run that is judged separately."""
    number = pd.factorize(journal["client"])[0].astype(np.int64)
    if SINCE not in journal.columns:
        return number
    parts, part = np.unique(journal[SINCE], return_inverse=True)
    return pd.factorize(number * len(parts) + part)[0].astype(np.int64)


def _apart(sizes: NDArray[np.int64], span_us: int, limit: DeclaredLimit) -> NDArray[np.int64]:
    """How far to move each client, so that neither windows nor buckets reach back to the client before it."""
    window_us = limit.period * 1e6
    refills_us = (sizes + limit.size) * (window_us / limit.amount) * (1 + 2 * DRIFT_RATIO)
    lengths = np.ceil(span_us + _REACH * (window_us + 2 * _SLACK_US) + refills_us).astype(np.int64) + 1
    return np.concatenate([[0], np.cumsum(lengths)[:-1]])
