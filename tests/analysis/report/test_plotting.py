"""Charts are drawn the same, whatever the environment configures for matplotlib."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from loadproof.analysis.report.drawing import chart
from tests.commands import ROOT

DRAWN = """
from loadproof.analysis.report.drawing import chart
with chart("x", "y", end_s=2) as (axes, drawing):
    axes.plot([0, 1], [1, 2], label="a")
    drawing.legend(axes)
print(drawing.svg("told"))
"""
RC = "text.usetex: True\nlines.linewidth: 9\nbackend: agg\naxes.grid: True\n"


def drawn_here() -> str:
    with chart("x", "y", end_s=2) as (axes, drawing):
        axes.plot([0, 1], [1, 2], label="a")
        drawing.legend(axes)
    return str(drawing.svg("told"))


@pytest.mark.long
@pytest.mark.drawn
@pytest.mark.process
@pytest.mark.parametrize("backend", ["foo", "module://matplotlib_inline.backend_inline"])
def test_charts_ignore_the_users_backend_and_style(tmp_path, backend):
    """A backend that isn't installed, or a notebook's; settings named by a variable, and those at home."""
    (tmp_path / "mine").write_text(RC)
    (tmp_path / ".config/matplotlib").mkdir(parents=True)
    (tmp_path / ".config/matplotlib/matplotlibrc").write_text(RC)
    asked = {"MPLBACKEND": backend, "MATPLOTLIBRC": str(tmp_path / "mine"), "HOME": str(tmp_path)}
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MPL", "XDG_"))}
    done = subprocess.run(
        [sys.executable, "-c", DRAWN], cwd=ROOT, env=environment | asked, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == drawn_here()
