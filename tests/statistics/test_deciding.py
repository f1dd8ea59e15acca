"""The number of samples that a reason says would decide is right."""

from __future__ import annotations

import re

import numpy as np
import pytest

from loadproof.analysis.judge.thresholds import judge_threshold
from loadproof.analysis.word import Word
from simulation.rundirs import open_scenario
from simulation.traffic import autocorrelated, poisson, run_of
from tests.profiles import fewest_by_chance, most_by_chance, simulations

pytestmark = pytest.mark.statistics


LONGER = ("error_ratio < 6 %", "p(95) < 44 ms", "mean < 23.5 ms")


def alike(expect: str, *, seconds: int, seed: int):
    """A run whose errors, rates and times rise and fall together over half a minute."""
    phases = [{"name": "steady", "duration": f"{seconds} s", "rate": "50 rps"}]
    thresholds = [{"expect": expect}, {"expect": "goodput_ratio >= 50 %"}]
    plan = open_scenario(phases=phases, mix={"balance": {"share": "100 %"}}, thresholds=thresholds)
    random = np.random.default_rng(seed)
    at_s = poisson(random, plan)
    level = autocorrelated(random, seconds, phi=0.8)[at_s.astype(int)]
    failed = random.uniform(size=at_s.size) < 0.04 * np.exp(0.7 * level)
    response_s = 0.02 * np.exp(0.2 * level + random.normal(0, 0.4, at_s.size))
    run = run_of(plan, at_s, response_s, np.where(failed, "server_error", "ok"))
    return judge_threshold(run.manifest.scenario.thresholds[0], run)


@pytest.mark.parametrize(
    "expect", ["goodput >= 46 rps", *(pytest.param(expect, marks=pytest.mark.long) for expect in LONGER)]
)
def test_the_number_of_samples_said_to_decide_does_decide(expect):
    """Twice as many decide in four of five runs; an eighth of them in at most one of four."""
    told, times = [], simulations(60)
    for seed in range(times // 2):
        reason = alike(expect, seconds=200, seed=seed).reason
        told += [int(found[1].replace(",", "")) for found in re.finditer(r"about ([\d,]+) (?:samples|seconds)", reason)]
    assert told
    seconds = float(np.median(told)) / (1 if expect.startswith("goodput") else 50)
    decided = [
        sum(
            alike(expect, seconds=int(part * seconds), seed=seed).word is not Word.INCONCLUSIVE for seed in range(times)
        )
        for part in (0.125, 2)
    ]
    assert decided[0] <= most_by_chance(times, 0.25)
    assert decided[1] >= fewest_by_chance(times, 0.8)
