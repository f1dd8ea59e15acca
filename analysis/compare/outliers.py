"""Finds the runs that are far from the others on their side: one slow run of ten is a finding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.analysis.compare.comparedrow import scale_of, values_of
from loadproof.analysis.compare.statistics.equivalence import margin_on
from loadproof.analysis.estimates.distributions import t_quantile
from loadproof.analysis.judge.finding import Finding
from loadproof.units import format_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from loadproof.analysis.compare.comparedrow import ComparedRow
    from loadproof.analysis.compare.replicates import Replicate

    Sides = tuple[Sequence[Replicate], ...]

_LEAST_RUNS: Final = 3
_FALSE_ALARMS: Final = 0.05
"""How often, at most, a comparison without outliers reports one."""
_SD_OF_MAD: Final = 1.4826
"""The standard deviation of normal values, in multiples of their MAD.

Source: Rousseeuw and Croux 1993, doi:10.1080/01621459.1993.10476408.
"""
_EFFICIENCY: Final = 0.37
"""The efficiency of the MAD relative to the standard deviation. Source: the same."""


def outliers(rows: Sequence[ComparedRow], sides: Sides) -> Iterator[Finding]:
    """A note for each run that is far from the others on its side in any row, on the row in which it is farthest."""
    for name, runs, others in (("baseline", sides[0], sides[1]), ("candidate", sides[1], sides[0])):
        farthest: dict[int, tuple[float, str]] = {}
        level = _FALSE_ALARMS / max(len(rows) * (len(runs) + len(others)), 1)
        for row in rows if len(runs) >= _LEAST_RUNS else ():
            for number, distance, text in _far_off(row, runs, others, level):
                if distance > farthest.get(number, (0.0, ""))[0]:
                    farthest[number] = distance, text
        for number, (_, text) in sorted(farthest.items()):
            what = f"{runs[number].path.name} is far from the other runs of the {name}: {text}"
            remedy = "read its report for what happened; it stays in the comparison, and makes it less certain"
            yield Finding.note(what, remedy)


def _far_off(
    row: ComparedRow, runs: Sequence[Replicate], others: Sequence[Replicate], level: float
) -> Iterator[tuple[int, float, str]]:
    """The number of each run that is far off, its distance in margins, and the values as text.

    The spread is estimated from both sides, because five runs of one side would estimate it too poorly.
    """
    values = _values(row, runs)
    if len(values) < len(runs):
        return
    distances, theirs = (_distances(row, side) for side in (values, _values(row, others)))
    known = np.concatenate([distances, theirs])
    reach = t_quantile(1 - level / 2, _EFFICIENCY * known.size)
    margin = margin_on(scale_of(row.metric), row.margin)
    beyond = max(reach * _SD_OF_MAD * float(np.median(known)), 2 * margin)
    for number in np.flatnonzero(distances > beyond).tolist():
        dimension = row.metric.dimension
        value, middle = (format_quantity(float(each), dimension) for each in (values[number], np.median(values)))
        yield number, float(distances[number]) / margin, f"{row.row.text} {value}, their median {middle}"


def _values(row: ComparedRow, runs: Sequence[Replicate]) -> NDArray[np.float64]:
    return values_of([run.estimates[row.row] for run in runs if row.row in run.estimates], row.metric)


def _distances(row: ComparedRow, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances from the median, on the scale; shape (runs,)."""
    on_scale = scale_of(row.metric).of(values)
    return np.abs(on_scale - np.median(on_scale)) if values.size else values
