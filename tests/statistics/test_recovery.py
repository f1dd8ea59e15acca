"""Recovery is dated to the second, and noise is no disturbance."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.estimates.recovery import prediction_bound, recovery_in
from analysis.frames.run import Run, load_run
from loadproof.histogram import bucket_of
from loadproof.rundir.rows import IntervalRow
from simulation.rundirs import write_run
from tests.analysis.estimates.test_recovery import run_with, spiked
from tests.profiles import fewest_by_chance, most_by_chance, simulations

pytestmark = pytest.mark.statistics


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> Run:
    return load_run(write_run(tmp_path_factory.mktemp("bare"), plan=spiked()))


@pytest.mark.parametrize("recovered_s", [50, 53, 57, 71])
def test_it_took_as_long_as_it_was_slow(bare, recovered_s):
    """To the second; never sooner, and later only where noise looks like a relapse, in about one of twenty runs."""
    errors_s, times = [], simulations(40)
    for seed in range(times):
        found = recovery_in(run_with(bare, slow_until_s=recovered_s, seed=seed), "after", ("balance",))
        assert (found.before, found.trigger) == ("calm", "spike")
        errors_s.append(found.took_s - (recovered_s - 50))
    assert min(errors_s) >= 0
    assert sum(error_s <= 1 for error_s in errors_s) >= fewest_by_chance(times, 0.95)


@pytest.mark.parametrize("failing", [0.0, 0.005, 0.02])
def test_pure_noise_has_recovered_at_once(bare, failing):
    """A run that was never hurt, whatever fails all the time: at most one in twenty is seen otherwise."""
    late, times = 0, simulations(100)
    for seed in range(times):
        random = np.random.default_rng(seed)
        counted: Counter = Counter()
        for span in bare.manifest.phases:
            for second in range(int(span.start_s), int(span.end_s)):
                for response_s in random.lognormal(np.log(0.02), 0.4, random.poisson(50)):
                    outcome = "server_error" if random.uniform() < failing else "ok"
                    key = (second, span.name, "balance", outcome)
                    counted[*key, "response", bucket_of(round(response_s * 1e6))] += 1
                    counted[*key, "good", 0] += outcome == "ok"
        rows = [(*key, count) for key, count in counted.items() if count]
        run = replace(bare, intervals=pd.DataFrame(rows, columns=list(IntervalRow._fields)))
        late += recovery_in(run, "after", ("balance",)).took_s != 0
    assert late <= most_by_chance(times, 0.05)


def test_the_bound_keeps_its_promise():
    """The largest of ten more values is beyond it in at most 5 % of all cases."""
    random = np.random.default_rng(7)
    beyond, times = 0, simulations(8000)
    for _ in range(times):
        values = np.exp(random.normal(-4, 0.3, 20))
        beyond += np.exp(random.normal(-4, 0.3, 10)).max() > prediction_bound(values)
    assert beyond <= most_by_chance(times, 0.05)
