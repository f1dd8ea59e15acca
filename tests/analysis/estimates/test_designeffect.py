"""How many samples of correlated seconds are worth one independent sample."""

from __future__ import annotations

import numpy as np

from loadproof.analysis.estimates.designeffect import design_effect

SECONDS = 600
RPS = 50
PHASE = np.zeros(SECONDS, dtype=int)


def test_planned_changes_are_not_noise():
    """Two phases with different levels are not correlation."""
    random = np.random.default_rng(6)
    sizes = np.full(SECONDS, RPS)
    hits = random.binomial(RPS, np.repeat([0.01, 0.2], SECONDS // 2))
    assert design_effect(hits, sizes, np.repeat([0, 1], SECONDS // 2)) < 1.5
    assert design_effect(hits, sizes, PHASE) > 10


def test_too_few_samples_are_treated_as_independent():
    """A few seconds, or no hits at all."""
    assert design_effect(np.array([1, 2]), np.array([5, 5]), np.zeros(2, dtype=int)) == 1
    assert design_effect(np.zeros(60, dtype=int), np.full(60, 5), np.zeros(60, dtype=int)) == 1
