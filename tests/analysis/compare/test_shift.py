"""How much each quantile changed, from fast answers to slow ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from loadproof.analysis.compare.shift import shift_of
from simulation.releases import PHASE, Noise, release
from simulation.traffic import counts_of

PLACE = {"endpoint": "balance", "phase": PHASE}


def runs(seed, *, slow_tail=1.0, n=6):
    """The slowest fifth takes this many times as long."""
    random = np.random.default_rng(seed)
    made = release(random, n, noise=Noise(between=0.01))
    times = [np.sort(0.02 * np.exp(random.normal(0, 0.4, 4000))) for _ in made]
    tails = [np.where(np.arange(4000) >= 3200, each * slow_tail, each) for each in times]
    return [
        replace(run, histograms={("balance", PHASE): counts_of(each)}) for run, each in zip(made, tails, strict=True)
    ]


def test_if_only_slow_answers_got_slower_only_their_quantiles_shift():
    """Each with its interval."""
    shift = shift_of(runs(1), runs(2, slow_tail=1.5), **PLACE)
    fast, slow = shift.quantiles <= 0.75, shift.quantiles >= 0.85
    assert np.all(np.abs(shift.ratio[fast]) < 0.05)
    assert np.all((shift.ratio[slow] > 0.4) & (shift.ratio[slow] < 0.6))
    assert np.all((shift.low < shift.ratio) & (shift.ratio < shift.high))


def test_the_same_runs_give_the_same_picture():
    """Byte for byte."""
    sides = runs(1), runs(2)
    assert shift_of(*sides, **PLACE).low.tolist() == shift_of(*sides, **PLACE).low.tolist()


def test_quantiles_of_too_few_answers_and_sides_of_too_few_runs_are_left_out():
    """As in the table."""
    few = [replace(run, histograms={("balance", PHASE): counts_of(np.full(150, 0.02))}) for run in runs(1)]
    assert shift_of(few, few, **PLACE).quantiles.max() == 0.9
    assert shift_of(runs(1)[:2], runs(2), **PLACE) is None
    assert shift_of(runs(1), runs(2), endpoint="nowhere", phase=PHASE) is None
