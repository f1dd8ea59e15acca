"""Noise raises no false alarm of drift, however correlated neighbouring seconds are."""

from __future__ import annotations

import numpy as np
import pytest

from loadproof.analysis.estimates.drift import drift_in
from loadproof.analysis.judge.thresholds import judge_threshold
from loadproof.analysis.word import Word
from loadproof.scenario.thresholds.expectation import parse_expectation
from simulation.soak import SCOPE, SECONDS, soaked
from simulation.traffic import autocorrelated
from tests.profiles import IS_FULL, most_by_chance, simulations

pytestmark = pytest.mark.statistics


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9] if IS_FULL else [0.9])
def test_noise_is_not_called_drift(phi):
    """With a wandering level, tau is significant in about one run of twenty, and so are intervals without zero."""
    random = np.random.default_rng(11)
    significant = apart = 0
    times = simulations(80)
    for seed in range(times):
        run = soaked("drift(p(50)) < 5 %", 0.1 * autocorrelated(random, SECONDS, phi=phi), seed=seed)
        found = drift_in(run, parse_expectation("p(50) < 1 s").metric, SCOPE)
        significant += found.p_value < 0.05
        apart += not found.change.low <= 0 <= found.change.high
    assert max(significant, apart) <= most_by_chance(times, 0.06)


def test_noise_does_not_fail_a_threshold_with_a_little_room():
    """5 %, at the strongest correlation of seconds."""
    random = np.random.default_rng(12)
    words = []
    for seed in range(simulations(60)):
        run = soaked("drift(p(50)) < 5 %", 0.1 * autocorrelated(random, SECONDS, phi=0.9), seed=seed)
        words.append(judge_threshold(run.manifest.scenario.thresholds[0], run).word)
    assert words.count(Word.FAIL) <= most_by_chance(len(words), 0.01)
