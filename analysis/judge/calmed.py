"""Turns a run with disturbed seconds into the run that might have been without them, for judging thresholds."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from loadproof.analysis.frames.cellsums import among
from loadproof.units import Dimension

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from loadproof.analysis.frames.run import Run
    from loadproof.plan.phases import PhaseSpan
    from loadproof.scenario.expectation import Expectation


def without(run: Run, seconds: frozenset[int]) -> Run:
    """The run, groups included, as if nothing had been due in these seconds."""
    intervals, groups = (cells[~cells["second"].isin(seconds)] for cells in (run.intervals, run.groups))
    return replace(run, intervals=intervals, groups=groups)


def calmed(run: Run, seconds: frozenset[int]) -> Run:
    """The run, groups included, with each of these seconds replaced by a copy of a calm one nearby in its phase.

    Each calm second is used once; disturbed seconds without one are left empty.
    """
    intervals, groups = (_calmed(run, cells, seconds) for cells in (run.intervals, run.groups))
    return replace(run, intervals=intervals, groups=groups)


def misses_seconds(expectation: Expectation) -> bool:
    """Whether leaving out seconds changes the value itself; ratios and times would only lose samples."""
    metric = expectation.metric
    is_sum = metric.dimension in {Dimension.RATE, Dimension.COUNT}
    return expectation.window_s is not None or is_sum or metric.name == "recovery"


def _calmed(run: Run, cells: pd.DataFrame, seconds: frozenset[int]) -> pd.DataFrame:
    parts = [cells[~cells["second"].isin(seconds)]]
    for span in run.phases:
        parts += _instead(cells[among(cells["phase"], (span.name,))], span, seconds, run.measured_s)
    return pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]


def _instead(rows: pd.DataFrame, span: PhaseSpan, seconds: frozenset[int], measured_s: float) -> Iterator[pd.DataFrame]:
    """Replacements for a phase's disturbed seconds; none for those in excess of the calm ones."""
    whole = np.arange(math.ceil(span.start_s), math.floor(min(span.end_s, measured_s)))
    is_disturbed = np.isin(whole, list(seconds))
    pairs = _pairs(whole[is_disturbed], whole[~is_disturbed])
    if not pairs:
        return
    disturbed, nearest = np.array(pairs).T
    rows = rows.sort_values("second", kind="stable")
    at = rows["second"].to_numpy()
    firsts, ends = np.searchsorted(at, nearest), np.searchsorted(at, nearest + 1)
    places = np.concatenate([np.arange(first, end) for first, end in zip(firsts, ends, strict=True)])
    yield rows.iloc[places].assign(second=np.repeat(disturbed, ends - firsts).astype(at.dtype))


def _pairs(disturbed: NDArray[np.int64], calm: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Pairs of each disturbed second with the nearest calm one that is not yet used."""
    pairs = []
    for second in disturbed.tolist()[: calm.size]:
        place = int(np.abs(calm - second).argmin())
        pairs.append((second, int(calm[place])))
        calm = np.delete(calm, place)
    return pairs
