"""Many windows together fail no more runs by chance than a single interval would."""

from __future__ import annotations

import numpy as np
import pytest

from loadproof.analysis.judge.thresholds import judge_threshold
from loadproof.analysis.word import Word
from simulation.badseconds import SIGMA, minute
from tests.profiles import most_by_chance, simulations

pytestmark = pytest.mark.statistics


def words_of(expect: str) -> list[Word]:
    """Verdicts on undisturbed minutes."""
    runs = (minute(expect, seed=seed) for seed in range(simulations(120)))
    return [judge_threshold(run.manifest.scenario.thresholds[0], run).word for run in runs]


def test_all_windows_together_rarely_fail_by_chance():
    """At a limit that holds exactly, at most one run in twenty fails, although it has fifty windows."""
    limit_ms = 1000 * 0.02 * np.exp(SIGMA * 1.2815515)
    words = words_of(f"p(90) < {limit_ms:.3f} ms for 10 s")
    assert words.count(Word.FAIL) <= most_by_chance(len(words), 0.05)
    assert Word.PASS not in words


@pytest.mark.parametrize(
    "expect",
    ["goodput >= 100 rps for 10 s", pytest.param("throughput >= 100 rps for 10 s", marks=pytest.mark.long)],
)
def test_random_arrivals_do_not_fail_a_target(expect):
    """A window of a run that keeps its rate has a tenth fewer Poisson arrivals now and then."""
    words = words_of(expect)
    assert words.count(Word.FAIL) <= most_by_chance(len(words), 0.025)
