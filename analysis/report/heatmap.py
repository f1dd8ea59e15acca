"""Draws a run's response times over time as a heat map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.analysis.frames.cellsums import blocks
from loadproof.analysis.report.drawing import HEAT
from loadproof.analysis.report.plotting import Path, PathPatch
from loadproof.histogram import MIDPOINT_US

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

_COLUMNS: Final = 120
_ROWS_A_DECADE: Final = 12


_LEVEL: Final = np.floor(np.log10(np.maximum(MIDPOINT_US, 1) / 1000) * _ROWS_A_DECADE).astype(np.int16)
"""The row in which each bucket is drawn; the row of 1 ms is 0."""


def draw_heat(axes: Axes, answers: pd.DataFrame, *, end_s: float) -> None:
    """Draw cells of time and response time (in ms, on a log scale); the more answers, the stronger the colour."""
    width_s = max(1, int(np.ceil(end_s / _COLUMNS)))
    cells, first = _cells(answers, width_s)
    shade = _shades(cells)
    for number, colour in enumerate(HEAT, start=1):
        vertices, codes = _rectangles(shade == number)
        if len(vertices):
            vertices[:, 0] *= width_s
            vertices[:, 1] = 10 ** ((vertices[:, 1] + first) / _ROWS_A_DECADE)
            axes.add_patch(PathPatch(Path(vertices, codes), facecolor=colour, linewidth=0))


def _cells(answers: pd.DataFrame, width_s: int) -> tuple[NDArray[np.float64], int]:
    """Answers by time and level, shape (columns, rows), and the lowest row's level."""
    # From the answers: without the generator's samples it is unknown how long a run measured.
    columns = int(answers["second"].max()) // width_s + 1
    cells = np.zeros((columns, int(_LEVEL[-1] - _LEVEL[0]) + 1))
    for rows in blocks(answers):
        place = (rows["second"] // width_s).to_numpy() * cells.shape[1] + (_LEVEL[rows["bucket"]] - _LEVEL[0])
        cells += np.bincount(place, weights=rows["count"], minlength=cells.size).reshape(cells.shape)
    seen = np.flatnonzero(cells.any(axis=0))
    return cells[:, seen[0] : seen[-1] + 1], int(_LEVEL[0] + seen[0])


def _shades(cells: NDArray[np.float64]) -> NDArray[np.int64]:
    """Shades of cells, on a log scale: 0 for no answers, otherwise 1 to len(HEAT).

    A single slow answer must be visible next to thousands.
    """
    top = np.log(max(float(cells.max()), 2.0))
    shades = np.ceil(np.log(np.maximum(cells, 1)) / top * len(HEAT))
    return np.where(cells > 0, np.maximum(shades, 1), 0).astype(np.int64)


def _rectangles(chosen: NDArray[np.bool_]) -> tuple[NDArray[np.float64], list[int]]:
    """Cells, shape (columns, rows), as one path: neighbours in a row become one rectangle."""
    edges = np.diff(np.pad(chosen.astype(np.int8), ((1, 1), (0, 0))), axis=0)
    row, left = np.nonzero((edges == 1).T)
    _, right = np.nonzero((edges == -1).T)
    corners = [(left, row), (right, row), (right, row + 1), (left, row + 1), (left, row)]
    vertices = np.stack([np.stack(corner, axis=-1) for corner in corners], axis=1).reshape(-1, 2).astype(float)
    codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY] * len(row)
    return vertices, [int(code) for code in codes]
