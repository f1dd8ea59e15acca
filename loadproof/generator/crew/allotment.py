"""Assigns users to workers, so that each user's identity doesn't depend on the number of workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from locust.dispatch import UsersDispatcher

from loadproof.internals.locust import planned_classes, worker_ids
from loadproof.plan.shares import allot, apportion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from locust import User
    from locust.runners import WorkerNode


class UserAllotment(UsersDispatcher):
    """Sends the n-th user of a class to worker n mod W, regardless of history; keeps the mix exactly.

    From its rank and W, a worker then knows which clients its users are. Locust's own dispatcher also spreads users
    evenly, but which worker gets the n-th user depends on the other classes.
    """

    def __init__(
        self,
        worker_nodes: list[WorkerNode],
        user_classes: list[type[User]],
        has_part: Callable[[str], bool] = lambda _: True,
    ) -> None:
        """`has_part` says whether the worker with this id takes part in this run; one that connected later doesn't."""
        super().__init__(worker_nodes, user_classes)
        self._has_part = has_part
        self._classes: list[type[User]] | None = None
        self._rounds: Iterator[dict[str, dict[str, int]]] = iter(())

    def new_dispatch(
        self,
        target_user_count: int,
        spawn_rate: float,  # noqa: ARG002 - Locust's signature
        user_classes: list[type[User]] | None = None,
    ) -> None:
        """Plan a single round, because PlanShape's ticks are already the steps of a ramp.

        Locust passes no classes when a worker has joined or left; then those of the previous tick apply.
        """
        if user_classes is not None:
            # An empty list means no classes; Locust's own dispatcher would take it to mean all of them.
            self._classes = user_classes
        classes: list[Any] = planned_classes(self) if self._classes is None else list(self._classes)
        counts = {cls.__name__: cls.fixed_count for cls in classes if cls.fixed_count}
        weights = {cls.__name__: cls.weight for cls in classes if not cls.fixed_count}
        rest = target_user_count - sum(counts.values())
        if rest < 0 or not weights:
            # Fewer users than the fixed counts require, or only fixed counts: share the users by these.
            weights, counts, rest = counts or weights, {}, target_user_count
        shares = {name: weight / sum(weights.values()) for name, weight in weights.items()}
        counts |= apportion(rest, shares) if shares else {}
        with_part = [worker for worker in worker_ids(self) if self._has_part(worker)]
        # If no worker that could send is left, Locust still expects a round: one without users.
        self._rounds = iter([allot(counts, with_part) or allot(dict.fromkeys(counts, 0), worker_ids(self))])

    def __next__(self) -> dict[str, dict[str, int]]:
        return next(self._rounds)
