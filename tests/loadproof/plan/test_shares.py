"""Users to workers: who is who doesn't depend on how many workers there are."""

from __future__ import annotations

from loadproof.plan.shares import allot


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
