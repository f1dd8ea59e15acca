"""Users to workers, so that who is who doesn't depend on how many workers there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from locust.dispatch import UsersDispatcher

from loadproof.internals.locust import planned_classes, worker_ids
from loadproof.plan.shares import allot, apportion

if TYPE_CHECKING:
    from collections.abc import Iterator

    from locust import User
    from locust.runners import WorkerNode


class UserAllotment(UsersDispatcher):
    """The n-th user of a class goes to worker n mod W, whatever came before; the mix is kept exactly.

    A worker that knows its rank and W then knows which clients its users are. Locust's own dispatcher
    spreads users evenly too, but which worker gets the n-th depends on the other classes.
    """

    def __init__(self, worker_nodes: list[WorkerNode], user_classes: list[type[User]]) -> None:
        super().__init__(worker_nodes, user_classes)
        self._rounds: Iterator[dict[str, dict[str, int]]] = iter(())

    def new_dispatch(
        self,
        target_user_count: int,
        spawn_rate: float,  # noqa: ARG002 - Locust's signature
        user_classes: list[type[User]] | None = None,
    ) -> None:
        """Plan one round: PlanShape's ticks are the steps of a ramp."""
        # Locust's own takes an empty list for all there are.
        classes: list[Any] = planned_classes(self) if user_classes is None else user_classes
        total_weight = sum(cls.weight for cls in classes)
        shares = {cls.__name__: cls.weight / total_weight for cls in classes}
        counts = apportion(target_user_count, shares) if shares else {}
        self._rounds = iter([allot(counts, worker_ids(self))])

    def __next__(self) -> dict[str, dict[str, int]]:
        return next(self._rounds)
