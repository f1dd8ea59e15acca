"""Who is who doesn't depend on the number of workers."""

from __future__ import annotations

from tests.unpatched import locust  # isort: skip

from locust.runners import WorkerNode

from loadproof.generator.allotment import UserAllotment
from loadproof.plan.clients import make_client
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


class First(locust.User):
    """Of the mix."""


class Second(locust.User):
    """Not of the mix."""


def test_a_worker_without_a_part_changes_no_users():
    """Whether it is there from the beginning or comes later, when Locust asks again without saying which classes."""
    nodes = [WorkerNode(name) for name in ("a", "b", "c")]
    allotment = UserAllotment(nodes[:1] + nodes[2:], [First, Second], has_part=lambda worker: worker != "b")
    allotment.new_dispatch(5, 5.0, [First])
    expected = [{"a": {"First": 3}, "c": {"First": 2}}]
    assert list(allotment) == expected
    allotment.add_worker(nodes[1])
    allotment.new_dispatch(5, 5.0)
    assert list(allotment) == expected


def test_without_a_worker_that_has_a_part_there_are_no_users():
    """Those that have none don't take over."""
    allotment = UserAllotment([WorkerNode("late")], [First], has_part=lambda _: False)
    allotment.new_dispatch(5, 5.0)
    assert list(allotment) == [{"late": {"First": 0}}]


def test_a_client_is_the_same_however_often_it_is_made():
    """It has no state of its own."""
    assert make_client(3, seed=3, by_address=True) == make_client(3, seed=3, by_address=True)
