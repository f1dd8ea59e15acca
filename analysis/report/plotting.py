"""matplotlib as it comes, whatever the environment asks of it: who draws takes it from here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_ASKS: Final = ("MPLBACKEND", "MATPLOTLIBRC")
"""A window to show charts in, which we have none for and which need not exist here, and somebody's own style."""


@contextmanager
def _unasked() -> Iterator[None]:
    asked = {name: os.environ.pop(name) for name in _ASKS if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(asked)


with _unasked():
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

# A file of settings in the home or working directory is read all the same.
mpl.rcdefaults()

__all__ = [
    "Figure",
    "FigureCanvasSVG",
    "FuncFormatter",
    "LogLocator",
    "NullFormatter",
    "Path",
    "PathPatch",
    "mpl",
]
