"""FAIL is about this run: targets within their limits hardly ever get it, serious outages nearly always."""

from __future__ import annotations

import functools
from itertools import product

import numpy as np
import pytest

from loadproof.analysis.estimates.designeffect import cautious_effect
from loadproof.analysis.judge.thresholds import judge_threshold
from loadproof.analysis.word import Word
from simulation.alikeseconds import P95_S, RPS, response_times
from simulation.countedseconds import counted_plan
from simulation.traffic import autocorrelated, run_of, run_of_seconds
from tests.profiles import fewest_by_chance, most_by_chance, simulations

pytestmark = pytest.mark.statistics

CORRELATIONS = (0.0, 0.5, 0.8, 0.9)
LENGTHS_S = (10, 15, 30, 60, 120, 300, 600, 3600)
LIMIT = 0.01


plan_of = functools.cache(counted_plan)


def word_of(failed, sizes, rps):
    """The verdict for these numbers of failures and requests per second; shapes (endpoints, seconds)."""
    plan = plan_of("error_ratio < 1 %", seconds=failed.shape[1], rps=rps)
    counted = {}
    for endpoint, bad, n in zip(("balance", "health"), failed, sizes, strict=True):
        counted |= {(endpoint, "ok"): n - bad, (endpoint, "server_error"): bad}
    return judge_threshold(plan.thresholds[0], run_of_seconds(plan, counted)).word


@pytest.mark.parametrize("phi", CORRELATIONS)
def test_a_target_within_its_limit_fails_at_most_one_run_in_a_hundred(phi):
    """Exactly at the limit, the worst case: the error probability wanders by half around 1 %; phases of any length."""
    random = np.random.default_rng(11)
    times, fails = simulations(160), 0
    for number in range(times):
        seconds = LENGTHS_S[number % len(LENGTHS_S)]
        ratio = LIMIT * np.exp(0.5 * autocorrelated(random, seconds, phi=phi) - 0.5**2 / 2)
        sizes = random.poisson(25, (2, seconds))
        failed = random.binomial(sizes, ratio)
        # A ratio within the limit can't FAIL, and would take long to judge.
        fails += failed.sum() > LIMIT * sizes.sum() and word_of(failed, sizes, 50) is Word.FAIL
    assert fails <= most_by_chance(times, 0.01)


def word_of_rate(good, late, *, expect="goodput >= 50 rps"):
    """The verdict for these numbers of good and of late answers per second; 60 are offered."""
    plan = plan_of(expect, seconds=good.size, rps=60)
    run = run_of_seconds(plan, {("balance", "ok"): good, ("balance", "timeout"): late})
    return judge_threshold(plan.thresholds[0], run).word


@pytest.mark.parametrize("phi", CORRELATIONS)
def test_a_rate_exactly_at_its_limit_fails_at_most_one_run_in_a_hundred(phi):
    """60 offered a second, 50 wanted, and answered on average; chance is only in the level."""
    random = np.random.default_rng(16)
    times, fails = simulations(400), 0
    for number in range(times):
        wandering = 50 + 4 * autocorrelated(random, LENGTHS_S[number % len(LENGTHS_S)], phi=phi)
        good = np.clip(np.rint(wandering), 0, 60).astype(int)
        # A rate within the limit can't FAIL, and would take long to judge.
        fails += good.mean() < 50 and word_of_rate(good, 60 - good) is Word.FAIL
    assert fails <= most_by_chance(times, 0.01)


@pytest.mark.parametrize(("seconds", "below", "above"), [(10, 25, 80), (120, 40, 56)])
@pytest.mark.parametrize("phi", [0.0, 0.5])
def test_a_rate_away_from_its_limit_is_decided(phi, seconds, below, above):
    """At once if it is half of what is wanted; throughput, too, which has no surplus by which to tell."""
    random = np.random.default_rng(17)
    for _ in range(simulations(24)):
        wandering = 4 * autocorrelated(random, seconds, phi=phi)
        good = np.rint(below + wandering).astype(int)
        none = np.zeros_like(good)
        assert word_of_rate(good, 60 - good) is Word.FAIL
        assert word_of_rate(good, none, expect="throughput >= 50 rps") is Word.FAIL
        assert word_of_rate(np.rint(above + wandering).astype(int), none) is Word.PASS


def spread(random, sizes, budget):
    """Any requests fail."""
    return random.multivariate_hypergeometric(sizes.ravel(), budget).reshape(sizes.shape)


def one_client(random, sizes, budget):
    """Clients send in turn, and one of them fails: every n-th request fails."""
    reached = np.cumsum(sizes.T.ravel()) * budget // sizes.sum()
    return np.minimum(np.diff(reached, prepend=0).reshape(sizes.T.shape).T, sizes)


def one_endpoint(random, sizes, budget):
    """Any requests of one endpoint fail."""
    return np.stack([random.multivariate_hypergeometric(sizes[0], budget), np.zeros_like(sizes[0])])


def one_block(random, sizes, budget):
    """All requests from some moment on fail, until the budget is used up."""
    start = int(random.integers(sizes.shape[1] - 1))
    before = int(sizes[:, :start].sum())
    return _in_a_row(sizes, min(before, int(sizes.sum()) - budget), budget)


def last_seconds(random, sizes, budget):
    """The last requests of the run fail."""
    return _in_a_row(sizes, int(sizes.sum()) - budget, budget)


def _in_a_row(sizes, before, budget):
    ends = np.clip(np.cumsum(sizes.T.ravel()), before, before + budget)
    return np.diff(ends, prepend=before).reshape(sizes.T.shape).T


@pytest.mark.parametrize("shape", [spread, one_client, one_endpoint, one_block, last_seconds])
def test_an_outage_of_three_error_budgets_fails_99_of_100_runs(shape):
    """Whatever its shape, in phases of 10 s to an hour."""
    random = np.random.default_rng(12)
    times, words = simulations(32), []
    for number in range(times):
        sizes = random.poisson(75, (2, LENGTHS_S[number % len(LENGTHS_S)]))
        budget = int(np.ceil(3 * LIMIT * sizes.sum()))
        failed = shape(random, sizes, budget)
        assert failed.sum() == budget
        words.append(word_of(failed, sizes, 150))
    assert words.count(Word.FAIL) >= fewest_by_chance(times, 0.99)


def slow_minute(random, *, phi, slower=1.0):
    """The verdict on a minute of response times whose level wanders, multiplied by `slower`."""
    plan = plan_of(f"p(95) < {1000 * P95_S:.3f} ms", seconds=60, rps=RPS)
    at_s = np.arange(0, 60, 1 / RPS)
    run = run_of(plan, at_s, slower * response_times(random, autocorrelated(random, 60, phi=phi)))
    return judge_threshold(plan.thresholds[0], run).word


@pytest.mark.parametrize("slower", [1.0, 1.05])
def test_a_p95_at_or_slightly_above_its_limit_does_not_fail_a_noisy_minute(slower):
    """However correlated the seconds are."""
    random = np.random.default_rng(13)
    words = [slow_minute(random, phi=phi, slower=slower) for phi, _ in product(CORRELATIONS, range(simulations(16)))]
    assert words.count(Word.FAIL) <= most_by_chance(len(words), 0.01)


def test_a_p95_three_times_its_limit_for_a_third_of_a_run_fails():
    """In 99 of a hundred runs."""
    random = np.random.default_rng(14)
    third = np.repeat([1.0, 3.0, 1.0], 20 * 50)
    words = [slow_minute(random, phi=0.8, slower=third) for _ in range(simulations(16))]
    assert words.count(Word.FAIL) >= fewest_by_chance(len(words), 0.99)


@pytest.mark.parametrize("seconds", [10, 30, 120])
def test_means_of_slowly_wandering_levels_are_within_the_cautious_interval(seconds):
    """A mean exceeds it in at most one run in a hundred, with a correlation of 0.9 between neighbouring seconds."""
    random = np.random.default_rng(15)
    phase, sizes = np.zeros(seconds, dtype=int), np.full(seconds, 1000)
    times, beyond = simulations(800), 0
    for _ in range(times):
        sums = np.rint(1000 * (10 + autocorrelated(random, seconds, phi=0.9))).astype(int)
        effect = cautious_effect(sums, sizes, phase, variance=1e-3)
        beyond += sums.mean() / 1000 - 10 > 2.576 * np.sqrt(1e-3 * effect / sizes.sum())
    assert beyond <= most_by_chance(times, 0.01)
