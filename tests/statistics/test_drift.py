"""No cry of wolf on noise, however much one second is like the last."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.estimates.drift import drift_in
from analysis.judge.judgement import Word
from analysis.judge.thresholds import judge
from loadproof.scenario.expectation import parse_expectation
from simulation.traffic import autocorrelated
from tests.analysis.estimates.test_drift import SCOPE, SECONDS, soaked
from tests.profiles import most_by_chance, simulations

pytestmark = pytest.mark.statistics


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_noise_is_no_drift(phi):
    """With a level that wanders: nearly never FAIL at a limit of 5 %, and tau is significant in about one of twenty."""
    random = np.random.default_rng(11)
    words, significant, times = [], 0, simulations(60)
    for seed in range(times):
        run = soaked("drift(p(50)) < 5 %", 0.1 * autocorrelated(random, SECONDS, phi=phi), seed)
        words.append(judge(run.manifest.scenario.thresholds[0], run).word)
        significant += drift_in(run, parse_expectation("p(50) < 1 s").metric, SCOPE).p_value < 0.05
    assert words.count(Word.FAIL) <= most_by_chance(times, 0.01)
    assert significant <= most_by_chance(times, 0.06)
