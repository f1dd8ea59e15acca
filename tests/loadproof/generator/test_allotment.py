"""Users go to workers that have a part of the run, and to nobody else."""

from __future__ import annotations

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
