"""Turns finished requests into cells of interval histograms, many at once; pure.

Each request leaves one row of numbers. Once a second, numpy turns the rows into histogram cells, at a tenth of the cost
of processing them one by one (`bench/parts.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.histogram import BUCKETS, buckets_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from loadproof.recording.second import Moments

_SERIES: Final = ("response", "service", "lag", "connect", "first_byte", "transfer", "good", "completed")
_RESPONSE, _SERVICE, _LAG, _CONNECT, _FIRST_BYTE, _TRANSFER, _GOOD, _COMPLETED = range(len(_SERIES))

Cell = tuple[int, str, str, int, int]
"""Second, phase, series, bucket, count."""


def cells_of(
    moments: Moments, *, phases: Sequence[str], phase_ends_s: Sequence[float], deadline_s: float | None
) -> list[Cell]:
    """The cells of requests with the same endpoint and outcome.

    A request belongs to the second and phase of its intended start. `completed` counts it in the second it ended in;
    `good` counts it if its response time was at most `deadline_s` (None: no request is good).
    """
    due_s, connect_s, first_byte_s = moments.due_s, moments.connect_s, moments.first_byte_s
    phase = np.minimum(np.searchsorted(phase_ends_s, due_s, side="right"), len(phases) - 1)
    place = _second(due_s) * len(phases) + phase
    response_s, service_s = moments.ended_s - due_s, moments.ended_s - moments.sent_s
    had_to_connect, had_first_byte = connect_s > 0, first_byte_s > 0
    keys = [
        _keys(place, _RESPONSE, buckets_of(response_s)),
        _keys(place, _SERVICE, buckets_of(service_s)),
        _keys(place, _LAG, buckets_of(moments.began_s - due_s)),
        _keys(place[had_to_connect], _CONNECT, buckets_of(connect_s[had_to_connect])),
        _keys(place[had_first_byte], _FIRST_BYTE, buckets_of(first_byte_s[had_first_byte])),
        _keys(place[had_first_byte], _TRANSFER, buckets_of((service_s - first_byte_s)[had_first_byte])),
        _keys(_second(moments.ended_s) * len(phases) + phase, _COMPLETED, 0),
    ]
    if deadline_s is not None:
        keys.append(_keys(place[response_s <= deadline_s], _GOOD, 0))
    return _counted(np.concatenate(keys), phases)


def _second(time_s: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.maximum(time_s, 0.0).astype(np.int64)


def _keys(place: NDArray[np.int64], series: int, bucket: NDArray[np.int64] | int) -> NDArray[np.int64]:
    return (place * len(_SERIES) + series) * BUCKETS + bucket


def _counted(keys: NDArray[np.int64], phases: Sequence[str]) -> list[Cell]:
    unique, counts = np.unique(keys, return_counts=True)
    rest, bucket = np.divmod(unique, BUCKETS)
    place, series = np.divmod(rest, len(_SERIES))
    second, phase = np.divmod(place, len(phases))
    columns = zip(*(column.tolist() for column in (second, phase, series, bucket, counts)), strict=True)
    return [(second, phases[phase], _SERIES[series], bucket, count) for second, phase, series, bucket, count in columns]
