"""Users go only to workers that take part in the run."""

from __future__ import annotations

import pytest

from tests.unpatched import locust  # isort: skip

from locust.runners import WorkerNode

from loadproof.generator.crew.allotment import UserAllotment


class First(locust.User):
    """A class in the mix."""


class Second(locust.User):
    """A class that is not in the mix."""


def test_a_worker_without_a_share_changes_no_users():
    """Whether it is there from the start or connects later, when Locust asks again without passing classes."""
    nodes = [WorkerNode(name) for name in ("a", "b", "c")]
    allotment = UserAllotment(nodes[:1] + nodes[2:], [First, Second], has_part=lambda worker: worker != "b")
    allotment.new_dispatch(5, 5.0, [First])
    expected = [{"a": {"First": 3}, "c": {"First": 2}}]
    assert list(allotment) == expected
    allotment.add_worker(nodes[1])
    allotment.new_dispatch(5, 5.0)
    assert list(allotment) == expected


def test_without_a_worker_that_has_a_share_there_are_no_users():
    """Workers without one don't take over."""
    allotment = UserAllotment([WorkerNode("late")], [First], has_part=lambda _: False)
    allotment.new_dispatch(5, 5.0)
    assert list(allotment) == [{"late": {"First": 0}}]


def test_an_empty_list_of_classes_means_none_not_all():
    """A mix without any matching class sends nothing."""
    allotment = UserAllotment([WorkerNode("a")], [First, Second])
    allotment.new_dispatch(5, 5.0, [])
    assert list(allotment) == [{"a": {}}]


class Alone(locust.User):
    """Has a fixed number of users, whatever the mix."""

    fixed_count = 2


class Rare(locust.User):
    weight = 1


class Frequent(locust.User):
    weight = 3


@pytest.mark.parametrize(
    ("count", "classes", "users"),
    [
        (10, [Alone, Rare, Frequent], {"Alone": 2, "Rare": 2, "Frequent": 6}),
        (2, [Alone, Rare, Frequent], {"Alone": 2, "Rare": 0, "Frequent": 0}),
        (1, [Alone, Rare, Frequent], {"Alone": 1}),
        (7, [Alone], {"Alone": 7}),
        (8, [Rare, Frequent], {"Rare": 2, "Frequent": 6}),
    ],
)
def test_users_follow_fixed_counts_and_weights(count, classes, users):
    """Fixed counts first, the rest by weight; with too few users, or only fixed counts, these share all users."""
    allotment = UserAllotment([WorkerNode("a")], classes)
    allotment.new_dispatch(count, 5.0, classes)
    assert list(allotment) == [{"a": users}]
