"""Follows each client's violations: whether the penalties announced are due, grow each time, and are forgotten.

The n-th violation costs base · factor^(n - 1), at most the cap; each `memory` without one, from the end of the last
penalty on, takes one back. A refusal within an announced penalty is right, and no violation. Targets differ in two ways
that a declaration leaves open: a penalty is added to the limit's own wait, or they run at the same time; and it is per
client, or per client and request. A target has to be consistent with one of the four combinations.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pandas as pd

from loadproof.analysis.audit.limits.waits import NEVER_US, SECOND_US

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from loadproof.analysis.audit.limits.refusals import Refusals
    from loadproof.analysis.audit.limits.timeline import Line
    from loadproof.analysis.audit.limits.waits import Waits
    from loadproof.scenario.settings import Penalties

_MOST_STRIKES: Final = 1_000
"""A bound on strikes, for a factor close to 1, or a target that keeps counting at its cap."""
_SLACK_US: Final = 5_000
_FAR_US: Final = 1 << 60


@dataclass
class PenaltyRecord:
    """What violations showed; offences are (request name, row of its line, what was wrong)."""

    grown: int = 0
    """Second or further violations."""
    capped: int = 0
    forgotten: int = 0
    offences: list[tuple[str, int, str]] = field(default_factory=list)


def pooled(lines: Mapping[str, tuple[Line, Waits]]) -> pd.DataFrame:
    """Rows of several requests' lines, by client and time sent, in µs of the run; refusals with their waits."""
    return pd.concat([_table(name, line, waits) for name, (line, waits) in lines.items()]).sort_values(
        ["client", "sent"], kind="stable", ignore_index=True
    )


def _table(name: str, line: Line, waits: Waits) -> pd.DataFrame:
    rule = line.limit.penalties
    assert rule is not None  # noqa: S101 - only such lines are here
    is_told = np.zeros(len(line.rows), dtype=bool)
    is_told[line.refused] = waits.is_told
    sent, ended = line.sent - line.shift, line.ended - line.shift
    low = np.full(len(line.rows), NEVER_US)
    # A client neither admitted nor told to wait may have been penalised without our knowledge.
    high = np.where(line.is_admitted, NEVER_US, ended + line.window_us + round(rule.cap * SECOND_US))
    low[is_told] = (waits.until_low - line.shift[line.refused])[waits.is_told]
    high[is_told] = (waits.until_high - line.shift[line.refused])[waits.is_told]
    return pd.DataFrame(
        {
            "name": name,
            "row": np.arange(len(line.rows)),
            "client": line.rows["client"].astype(str) if line.limit.key == "client" else "",
            "sent": sent,
            "ended": ended,
            "is_refused": line.is_refused,
            "is_admitted": line.is_admitted,
            "until_low": low,
            "until_high": high,
        }
    )


def announced_before(table: pd.DataFrame, name: str, line: Line) -> NDArray[np.int64]:
    """For each row of a line, until when its client had been told to wait, whatever it requested; µs on the line.

    If it overlaps a refusal of the client, at least until its own end, because it is unknown which came first.
    """
    if table.empty:
        return np.full(len(line.rows), NEVER_US)
    client = pd.factorize(table["client"])[0].astype(np.int64)
    told_until = table["until_high"].groupby(client).cummax().groupby(client).shift(1, fill_value=NEVER_US).to_numpy()
    apart = client * (int(table["ended"].max() - table["sent"].min()) + 1)
    sent, ended = table["sent"].to_numpy() + apart, table["ended"].to_numpy() + apart
    refused = sent[table["is_refused"]]
    beside = np.searchsorted(refused, ended, "right") - np.searchsorted(refused, sent, "left") > table["is_refused"]
    until = np.where(beside, np.maximum(told_until, table["ended"]), told_until)
    own = (table["name"] == name).to_numpy()
    found = np.full(len(line.rows), NEVER_US)
    found[table["row"].to_numpy()[own]] = until[own]
    return np.where(found > NEVER_US, found + line.shift, NEVER_US)


def penalty_record(
    table: pd.DataFrame, rule: Penalties, free: Mapping[str, tuple[Line, Refusals]], *, is_new: bool
) -> PenaltyRecord:
    """The record with the fewest offences among those for the four kinds of target.

    Unless the target `is_new`, a client may begin with any number of violations, and a penalty until it is admitted.
    """
    low, high = np.full((2, len(table)), NEVER_US)
    for name, (line, refusals) in free.items():
        own = (table["name"] == name).to_numpy() & table["is_refused"].to_numpy()
        place = np.searchsorted(line.refused, table["row"].to_numpy()[own])
        shift = line.shift[line.refused][place]
        low[own], high[own] = refusals.free_low[place] - shift, refusals.free_high[place] - shift
    violations = table.assign(free_low=low, free_high=high)
    violations = violations[~table["is_admitted"]]
    records = []
    for keys, is_added in itertools.product((["client"], ["client", "name"]), (True, False)):
        record = PenaltyRecord()
        first = table[table["is_admitted"]].groupby(keys)["ended"].min()
        for key, rows in violations.groupby(keys, sort=False):
            standing = _Standing()
            if not is_new:
                admitted = first.get(key if len(keys) > 1 else key[0], _FAR_US)
                standing = _Standing(most=_MOST_STRIKES, end_high=int(admitted))
            _follow(rows, standing, _Rule(rule, is_added=is_added), record)
        records.append(record)
    return min(records, key=lambda record: len(record.offences))


@dataclass(frozen=True)
class _Rule:
    penalties: Penalties
    is_added: bool
    """A penalty is added to the limit's own wait rather than running at the same time."""

    @cached_property
    def most(self) -> int:
        """The number of strikes beyond which a penalty doesn't grow."""
        rule = self.penalties
        if rule.factor <= 1 or rule.cap <= rule.base:
            return 1
        return min(_MOST_STRIKES, 1 + math.ceil(math.log(rule.cap / rule.base, rule.factor) - 1e-9))

    def penalty_us(self, strikes: int) -> int:
        rule = self.penalties
        return round(min(rule.cap, rule.base * rule.factor ** (min(strikes, self.most) - 1)) * SECOND_US)

    def due(self, row: _Row, fewest: int, most: int) -> tuple[int, int]:
        """The earliest and latest moment until which a violation may be told to wait."""
        least, longest = self.penalty_us(fewest), self.penalty_us(most)
        if self.is_added:
            return row.free_low + least, max(row.free_high, row.ended) + longest + SECOND_US
        return max(row.free_low, row.sent + least), max(row.free_high, row.ended + longest) + SECOND_US


class _Row(NamedTuple):
    name: str
    row: int
    sent: int
    ended: int
    until_low: int
    until_high: int
    free_low: int
    free_high: int


@dataclass
class _Standing:
    """Bounds on a client's strikes and on the end of its last penalty."""

    fewest: int = 0
    most: int = 0
    end_low: int = NEVER_US
    end_high: int = NEVER_US


def _follow(rows: pd.DataFrame, standing: _Standing, rule: _Rule, record: PenaltyRecord) -> None:
    """Add one client's violations, in order, to the record."""
    columns = [rows[name].tolist() for name in _Row._fields]
    latest_end = np.maximum.accumulate(rows["ended"].to_numpy())
    shortest_us, at = rule.penalty_us(1), 0
    while at < len(rows):
        row = _Row._make([column[at] for column in columns])
        at += 1
        is_told = row.until_low > NEVER_US
        if row.ended < standing.end_low:
            at = max(at, int(np.searchsorted(latest_end, standing.end_low, side="left")))
        elif is_told and (row.sent > standing.end_high or _is_new(row, standing)):
            _violation(row, standing, rule, record)
        elif row.until_high - row.ended >= shortest_us:
            # Either within the last penalty, or a violation that can't be told from it.
            standing.most = min(standing.most + 1, _MOST_STRIKES)
            standing.end_high = max(standing.end_high, row.until_high)


def _is_new(row: _Row, standing: _Standing) -> bool:
    """Whether its wait is longer than what is left of the last penalty and of its limit."""
    return row.until_low > max(standing.end_high, row.free_high) + SECOND_US


def _violation(row: _Row, standing: _Standing, rule: _Rule, record: PenaltyRecord) -> None:
    memory_us = rule.penalties.memory * SECOND_US
    known = standing.end_low > NEVER_US
    least = max(0, int((row.sent - standing.end_high) // memory_us)) if known else 0
    longest = max(0, int((row.ended - standing.end_low) // memory_us)) if known else 0
    fewest = min(max(0, standing.fewest - longest) + 1, rule.most)
    most = min(max(0, standing.most - least) + 1, _MOST_STRIKES)
    low, high = rule.due(row, fewest, most)
    wait = f"told to wait {(row.until_high - row.ended) / SECOND_US:g} s"
    if row.until_high < low - _SLACK_US:
        record.offences.append((row.name, row.row, f"{wait}, too short for violation {fewest} at least"))
    elif row.until_low > high + _SLACK_US:
        record.offences.append((row.name, row.row, f"{wait}, too long for violation {most} at most"))
    is_at_cap = fewest == rule.most
    record.capped += is_at_cap
    record.grown += fewest >= min(2, rule.most)
    record.forgotten += bool(least) and most <= min(standing.fewest, rule.most)
    standing.fewest, standing.most = fewest, most
    standing.end_low, standing.end_high = row.until_low - SECOND_US, row.until_high
