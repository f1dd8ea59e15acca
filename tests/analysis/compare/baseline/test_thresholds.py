"""Thresholds on the baseline, decided by the runs of both releases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from loadproof.analysis.compare.baseline.thresholds import judgements_beside
from loadproof.analysis.compare.replicates import row_of
from loadproof.analysis.estimates.estimate import ratio_estimate
from loadproof.analysis.judge.judgement import Wanting
from loadproof.analysis.word import Word
from simulation.releases import Noise, plan_of_releases, release

PLAN = plan_of_releases("p(95) <= 1.10 * baseline")


def judged(*, slower=0.0, runs=(5, 5), is_empty=(False, False)):
    """The plan's one threshold on the baseline, judged by this many runs a side."""
    random = np.random.default_rng(1)
    sides = [
        release(random, count, noise=Noise(between=0.01), slower=side * slower, plan=PLAN, first=side, step=2)
        for side, count in enumerate(runs)
    ]
    emptied = [
        [replace(run, estimates={}) for run in side] if empty else side
        for side, empty in zip(sides, is_empty, strict=True)
    ]
    (judgement,) = judgements_beside(*emptied, PLAN)
    return judgement


@pytest.mark.parametrize(
    ("slower", "word", "end"),
    [
        (0.0, Word.PASS, "(5 and 5 runs)"),
        (0.1, Word.INCONCLUSIVE, "(5 and 5 runs), straddles the limit"),
        (0.3, Word.FAIL, "(5 and 5 runs)"),
    ],
)
def test_several_runs_of_each_release_decide_it(slower, word, end):
    """By the whole interval of the change; if it straddles the limit, more runs would decide."""
    judgement = judged(slower=slower)
    assert judgement.word is word
    assert judgement.reason.endswith(end)
    assert judgement.wanting is None


@pytest.mark.parametrize(
    ("runs", "is_empty", "wanting", "end"),
    [
        ((1, 3), (False, False), Wanting.RUNS, "3 and 1 runs can't tell a change from noise"),
        ((3, 3), (True, False), Wanting.SAMPLES, "the baseline has no samples for it"),
        ((3, 3), (False, True), Wanting.SAMPLES, "the candidate has no samples for it"),
    ],
)
def test_what_is_missing_is_reported(runs, is_empty, wanting, end):
    """Runs, or what they should have measured."""
    judgement = judged(slower=0.3, runs=runs, is_empty=is_empty)
    assert (judgement.word, judgement.wanting) == (Word.INCONCLUSIVE, wanting)
    assert judgement.reason.endswith(end)


def judged_ratios(expect, was, now, *, n=3000, margin="5 %"):
    """A threshold on a share of requests, by these numbers of wrong answers in each run of either side."""
    plan = plan_of_releases(expect, margin=margin)
    wants_high = expect.startswith("goodput")
    random = np.random.default_rng(1)
    row = row_of(plan.thresholds[-1], plan)
    sides = [
        [
            replace(run, estimates={row: ratio_estimate(n - wrong if wants_high else wrong, n)})
            for run, wrong in zip(release(random, len(counts), plan=plan, first=side, step=2), counts, strict=True)
        ]
        for side, counts in enumerate((was, now))
    ]
    (judgement,) = judgements_beside(*sides, plan)
    return judgement


@pytest.mark.parametrize("expect", ["error_ratio <= 2 * baseline", "goodput_ratio >= 1 * baseline"])
def test_if_nothing_goes_wrong_on_either_side_nothing_is_worse(expect):
    """Zero can't be shown to be below twice zero; but a few wrong answers, or too few answers, don't PASS."""
    spotless = judged_ratios(expect, [0, 0, 0], [0, 0, 0])
    assert spotless.word is Word.PASS
    assert spotless.reason.endswith("no run of the candidate had any")
    assert judged_ratios(expect, [0, 0, 0], [0, 1, 0]).word is Word.INCONCLUSIVE
    assert judged_ratios(expect, [0, 0, 0], [0, 0, 0], n=30).word is Word.INCONCLUSIVE


def test_percentage_points_are_decimal_numbers():
    """However many there are."""
    judgement = judged_ratios("error_ratio <= 2 * baseline", [0, 0, 0, 0], [3000, 3000, 2990, 3000])
    assert judgement.word is Word.FAIL
    assert "+100 percentage points (+98 to +101) from 2 x" in judgement.reason
    assert "e+" not in judged_ratios("error_ratio <= 2 * baseline", [0, 3, 1, 2], [1, 0, 2, 3]).reason
