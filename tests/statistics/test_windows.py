"""Many windows together fail no more runs by chance than one interval would."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.judge.judgement import Word
from tests.analysis.judge.test_windows import judged
from tests.profiles import most_by_chance, simulations

pytestmark = pytest.mark.statistics


def test_all_windows_together_rarely_fail_by_chance():
    """At a limit that holds exactly: at most one run in twenty fails, though fifty windows are looked at."""
    limit_ms = 1000 * 0.02 * np.exp(0.4 * 1.2815515)
    words = [judged(f"p(90) < {limit_ms:.3f} ms for 10 s", seed=seed).word for seed in range(simulations(120))]
    assert words.count(Word.FAIL) <= most_by_chance(len(words), 0.05)
    assert Word.PASS not in words


@pytest.mark.parametrize("expect", ["goodput >= 100 rps for 10 s", "throughput >= 100 rps for 10 s"])
def test_the_luck_of_arrivals_fails_no_target(expect):
    """Poisson's: a window of a run that keeps its rate has now and then a tenth less."""
    words = [judged(expect, seed=seed).word for seed in range(simulations(120))]
    assert words.count(Word.FAIL) <= most_by_chance(len(words), 0.025)
