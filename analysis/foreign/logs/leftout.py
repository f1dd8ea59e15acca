"""Adds what could not be read from a request log, as if all of it had succeeded or failed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from loadproof.outcome import Outcome
from loadproof.units import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from loadproof.analysis.foreign.logs.requestlog import RequestLog
    from loadproof.analysis.frames.traffic import PlainTraffic


@dataclass(frozen=True)
class LeftOut:
    """Requests that were left out and may be of these endpoints, by second; shapes (cells,)."""

    endpoint: str
    """The endpoint that they are added to; any will do, because thresholds read their endpoints together."""
    seconds: NDArray[np.int64]
    counts: NDArray[np.int64]
    why: str

    @property
    def count(self) -> int:
        return int(self.counts.sum())

    def added(self, traffic: PlainTraffic, kinds: Sequence[tuple[str, Outcome, int]]) -> PlainTraffic:
        """The traffic with each of them added once for every kind (series, outcome, bucket)."""
        rows = [
            pd.DataFrame(
                {
                    "second": self.seconds.astype(np.int32),
                    "phase": traffic.phases[0].name,
                    "endpoint": self.endpoint,
                    "outcome": str(outcome),
                    "series": series,
                    "bucket": np.int16(bucket),
                    "count": self.counts.astype(np.int32),
                }
            )
            for series, outcome, bucket in kinds
        ]
        return _with_rows(traffic, rows)


def with_untimed(log: RequestLog) -> PlainTraffic:
    """The traffic including good answers without a time, which count in ratios and rates."""
    untimed = log.untimed[log.untimed["outcome"] == str(Outcome.OK)]
    return _with_rows(log.traffic, [untimed] if len(untimed) else [])


def left_out_of(log: RequestLog, endpoints: Sequence[str], *, with_untimed: bool, window_s: float | None) -> LeftOut:
    """Lines left out that are, or may be, of these endpoints; with `with_untimed`, also requests without a time.

    An entirely unreadable line may be from any time: if windows of `window_s` are judged, it may be in any of them.
    """
    known, own = set(log.written.values()), {log.written[name] for name in endpoints}
    cells = [(second, count) for (second, name), count in log.lost.items() if name in own or name not in known]
    nameless = log.unreadable - sum(log.lost.values())
    lines = nameless + sum(count for _, count in cells)
    why = [f"{counted(lines, 'line')} could not be read"] if lines else []
    if with_untimed:
        rows = log.untimed[log.untimed["endpoint"].isin(endpoints)]
        cells += zip(rows["second"].tolist(), rows["count"].tolist(), strict=True)
        n = int(rows["count"].sum())
        why += [f"{counted(n, 'request has', 'requests have')} no time that can be read"] if n else []
    cells += _spread(log, nameless, window_s)
    seconds, counts = np.array(cells, dtype=np.int64).reshape(-1, 2).T
    return LeftOut(endpoints[0], seconds, counts, " and ".join(why))


def _spread(log: RequestLog, count: int, window_s: float | None) -> Iterable[tuple[int, int]]:
    """The lines spread evenly over all seconds, or, for windows, all of them in every window."""
    if not count:
        return []
    sent = log.traffic.intervals[log.traffic.intervals["series"] == "completed"].groupby("second")["count"].sum()
    seconds = sent.index.to_numpy(dtype=np.int64)
    if window_s is not None:
        # Windows begin at every second: whatever repeats once per window length is in each window exactly once.
        return [(second, count) for second in range(int(seconds[0]), int(seconds[-1]) + 1, math.ceil(window_s))]
    shares = np.diff(np.floor(np.linspace(0, count, len(seconds) + 1))).astype(np.int64)
    return zip(seconds.tolist(), shares.tolist(), strict=True)


def _with_rows(traffic: PlainTraffic, rows: list[pd.DataFrame]) -> PlainTraffic:
    if not rows:
        return traffic
    intervals = traffic.intervals
    texts = ("phase", "endpoint", "outcome", "series")
    types: dict[str, Any] = {name: pd.CategoricalDtype(intervals[name].cat.categories) for name in texts}
    return traffic.with_intervals(pd.concat([intervals, *(part.astype(types) for part in rows)], ignore_index=True))
