"""The open model's plan: exact counts, true Poisson, even turns, and the same on every worker."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadproof.plan.arrivals import ArrivalPlan, Arrivals
from loadproof.plan.phases import expected_requests, plan_phases
from simulation.rundirs import open_scenario

if TYPE_CHECKING:
    from loadproof.scenario.scenario import Scenario


def joined(blocks: list[Arrivals]) -> Arrivals:
    return Arrivals(
        *(np.concatenate([getattr(block, name) for block in blocks]) for name in ("time_s", "endpoint", "client"))
    )


def whole(plan: Scenario, seed: int) -> Arrivals:
    """All blocks in one."""
    return joined(list(ArrivalPlan(plan, plan_phases(plan), seed)))


@pytest.mark.parametrize("arrivals", ["poisson", "uniform"])
def test_each_phase_has_its_exact_count(arrivals):
    """The area under the rate, ramps included, split by the shares."""
    plan = open_scenario(arrivals=arrivals)
    spans = plan_phases(plan)
    planned = whole(plan, seed=3)
    expected = expected_requests(plan, spans)
    for span, total in zip(spans, (200, 840, 300), strict=True):
        inside = (planned.time_s >= span.start_s) & (planned.time_s < span.end_s)
        assert inside.sum() == total
        for number, endpoint in enumerate(plan.mix):
            assert (planned.endpoint[inside] == number).sum() == pytest.approx(expected[span.name, endpoint], abs=1)


@pytest.mark.parametrize("arrivals", ["poisson", "uniform"])
def test_a_ramp_is_linear(arrivals):
    """From 20 to 100 rps in 4 s: a third of the ramp's arrivals come in the first half."""
    plan = open_scenario(arrivals=arrivals, phases=[*open_scenario().model_dump(mode="json")["phases"]])
    times = whole(plan, seed=1).time_s
    ramp = times[(times >= 10) & (times < 14)]
    assert ramp.size == pytest.approx(240, rel=0.12)
    assert (ramp < 12).sum() == pytest.approx(80, rel=0.25)


@given(st.integers(0, 2**32), st.sampled_from(["poisson", "uniform"]))
def test_the_same_seed_gives_the_same_plan_in_order(seed, arrivals):
    """Times ascend, lie within the run, and clients take turns per endpoint."""
    plan = open_scenario(arrivals=arrivals)
    spans = plan_phases(plan)
    one, again = whole(plan, seed), whole(plan, seed)
    assert (one.time_s == again.time_s).all()
    assert (one.client == again.client).all()
    assert (np.diff(one.time_s) >= 0).all()
    assert one.time_s[0] >= 0
    assert one.time_s[-1] < spans[-1].end_s
    for number in range(len(plan.mix)):
        turns = np.bincount(one.client[one.endpoint == number], minlength=50)
        assert turns.max() - turns.min() <= 1


def test_poisson_gaps_are_exponential():
    """In a flat phase, the gaps' standard deviation is their mean."""
    plan = open_scenario(phases=[{"name": "flat", "duration": "200 s", "rate": "100 rps"}])
    gaps = np.diff(whole(plan, seed=5).time_s)
    assert gaps.std() / gaps.mean() == pytest.approx(1.0, abs=0.03)


FLAT = [{"name": "flat", "duration": "100 s", "rate": "100 rps"}]


@pytest.mark.slow
@pytest.mark.parametrize("endpoint", [None, 0])
def test_poisson_arrivals_pass_a_kolmogorov_smirnov_test(endpoint):
    """Given their count, their times are uniform over all blocks: for all endpoints together, and for one."""
    from scipy import stats

    p_values = []
    for seed in range(40):
        planned = whole(open_scenario(phases=FLAT), seed)
        times = planned.time_s if endpoint is None else planned.time_s[planned.endpoint == endpoint]
        p_values.append(stats.kstest(times / 100, "uniform").pvalue)
    assert stats.kstest(p_values, "uniform").pvalue > 0.001


def test_counts_per_second_vary_as_poisson_counts_do():
    """Variance over mean is 1, also across the borders of blocks."""
    dispersions = []
    for seed in range(20):
        counts = np.bincount(whole(open_scenario(phases=FLAT), seed).time_s.astype(int), minlength=100)
        dispersions.append(counts.var() / counts.mean())
    assert np.mean(dispersions) == pytest.approx(1.0, abs=0.1)


def test_uniform_arrivals_of_an_endpoint_are_evenly_spaced():
    """Across the borders of blocks, too."""
    planned = whole(open_scenario(arrivals="uniform", phases=FLAT), seed=2)
    for number, count in enumerate((5000, 2000, 2000, 1000)):
        times = planned.time_s[planned.endpoint == number]
        assert times.size == count
        assert np.diff(times) == pytest.approx(100 / count)


@given(st.integers(1, 9), st.integers(1, 60), st.sampled_from(["poisson", "uniform"]))
def test_all_workers_arrivals_together_are_the_plan(workers, clients, arrivals):
    """Each client belongs to one worker, and its arrivals are the same whatever the number of workers."""
    plan = open_scenario(client_count=clients, arrivals=arrivals)
    blocks = list(ArrivalPlan(plan, plan_phases(plan), seed=3))
    parts = [joined([block.of_worker(rank, workers) for block in blocks]) for rank in range(workers)]
    union = joined(parts)
    order = np.argsort(union.time_s, kind="stable")
    planned = joined(blocks)
    assert (union.time_s[order] == planned.time_s).all()
    assert sorted(zip(union.time_s, union.endpoint, union.client, strict=True)) == sorted(
        zip(planned.time_s, planned.endpoint, planned.client, strict=True)
    )
    owners = [set(part.client.tolist()) for part in parts]
    assert sum(map(len, owners)) == len(set().union(*owners))


def test_a_day_at_a_thousand_a_second_takes_little_memory():
    """Measured at its start, where everything that the plan keeps is created."""
    plan = open_scenario(phases=[{"name": "day", "duration": "24 h", "rate": "1000 rps"}])
    tracemalloc.start()
    blocks = iter(ArrivalPlan(plan, plan_phases(plan), seed=1))
    sizes = [next(blocks).time_s.size for _ in range(20)]
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(sizes) == pytest.approx(20_000, rel=0.05)
    assert peak_bytes < 20e6


def test_a_kind_of_user_does_not_share_its_own_clients():
    """The other kinds' arrivals go to the shared clients, as they would without it."""
    mix = {"balance": {"share": "50 %"}, "flood": {"like": "balance", "share": "50 %", "clients": 2}}
    planned = whole(open_scenario(mix=mix, client_count=5), seed=3)
    assert set(planned.client[planned.endpoint == 0]) == set(range(5))
    assert set(planned.client[planned.endpoint == 1]) == {5, 6}
