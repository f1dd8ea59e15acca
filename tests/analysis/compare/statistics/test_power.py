"""What a comparison could have found, and how many runs would decide."""

from __future__ import annotations

import math

import numpy as np
import pytest

from loadproof.analysis.compare.statistics.power import detectable, runs_to_decide
from loadproof.analysis.compare.statistics.welch import change


def runs(n, *, sd, ratio=0.0):
    """This many runs whose logarithms have exactly this mean and standard deviation."""
    pattern = np.linspace(-1, 1, n)
    return np.exp(math.log1p(ratio) + pattern * sd / pattern.std(ddof=1))


def test_the_detectable_change_shrinks_with_less_noise_and_more_runs():
    """At 3 % noise, five runs a side find 7 % at a level of 5 %, eight find 5 %."""
    five = detectable(change(runs(5, sd=0.03), runs(5, sd=0.03)), 0.05)
    assert five == pytest.approx(math.expm1((2.306 + 0.889) * 0.03 * math.sqrt(2 / 5)), abs=1e-4)
    assert detectable(change(runs(8, sd=0.03), runs(8, sd=0.03)), 0.05) < five
    assert detectable(change(runs(5, sd=0.06), runs(5, sd=0.06)), 0.05) > five
    assert math.isnan(detectable(change(runs(5, sd=0.03), runs(5, sd=0.03)[:1]), 0.05))


@pytest.mark.parametrize(("sd", "runs_needed"), [(0.03, 8), (0.05, 20)])
def test_how_many_runs_show_that_nothing_changed(sd, runs_needed):
    """Within 5 %."""
    found = runs_to_decide(change(runs(4, sd=sd), runs(4, sd=sd)), margin=0.05, level=0.05)
    assert found == pytest.approx(runs_needed, abs=1)


def test_a_large_change_needs_few_runs_and_one_at_the_margin_many():
    """And never fewer than were made."""

    def needed(ratio, n=3):
        found = change(runs(n, sd=0.05), runs(n, sd=0.05, ratio=ratio))
        return runs_to_decide(found, margin=0.05, level=0.001)

    assert needed(0.5) == 4
    assert needed(0.15) < needed(0.10) < needed(0.06)
    assert needed(0.5, n=12) == 13
    unequal = change(runs(3, sd=0.05), runs(12, sd=0.05, ratio=0.5))
    # Worth as much as 4.8 and 4.8 runs.
    assert runs_to_decide(unequal, margin=0.05, level=0.001) == 5
    assert runs_to_decide(change(runs(3, sd=0.5), runs(3, sd=0.5)), margin=0.05, level=0.05) is None
    assert runs_to_decide(change(runs(3, sd=0.5), runs(3, sd=0.5)[:1]), margin=0.05, level=0.05) is None
