"""Plain matplotlib, whatever the environment configures; everything that draws imports it from here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_ASKS: Final = ("MPLBACKEND", "MATPLOTLIBRC")
"""Variables that choose a window for charts, which may not exist here, and the user's own style."""


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

# A settings file in the home or working directory is still read.
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
