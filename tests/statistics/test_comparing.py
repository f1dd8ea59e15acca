"""Comparisons of equal releases raise few false alarms, and find real changes as often as they claim."""

from __future__ import annotations

import numpy as np
import pytest

from loadproof.analysis.compare.comparedrow import ChangeWord
from loadproof.analysis.compare.comparison import FALSE_ALARMS
from loadproof.analysis.compare.replicates import ALL_ENDPOINTS
from loadproof.analysis.compare.shift import shift_of
from loadproof.analysis.compare.statistics.equivalence import LEVEL, is_equivalent
from loadproof.analysis.compare.statistics.power import POWER, detectable, runs_to_decide
from loadproof.analysis.compare.statistics.welch import change
from simulation.comparisons import alarms_of_welch, words_of
from simulation.releases import PHASE, Noise, release
from tests.profiles import fewest_by_chance, most_by_chance, simulations

pytestmark = pytest.mark.statistics

ALIKE = Noise(0.03, phi=0.9)


@pytest.mark.parametrize("noise", [Noise(0.01, phi=0.0), ALIKE], ids=["calm", "alike"])
def test_runs_of_the_same_release_differ_significantly_in_one_of_twenty_comparisons(noise):
    """Nominal 5 % are really 5 %, however correlated the seconds within a run, and not much less."""
    times = simulations(1600)
    assert fewest_by_chance(times, 0.035) <= alarms_of_welch(times, runs=5, noise=noise) <= most_by_chance(times, 0.055)


@pytest.mark.long
@pytest.mark.parametrize(
    ("runs", "alternately"),
    [(5, True), (5, False), (8, True)],
)
def test_equal_releases_seldom_regress_in_any_row(runs, alternately):
    """Half of the family's false alarms: the other half are improvements."""
    times = simulations(160)
    whole, _ = words_of(times, runs=runs, noise=Noise(0.03), alternately=alternately)
    assert whole[ChangeWord.REGRESSED] <= most_by_chance(times, FALSE_ALARMS / 2)


def test_eight_runs_per_side_detect_a_ten_percent_slowdown():
    """With 3 % noise between runs; also in the named row alone."""
    times = simulations(80)
    whole, named = words_of(times, runs=8, noise=Noise(0.03), slower=0.1)
    assert whole[ChangeWord.REGRESSED] >= fewest_by_chance(times, 0.95)
    assert named[ChangeWord.REGRESSED] >= fewest_by_chance(times, 0.8)
    assert not whole[ChangeWord.EQUIVALENT]


@pytest.mark.parametrize("ratio", [1.05, 1 / 1.05])
def test_a_change_as_large_as_the_margin_is_seldom_called_equivalent(ratio):
    """In either direction."""
    random, times = np.random.default_rng(1), simulations(1200)
    pairs = (np.exp(random.normal(0, 0.02, (2, 8))) for _ in range(times))
    called = sum(is_equivalent(change(was, ratio * now), 0.05) for was, now in pairs)
    assert fewest_by_chance(times, LEVEL / 2) <= called <= most_by_chance(times, LEVEL)


def test_the_detectable_change_is_found_in_four_of_five_comparisons():
    """Half of that change is found far less often."""
    random, times, level = np.random.default_rng(1), simulations(1000), 0.01
    size = detectable(change(*_exact(6, sd=0.03)), level)

    def found(ratio: float) -> int:
        pairs = (np.exp(random.normal(0, 0.03, (2, 6))) for _ in range(times))
        return sum(change(was, (1 + ratio) * now).p <= level for was, now in pairs)

    assert fewest_by_chance(times, POWER - 0.05) <= found(size) <= most_by_chance(times, POWER + 0.07)
    assert found(size / 2) < times / 2


def test_the_number_of_runs_said_to_decide_does_decide():
    """With it, most comparisons find that nothing changed; with a quarter of it, few do."""
    random, times = np.random.default_rng(1), simulations(400)
    pairs = (np.exp(random.normal(0, 0.04, (2, 4))) for _ in range(100))
    told = [runs_to_decide(change(*pair), margin=0.05, level=0.001) for pair in pairs]
    needed = int(np.median([runs for runs in told if runs is not None]))

    def decided(runs: int) -> int:
        pairs = (np.exp(random.normal(0, 0.04, (2, runs))) for _ in range(times))
        return sum(is_equivalent(change(*pair), 0.05) for pair in pairs)

    assert decided(needed) >= fewest_by_chance(times, 0.6)
    assert decided(needed // 4) < 0.2 * times


def test_intervals_of_a_shift_function_cover_zero_for_equal_releases():
    """At each quantile, with five runs per side."""
    random, times = np.random.default_rng(1), simulations(160)
    covered = np.array(
        [
            (shift.low[[9, 17]] <= 0) & (shift.high[[9, 17]] >= 0)
            for _ in range(times)
            if (shift := _shift(random)) is not None
        ]
    )
    assert len(covered) == times
    assert np.all(covered.sum(axis=0) >= fewest_by_chance(times, 0.93))


def _shift(random: np.random.Generator):
    sides = [release(random, 5, noise=ALIKE) for _ in range(2)]
    return shift_of(*sides, endpoint=ALL_ENDPOINTS, phase=PHASE)


def _exact(runs: int, *, sd: float):
    """Two equal sides whose logarithms have exactly this standard deviation."""
    pattern = np.linspace(-1, 1, runs)
    return (np.exp(pattern * sd / pattern.std(ddof=1)),) * 2
