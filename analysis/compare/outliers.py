"""Turns a side's runs into those that are far from the others: one slow run of ten is a finding of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.analysis.compare.comparedrow import scale_of, values_of
from loadproof.analysis.compare.equivalence import margin_on
from loadproof.analysis.judge.finding import Finding
from loadproof.analysis.word import Word
from loadproof.units import format_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from loadproof.analysis.compare.comparedrow import ComparedRow
    from loadproof.analysis.compare.replicates import Replicate

_LEAST_RUNS: Final = 5
_FAR: Final = 5.0
"""Robust standard deviations."""
_SD_OF_MAD: Final = 1.4826
"""For normal values. Source: Rousseeuw and Croux 1993, doi:10.1080/01621459.1993.10476408."""


def outliers(rows: Sequence[ComparedRow], sides: tuple[Sequence[Replicate], ...]) -> Iterator[Finding]:
    """A note for each run that is far from its side's others in any row, by the row in which it is farthest."""
    for name, runs in zip(("baseline", "candidate"), sides, strict=True):
        farthest: dict[int, tuple[float, str]] = {}
        for row in rows if len(runs) >= _LEAST_RUNS else ():
            if not all(row.row in run.estimates for run in runs):
                continue
            for number, distance, text in _far_off(row, runs):
                if distance > farthest.get(number, (0.0, ""))[0]:
                    farthest[number] = distance, text
        for number, (_, text) in sorted(farthest.items()):
            what = f"{runs[number].path.name} is far from the other runs of the {name}: {text}"
            remedy = "read its report for what happened; it stays in the comparison, and makes it less certain"
            yield Finding(Word.PASS, what, remedy)


def _far_off(row: ComparedRow, runs: Sequence[Replicate]) -> Iterator[tuple[int, float, str]]:
    """The number of each run that is far off, how far in margins, and the values as text."""
    scale, dimension = scale_of(row.metric), row.metric.dimension
    values = values_of([run.estimates[row.row] for run in runs], row.metric)
    on_scale = scale.of(values)
    distances = np.abs(on_scale - np.median(on_scale))
    margin = margin_on(scale, row.margin)
    beyond = max(_FAR * _SD_OF_MAD * float(np.median(distances)), 2 * margin)
    for number in np.flatnonzero(distances > beyond).tolist():
        value, middle = (format_quantity(float(each), dimension) for each in (values[number], np.median(values)))
        place = f"{row.row.metric} of {row.row.endpoint} in {row.row.phase}"
        yield number, float(distances[number]) / margin, f"{place} {value}, their median {middle}"
