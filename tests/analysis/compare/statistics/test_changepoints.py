"""Where a series of runs changes its level: series with known changes, both made up and published."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from loadproof.analysis.compare.statistics.changepoints import FEWEST, best_p, changes_in, odd_runs, p_of_score
from simulation.traffic import autocorrelated

KNOWN = {one["name"]: one for one in json.loads(Path(__file__).with_name("known_series.json").read_text("utf-8"))}
"""Published series, each with its source and licence."""
TENTH = np.log(1.1)


def noise(n=60, *, seed=1, phi=0.5):
    return 0.03 * autocorrelated(np.random.default_rng(seed), n, phi=phi)


def stepped(*firsts, n=60, seed=1):
    """Up by a tenth at the first of these runs, back at the second, and so on."""
    up = np.searchsorted(firsts, np.arange(n), side="right") % 2
    return noise(n, seed=seed) + TENTH * up


@pytest.mark.parametrize("first", [10, 30, 50, 57])
def test_a_step_of_a_tenth_is_found_where_it_began(first):
    """With its size, and that it lasts."""
    (change,) = changes_in(stepped(first)).changes
    assert abs(change.first - first) <= 1
    assert change.earliest <= first <= change.latest
    assert change.until is None
    assert change.low <= TENTH <= change.high
    assert change.p < 0.05


@pytest.mark.parametrize(("first", "back"), [(30, 37), (20, 40), (48, 57)])
def test_a_change_that_goes_away_is_one_change_that_ended(first, back):
    """However long it lasted; its end isn't a second change."""
    (change,) = changes_in(stepped(first, back, seed=2)).changes
    assert abs(change.first - first) <= 1
    assert abs(change.until - back) <= 1
    assert change.shift > 0


def test_two_lasting_changes_are_two_changes():
    """Up, and up again."""
    changes = changes_in(stepped(20) + np.where(np.arange(60) >= 40, TENTH, 0)).changes
    assert [change.until for change in changes] == [None, None]
    assert np.allclose([change.first for change in changes], [20, 40], atol=1)


def test_noise_alone_is_no_change():
    """Nor are values that never vary; and no p-value is certain."""
    assert changes_in(noise()).changes == ()
    assert changes_in(np.zeros(60), floor=0.002).changes == ()
    assert best_p(np.zeros(60), floor=0.002) > 0.05


def test_a_constant_series_that_begins_to_vary_has_changed():
    """An error ratio of zero, then of 2 %."""
    (change,) = changes_in(np.where(np.arange(60) >= 55, 0.02, 0.0), floor=0.002).changes
    assert change.first == 55
    assert change.shift == pytest.approx(0.02)


def test_too_few_runs_show_nothing():
    """Whatever their values."""
    series = np.where(np.arange(FEWEST - 1) >= 10, 5.0, 0.0) + noise(FEWEST - 1)
    assert changes_in(series).changes == ()
    assert best_p(series) == 1


@pytest.mark.parametrize("run", [0, 30, 59])
def test_a_single_run_that_is_far_off_is_odd_and_no_change(run):
    """A second one next to it would be a change."""
    series = noise()
    series[run] += 0.5
    found = changes_in(series)
    assert found.odd == (run,)
    assert found.changes == ()


def test_an_odd_run_hides_no_change():
    """Nor is it mistaken for the change."""
    series = stepped(30)
    series[25] += 0.6
    found = changes_in(series)
    assert [change.first for change in found.changes] == [30]
    assert found.odd == (25,)


def test_two_neighbouring_runs_that_are_far_off_are_not_odd():
    """They confirm each other."""
    series = noise()
    series[-2:] += 0.5
    assert odd_runs(series) == ()
    assert [change.first for change in changes_in(series).changes] == [58]


def test_scale_and_level_dont_matter():
    """Seconds or milliseconds, high or low."""
    found, scaled = changes_in(stepped(30)).changes, changes_in(7 + 1000 * stepped(30)).changes
    assert [change.first for change in scaled] == [change.first for change in found] == [30]
    assert scaled[0].p == pytest.approx(found[0].p, rel=1e-6)


def test_p_falls_with_the_score():
    """One in twenty at the score that noise reaches in one of twenty series."""
    ps = [p_of_score(score, 60) for score in np.linspace(-5, 20, 50)]
    assert ps == sorted(ps, reverse=True)
    assert ps[0] == 1


@pytest.mark.parametrize("name", KNOWN)
def test_changes_in_published_series_are_found(name):
    """Those of 5 % and more, within two runs of where the source has them, and no others."""
    known = KNOWN[name]
    changes = [change for change in changes_in(np.log(known["values"])).changes if abs(np.expm1(change.shift)) >= 0.05]
    bounds = sorted({bound for change in changes for bound in (change.first, change.until) if bound is not None})
    assert len(bounds) == len(known["changes"]), bounds
    assert np.allclose(bounds, known["changes"], atol=2), bounds
