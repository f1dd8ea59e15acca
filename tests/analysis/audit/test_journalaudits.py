"""What audits take from a run: how far the times of its own questions may be off."""

from __future__ import annotations

import pandas as pd
import pytest

from loadproof.analysis.audit.journalaudits import _our_doubt_us
from loadproof.analysis.frames.run import load_run
from simulation.rundirs import write_run


@pytest.mark.slow
def test_a_clock_that_was_set_is_a_doubt_about_our_own_times(tmp_path):
    """Backups and questions are timed by it; the load isn't."""
    runs = [load_run(write_run(tmp_path / str(step_s), step_s=step_s)) for step_s in (0.0, 3.0, -3.0)]
    nothing = pd.DataFrame({"doubt_us": [], "worker": []})
    doubts = [_our_doubt_us(run, nothing) for run in runs]
    assert [doubt - doubts[0] for doubt in doubts] == [0, 3_000_000, 3_000_000]
