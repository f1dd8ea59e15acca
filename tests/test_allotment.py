"""Who is who doesn't depend on the number of workers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loadproof.clients import make_client
from loadproof.plan import allot, plan_arrivals, plan_phases
from tests.synthetic import scenario


def test_the_union_of_all_workers_numbers_is_the_whole():
    """Worker k of W has k, k + W, …: together 0 to n - 1, each once."""
    for wanted in ({"A": 7, "B": 1, "C": 0}, {"A": 100, "B": 33}):
        for workers in (["w1"], ["w1", "w2", "w3"], [f"w{number}" for number in range(9)]):
            allotted = allot(wanted, workers)
            for name, total in wanted.items():
                numbers = [
                    rank + len(workers) * made
                    for rank, worker in enumerate(workers)
                    for made in range(allotted[worker][name])
                ]
                assert sorted(numbers) == list(range(total))


@given(st.integers(1, 7), st.integers(1, 40))
def test_the_union_of_all_workers_arrivals_is_the_plan(workers, clients):
    """Each client belongs to one worker, and so do its arrivals."""
    plan = scenario(
        model="open",
        client_count=clients,
        phases=[{"name": "flat", "duration": "5 s", "rate": "50 rps"}],
        thresholds=[{"expect": "goodput > 1 rps"}],
    )
    arrivals = plan_arrivals(plan, plan_phases(plan), seed=3)
    parts = [arrivals.time_s[arrivals.client % workers == rank] for rank in range(workers)]
    assert sorted(time for part in parts for time in part) == arrivals.time_s.tolist()
    assert make_client(3, seed=3, by_address=True) == make_client(3, seed=3, by_address=True)
