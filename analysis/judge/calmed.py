"""Turns a run with disturbed seconds into the run that might have been without them, for judging thresholds."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from loadproof.analysis.frames.cellsums import among
from loadproof.plan.windows import load_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadproof.analysis.frames.run import Run
    from loadproof.plan.phases import PhaseSpan
    from loadproof.scenario.thresholds.expectation import Expectation


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
    kind = expectation.metric.kind
    return expectation.window_s is not None or kind.is_total or kind.from_disturbance


def _calmed(run: Run, cells: pd.DataFrame, seconds: frozenset[int]) -> pd.DataFrame:
    parts = [cells[~cells["second"].isin(seconds)]]
    for place, span in enumerate(run.phases):
        stand_ins = _stand_ins(run.phases, place, seconds, run.measured_s)
        if stand_ins:
            parts.append(_moved(cells[among(cells["phase"], (span.name,))], stand_ins))
    return pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]


def _stand_ins(
    spans: Sequence[PhaseSpan], place: int, seconds: frozenset[int], measured_s: float
) -> list[tuple[int, int]]:
    """Each disturbed second of a phase, with the calm one that stands for it.

    Of those that stand for no other, it is the one whose planned load is most nearly the same, or the nearest of these.
    There are no more pairs than calm seconds.
    """
    span = spans[place]
    whole = np.arange(math.ceil(span.start_s), math.floor(min(span.end_s, measured_s)))
    loads = np.array([load_in(spans, place, second) for second in whole.tolist()])
    is_disturbed = np.isin(whole, list(seconds))
    calm, pairs = np.flatnonzero(~is_disturbed), []
    for index in np.flatnonzero(is_disturbed).tolist()[: calm.size]:
        best = int(np.lexsort((np.abs(calm - index), np.abs(loads[calm] - loads[index])))[0])
        pairs.append((int(whole[index]), int(whole[calm[best]])))
        calm = np.delete(calm, best)
    return pairs


def _moved(rows: pd.DataFrame, pairs: list[tuple[int, int]]) -> pd.DataFrame:
    """Copies of the rows of each pair's second number, in its first."""
    disturbed, calm = np.array(pairs).T
    rows = rows.sort_values("second", kind="stable")
    at = rows["second"].to_numpy()
    firsts, ends = np.searchsorted(at, calm), np.searchsorted(at, calm + 1)
    places = np.concatenate([np.arange(first, end) for first, end in zip(firsts, ends, strict=True)])
    return rows.iloc[places].assign(second=np.repeat(disturbed, ends - firsts).astype(at.dtype))
