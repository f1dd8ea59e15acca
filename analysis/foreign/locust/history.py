"""Reads a Locust run's history file into a frame with one row per time, and determines what it covers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from loadproof.analysis.foreign.locust.entries import (
    AGGREGATED,
    NO_METHOD,
    PERCENTILE,
    Entry,
    entry_of,
    number_of,
    quantiles_of,
)
from loadproof.analysis.foreign.locust.upsets import UpsetDetector
from loadproof.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from loadproof.analysis.foreign.locust.rows import RowReader


_PAUSE_S: Final = 10
"""Rows of one run are only one or two seconds apart."""


class History:
    """The history, read row by row; keeps all rows of all endpoints together, but only the last of each endpoint."""

    def __init__(self, reader: RowReader) -> None:
        self.last: dict[tuple[str, str], dict[str, str]] = {}
        self._total: dict[str, str] | None = None
        self._detector = UpsetDetector()
        rows = list(self._read(reader))
        self.start_unix_s = min((row["time_s"] for row in rows), default=None)
        self.frame = _history_frame(rows)
        self.requests = int(self.frame["requests"].iloc[-1]) if len(self.frame) else 0
        last_failures = float(self.frame["failures"].iloc[-1]) if len(self.frame) else 0.0
        self.failures = 0 if math.isnan(last_failures) else int(last_failures)
        self.cumulative = _is_cumulative(self.frame, full_history=bool(self.last))
        self._starts_s = _starts_s(self.frame)
        self.upsets = self._detector.upsets(self.start_unix_s or 0.0, self.last_run_s)

    @property
    def last_run_s(self) -> float:
        """When the last of several runs began, in s from the first row; 0 if there is one run."""
        return self._starts_s[-1] if self._starts_s else 0.0

    @property
    def damage(self) -> Iterator[str]:
        if self._starts_s:
            times = " and ".join(format_duration(start_s) for start_s in self._starts_s[:3])
            more = " and later" if len(self._starts_s) > 3 else ""
            yield (
                f"the history holds {len(self._starts_s) + 1} runs: its totals begin again after {times}{more}; "
                "the totals, and what turned, are those of the last"
            )
        yield from self.upsets.sentences

    def _read(self, reader: RowReader) -> Iterator[dict[str | float, float]]:
        for row in reader.rows():
            at_s = number_of(row["Timestamp"])
            self._detector.see(row)
            if row["Type"] not in NO_METHOD or row["Name"] != AGGREGATED:
                self._keep(row, at_s)
            elif math.isnan(at_s) or math.isnan(number_of(row["Total Request Count"])):
                reader.reject(row)
            else:
                if self._total is None or at_s >= number_of(self._total["Timestamp"]):
                    self._total = row
                yield _history_row(row, at_s)

    def _keep(self, row: dict[str, str], at_s: float) -> None:
        before = self.last.setdefault((row["Type"], row["Name"]), row)
        if not at_s < number_of(before["Timestamp"]):
            self.last[row["Type"], row["Name"]] = row

    def entries(self) -> Iterator[Entry]:
        """Totals from the last rows, with percentiles only if those cover the entire run.

        Endpoints that only occur in an earlier run of the same history are left out.
        """
        began_s = (self.start_unix_s or 0.0) + self.last_run_s
        rows = [row for row in self.last.values() if not number_of(row["Timestamp"]) < began_s]
        last = [*rows, *([self._total] if self._total else [])]
        for row in last:
            kept = {name: cell for name, cell in row.items() if self.cumulative or not PERCENTILE.fullmatch(name)}
            # The history's requests/s only cover the last seconds.
            kept.pop("Requests/s", None)
            entry = entry_of(kept, count="Total Request Count", failures="Total Failure Count", prefix="Total ")
            if entry is not None:
                yield entry


def _history_frame(rows: list[dict[str | float, float]]) -> pd.DataFrame:
    """One row per time, in chronological order."""
    if not rows:
        return pd.DataFrame(columns=["time_s", "users", "requests", "failures", "mean_s", "max_s"], dtype=float)
    table = pd.DataFrame(rows).sort_values("time_s", kind="stable").drop_duplicates("time_s", keep="last")
    table["time_s"] -= table["time_s"].iloc[0]
    return table.reset_index(drop=True)


def _history_row(row: Mapping[str, str], at_s: float) -> dict[str | float, float]:
    """One row as numbers. Percentiles that are all 0 become nan: nothing ended in the window, or there was none yet.

    Source: locust/stats.py 2.47, get_current_response_time_percentile and _percentile_fields (`or 0`).
    """
    quantiles = quantiles_of(row)
    if not any(ms > 0 for ms in quantiles.values()):
        quantiles = dict.fromkeys(quantiles, math.nan)
    return {
        "time_s": at_s,
        "users": number_of(row["User Count"]),
        "requests": number_of(row["Total Request Count"]),
        "failures": number_of(row.get("Total Failure Count", "")),
        "mean_s": number_of(row.get("Total Average Response Time", "")) / 1000,
        "max_s": number_of(row.get("Total Max Response Time", "")) / 1000,
        **{quantile: ms / 1000 for quantile, ms in quantiles.items()},
    }


def _is_cumulative(history: pd.DataFrame, *, full_history: bool) -> bool:
    """Whether percentiles cover everything since the start: then in each row their 100 % is the longest time so far.

    Locust 1.0 to 1.1 write percentiles of the last ten seconds, 1.2 to 2.2.1 since the start, and later versions the
    former with full history and the latter without. Source: locust's commits e0e35dc2 and bdf59435.
    """
    if 1.0 not in history or history["requests"].max() == 0:
        return not full_history
    used = history[(history["requests"] > 0) & history["max_s"].notna()]
    top = used[1.0].fillna(0.0)
    tolerance_s = np.maximum(0.0011, 0.05 * used["max_s"])
    return bool(((top - used["max_s"]).abs() <= tolerance_s).all())


def _starts_s(history: pd.DataFrame) -> list[float]:
    """When another run began: totals fall, and users do too, or there was a pause.

    If totals fall while users don't, it is one run with Locust's --reset-stats.
    """
    requests, users = history["requests"], history["users"]
    pause = history["time_s"].diff() > max(_PAUSE_S, 5 * float(history["time_s"].diff().median() or 0))
    falls = (requests < requests.shift()) & (pause | ~(users >= users.shift()))
    return [float(time_s) for time_s in history.loc[falls, "time_s"]]
