"""Users go to workers that have a part of the run, and to nobody else."""

from __future__ import annotations

import pytest

from tests.unpatched import locust  # isort: skip

from locust.runners import WorkerNode

from loadproof.generator.allotment import UserAllotment


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


def test_no_user_class_is_none_and_not_all():
    """A mix that names nobody who is there sends nothing."""
    allotment = UserAllotment([WorkerNode("a")], [First, Second])
    allotment.new_dispatch(5, 5.0, [])
    assert list(allotment) == [{"a": {}}]


class Alone(locust.User):
    """So many of them there are always, whatever their mix."""

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
def test_users_are_as_many_as_their_classes_say(count, classes, users):
    """Fixed counts first, and by weight what is left; where there are fewer than that, or no others, they are all."""
    allotment = UserAllotment([WorkerNode("a")], classes)
    allotment.new_dispatch(count, 5.0, classes)
    assert list(allotment) == [{"a": users}]
