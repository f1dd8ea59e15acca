"""Checks relations that must hold between the columns of any row of Locust's statistics; otherwise it is damaged.

Average, Min and Max are exact, or truncated to whole milliseconds (Locust 1.0); Median and the percentiles are rounded
to two digits, or to whole milliseconds below 100 ms. Failures/s and Requests/s cover the same time, and Locust 1.0
rounds both to 0.01. Rows with more failures than requests are not even read.
Source: locust/stats.py 1.0.3 and 2.47, StatsEntry, bucket_response_time and calculate_response_time_percentile.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Final

from loadproof.analysis.foreign.locust.entries import number_of, quantiles_of, rounded

_CUT_MS: Final = 1.0
"""How far a truncated time may be from the exact one."""
_RATE_STEP_RPS: Final = 0.01
_RATE_RATIO: Final = 0.01
_MANY: Final = 1_000
"""This many requests take two days even at the highest rate that Locust 1.0 writes as 0.00."""


class _Cells:
    """The numbers of a row; nan if there is none, which contradicts nothing."""

    def __init__(self, row: Mapping[str, str], *, count: str, failures: str, prefix: str) -> None:
        self.requests, self.failures = number_of(row[count]), number_of(row.get(failures, ""))
        self.median, self.mean, self.least, self.most = (
            number_of(row.get(f"{prefix}{name} Response Time", "")) for name in ("Median", "Average", "Min", "Max")
        )
        self.rate, self.failure_rate = number_of(row.get("Requests/s", "")), number_of(row.get("Failures/s", ""))
        known = {quantile: ms for quantile, ms in quantiles_of(row).items() if ms >= 0}
        self.percentiles = sorted(known.items())


_Relation = Callable[[_Cells], Iterator[str]]


def in_totals(row: Mapping[str, str]) -> Iterator[str]:
    """How a row of the stats file contradicts itself."""
    cells = _Cells(row, count="Request Count", failures="Failure Count", prefix="")
    for relation in _OF_TOTALS if cells.requests > 0 else ():
        yield from relation(cells)


def in_history(row: Mapping[str, str]) -> Iterator[str]:
    """How a row of the history contradicts itself.

    Its rates and, with full history, its percentiles only cover the last seconds, so fewer relations apply.
    """
    cells = _Cells(row, count="Total Request Count", failures="Total Failure Count", prefix="Total ")
    for relation in _OF_TIMES if cells.requests > 0 else ():
        yield from relation(cells)
    yield from _rates_are_of_some(cells)


def _min_average_max(cells: _Cells) -> Iterator[str]:
    times = (("Min", cells.least), ("Average", cells.mean), ("Max", cells.most))
    for (lower, low_ms), (higher, high_ms) in pairwise(times):
        if low_ms > high_ms + _CUT_MS:
            yield f"{lower} ({low_ms:,.10g} ms) is above {higher} ({high_ms:,.10g} ms)"


def _percentiles_rise(cells: _Cells) -> Iterator[str]:
    for (lower, low_ms), (higher, high_ms) in pairwise(cells.percentiles):
        # The comparison without rounding comes first because it is cheap, and nearly always decides.
        if low_ms > high_ms and _low_ms(low_ms) > _high_ms(high_ms):
            yield f"{_column(lower, low_ms)} is above {_column(higher, high_ms)}"


def _percentiles_within_min_and_max(cells: _Cells) -> Iterator[str]:
    """A percentile of 0 can mean that requests have no time at all."""
    if not cells.percentiles:
        return
    (first, first_ms), (last, last_ms) = cells.percentiles[0], cells.percentiles[-1]
    if 0 < first_ms < cells.least and _high_ms(first_ms) < cells.least - _CUT_MS:
        yield f"Min ({cells.least:,.10g} ms) is above {_column(first, first_ms)}"
    if last_ms > cells.most and _low_ms(last_ms) > cells.most + _CUT_MS:
        yield f"{_column(last, last_ms)} is above Max ({cells.most:,.10g} ms)"


def _highest_percentile_is_max(cells: _Cells) -> Iterator[str]:
    last_ms = dict(cells.percentiles).get(1.0)
    if last_ms is not None and cells.most > _high_ms(last_ms) + _CUT_MS:
        yield f"Max ({cells.most:,.10g} ms) is above {_column(1.0, last_ms)}"


def _median_is_the_50_percent(cells: _Cells) -> Iterator[str]:
    """The Median may be off by one column: in Locust 1.0 the two may lie on either side of a gap in the middle.

    Later versions leave requests without a time out of the Median only; if they are a third, the percentiles are wrong.
    """
    places = [quantile for quantile, _ in cells.percentiles]
    if 0.5 not in places:
        return
    at = places.index(0.5)
    below_ms = cells.percentiles[at - 1][1] if at else cells.least
    above_ms = cells.percentiles[min(at + 1, len(places) - 1)][1]
    if _high_ms(cells.median) < _low_ms(below_ms) - _CUT_MS or _low_ms(cells.median) > _high_ms(above_ms) + _CUT_MS:
        yield f"Median ({cells.median:,.10g} ms) is not {_column(0.5, cells.percentiles[at][1])}"


def _rates_have_the_ratio_of_counts(cells: _Cells) -> Iterator[str]:
    ratio = cells.failures / cells.requests
    expected_rps = cells.rate * ratio
    if abs(cells.failure_rate - expected_rps) > _RATE_STEP_RPS * (1 + ratio) + _RATE_RATIO * expected_rps:
        yield (
            f"Failures/s is {cells.failure_rate:,.10g} and Requests/s {cells.rate:,.10g}, "
            f"with {cells.failures:,.10g} failures in {cells.requests:,.10g} requests"
        )


def _many_requests_have_a_rate(cells: _Cells) -> Iterator[str]:
    """Only that it isn't 0: no other column shows over which time Locust averages."""
    if cells.rate == 0 and cells.requests >= _MANY:
        yield f"Requests/s is 0 with {cells.requests:,.0f} requests"


def _rates_are_of_some(cells: _Cells) -> Iterator[str]:
    """In the history: requests of the last seconds are also among those since the start."""
    if cells.rate > 0 and cells.requests == 0:
        yield f"Requests/s is {cells.rate:,.10g} without a request"
    if cells.failure_rate > 0 and cells.failures == 0:
        yield f"Failures/s is {cells.failure_rate:,.10g} without a failure"


_OF_TIMES: Final[tuple[_Relation, ...]] = (_min_average_max, _percentiles_rise, _percentiles_within_min_and_max)
_OF_TOTALS: Final[tuple[_Relation, ...]] = (
    *_OF_TIMES,
    _highest_percentile_is_max,
    _median_is_the_50_percent,
    _rates_have_the_ratio_of_counts,
    _many_requests_have_a_rate,
)


def _low_ms(value_ms: float) -> float:
    return math.nan if math.isnan(value_ms) else rounded(value_ms, 1).low * 1000 - 1e-6


def _high_ms(value_ms: float) -> float:
    return math.nan if math.isnan(value_ms) else rounded(value_ms, 1).high * 1000 + 1e-6


def _column(quantile: float, value_ms: float) -> str:
    return f"{100 * quantile:.10g}% ({value_ms:,.10g} ms)"
