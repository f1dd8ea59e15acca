"""A candidate that is like its baseline, and unfit to ship all the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from loadproof.analysis.compare.comparison import compare
from loadproof.analysis.compare.conclusion import conclusion_of
from loadproof.analysis.compare.duel.sequential import interim_result
from loadproof.analysis.compare.replicates import Row
from loadproof.analysis.compare.unfit import lately_unsent
from loadproof.analysis.estimates.estimate import ratio_estimate
from loadproof.analysis.word import Word
from simulation.releases import PHASE, Noise, plan_of_releases, release

GOOD = Row("all endpoints", PHASE, "goodput_ratio")


@pytest.fixture(scope="module")
def sides():
    """Six runs of each of two equal releases, alternately, by a locustfile."""
    random, noise = np.random.default_rng(5), Noise(between=0.002)
    plan = plan_of_releases().model_copy(update={"locustfile": "shop.py"})
    return tuple(release(random, 6, noise=noise, first=first, step=2, plan=plan) for first in (0, 1))


def without(runs, gone):
    """The same runs, whose users didn't get as far as these requests."""

    def less(run):
        plan = run.manifest.scenario
        mix = {name: kind for name, kind in plan.mix.items() if name not in gone}
        plan = plan.model_copy(update={"mix": mix})
        estimates = {row: estimate for row, estimate in run.estimates.items() if row.endpoint not in gone}
        return replace(run, manifest=run.manifest.model_copy(update={"scenario": plan}), estimates=estimates)

    return [less(run) for run in runs]


def with_good(runs, good):
    """The same runs, of whose answers this share was good."""
    return [replace(run, estimates={**run.estimates, GOOD: ratio_estimate(round(6000 * good), 6000)}) for run in runs]


def test_a_request_that_is_no_longer_sent_is_no_pass(sides):
    """There is nothing to compare, and that isn't the same as no change."""
    assert conclusion_of(compare(*sides)).verdict is Word.PASS
    found = conclusion_of(compare(sides[0], without(sides[1], {"webhooks"})))
    reason = "No run of the candidate sent webhooks, which each of the baseline did."
    assert (found.verdict, found.reason) == (Word.INCONCLUSIVE, reason)
    assert found.next_step == "Check what the candidate answers to the request before it."
    found = conclusion_of(compare(sides[0], without(sides[1], {"webhooks", "health"})))
    assert "sent health or 1 more, which" in found.reason or "sent webhooks or 1 more, which" in found.reason


def test_a_request_that_is_sent_now_and_then_may_be_missing(sides):
    """A rare one, that a run of the baseline didn't send either, or that one of the candidate's did."""
    was, now = ([side[0], *without(side[1:], {"webhooks"})] for side in sides)
    for pair in ((was, without(sides[1], {"webhooks"})), (sides[0], now)):
        assert not [each for each in compare(*pair).findings if "no run of the candidate" in each.what]


@pytest.mark.parametrize(("sent", "is_told"), [(2, False), (200, True)])
def test_a_request_that_chance_alone_may_leave_out_is_not_missed(sides, sent, is_told):
    """Two in each run of the baseline: none in the candidate's says nothing."""
    rare = Row("webhooks", PHASE, "error_ratio")
    was = [replace(run, estimates={**run.estimates, rare: ratio_estimate(0, sent)}) for run in sides[0]]
    found = compare(was, without(sides[1], {"webhooks"})).findings
    assert any("no run of the candidate" in each.what for each in found) is is_told
    assert (lately_unsent([*was, *without(sides[1], {"webhooks"})[:1]], 6) == ["webhooks"]) is is_told


@pytest.mark.parametrize(("was", "now"), [(0.6, 0.6), (1.0, 0.988), (0.5, 0.9)])
def test_a_release_that_violates_its_own_threshold_is_not_fit_to_ship(sides, was, now):
    """However like its baseline, or better, it is; a duel says so, too. A regression is still one."""
    pair = with_good(sides[0], was), with_good(sides[1], now)
    told = "each run of the candidate violates goodput_ratio >= 99 % (all endpoints · all phases)"
    for found in (compare(*pair), interim_result(pair, (4, 6), 1).comparison):
        assert [each.word for each in found.findings if each.what == told] == [Word.INCONCLUSIVE]
        assert conclusion_of(found).verdict is (Word.FAIL if now < was else Word.INCONCLUSIVE)


def test_a_threshold_that_one_run_meets_is_left_to_the_comparison(sides):
    """Near its limit, noise decides."""
    mixed = [*with_good(sides[1][:1], 1.0), *with_good(sides[1][1:], 0.988)]
    assert not [each for each in compare(sides[0], mixed).findings if "violates" in each.what]
