"""How correlated neighbouring seconds are, and how long blocks of them have to be."""

from __future__ import annotations

import numpy as np
import pytest

from loadproof.analysis.estimates.correlation import block_length
from simulation.traffic import autocorrelated

SECONDS = 600


@pytest.mark.slow
def test_blocks_grow_with_the_correlation():
    """Starting from the shortest length in use."""
    random = np.random.default_rng(5)
    lengths = [
        np.median([block_length(autocorrelated(random, SECONDS, phi=phi)) for _ in range(50)])
        for phi in (0.0, 0.5, 0.9)
    ]
    assert lengths[0] == np.ceil(SECONDS ** (1 / 3))
    assert lengths == sorted(lengths)
    assert 45 <= lengths[-1] <= 100


def test_values_that_do_not_vary_get_the_shortest_blocks():
    """Their correlation is undefined."""
    assert block_length(np.zeros(100)) == 5
