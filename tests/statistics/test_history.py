"""Histories raise few false alarms even if neighbouring runs are correlated, and find slowdowns within three runs."""

from __future__ import annotations

import numpy as np
import pytest

from loadproof.analysis.compare.history import FALSE_ALARMS, largest_p
from loadproof.analysis.compare.statistics.changepoints import best_p, changes_in
from simulation.traffic import autocorrelated
from tests.profiles import IS_FULL, fewest_by_chance, most_by_chance, simulations

pytestmark = pytest.mark.statistics

RUN_TO_RUN = 0.03
TENTH = np.log(1.1)


def noise(random, n, phi):
    return RUN_TO_RUN * autocorrelated(random, n, phi=phi)


@pytest.mark.parametrize(("n", "phi"), [(20, 0.5), (60, 0.0), (60, 0.25), (60, 0.5), (120, 0.5)])
def test_a_change_is_found_in_at_most_one_of_twenty_stable_histories(n, phi):
    """For any number of runs, however correlated neighbouring runs are."""
    random = np.random.default_rng(1)
    times = simulations(400)
    alarms = sum(best_p(noise(random, n, phi)) <= FALSE_ALARMS for _ in range(times))
    assert alarms <= most_by_chance(times, 0.05)


@pytest.mark.parametrize("phi", [0.0, 0.5] if IS_FULL else [0.5])
@pytest.mark.parametrize(("after", "ratio"), [(2, 0.80), (3, 0.93), (10, 0.93)] if IS_FULL else [(3, 0.93)])
def test_a_ten_percent_slowdown_is_found_within_three_runs(phi, after, ratio):
    """The last `after` of 60 runs are slower: found there, give or take two runs."""
    random = np.random.default_rng(2)
    times, found = simulations(400), 0
    for _ in range(times):
        changes = changes_in(noise(random, 60, phi) + TENTH * (np.arange(60) >= 60 - after)).changes
        found += any(abs(change.first - (60 - after)) <= 2 and change.shift > 0 for change in changes)
    assert found >= fewest_by_chance(times, ratio)


def test_all_rows_of_a_stable_history_together_raise_an_alarm_once_in_twenty():
    """Twelve rows that share half of their noise, as the quantiles of one endpoint do."""
    random = np.random.default_rng(3)
    times, alarms = simulations(120), 0
    for _ in range(times):
        shared = noise(random, 40, 0.5)
        rows = [(shared + noise(random, 40, 0.5)) / np.sqrt(2) for _ in range(12)]
        alarms += largest_p([best_p(row) for row in rows]) > 0
    assert alarms <= most_by_chance(times, 0.05)


def test_single_outlier_runs_are_no_change():
    """One run of thirty is slower by 20 to 60 %."""
    random = np.random.default_rng(4)
    times, alarms = simulations(200), 0
    for _ in range(times):
        series = noise(random, 60, 0.3)
        series[random.choice(60, 2, replace=False)] += random.uniform(0.2, 0.6, 2)
        alarms += bool(changes_in(series).changes)
    assert alarms <= most_by_chance(times, 0.06)


def test_the_size_of_a_change_is_within_its_interval():
    """In nine of ten found changes: those that look largest are found first, which costs some of the nominal 95 %."""
    random = np.random.default_rng(5)
    series = (noise(random, 60, 0.5) + TENTH * (np.arange(60) >= 45) for _ in range(simulations(200)))
    found = [change for one in series for change in changes_in(one).changes if abs(change.first - 45) <= 2]
    covered = [change.low <= TENTH <= change.high for change in found if change.until is None]
    assert sum(covered) >= fewest_by_chance(len(covered), 0.90)
