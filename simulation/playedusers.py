"""User classes for one process of a simulated run, which wait on its clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from locust import User

from loadproof.generator.dispatch.dispatcher import ArrivalDispatcher
from loadproof.internals.locustusers import wait_by
from loadproof.users.user import ApiUser

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loadproof.users.post import Post
    from simulation.clock import FakeClock


class PlayedUsers:
    """One process's user classes: users wait on its clock and send the requests of their class's endpoint."""

    def __init__(self, post: Post, clock: FakeClock, habits: Mapping[str, object]) -> None:
        self.dispatcher = type("Dispatcher", (ArrivalDispatcher, _Waiting), {"post": post, "clock": clock})
        own = {"post": post, "clock": clock, "host": "http://127.0.0.1:8000"}
        health = type("HealthUser", (_Waiting, ApiUser), own | {"endpoint": "health", "tasks": [ask_health], **habits})
        balance = type("BalanceUser", (_Waiting, ApiUser), own | {"endpoint": "balance", "tasks": [_read_balance]})
        self.api_users: list[Any] = [health, balance]


class _Waiting(User):
    """Like Locust's TaskSet.wait, on the process's clock. Source: locust/user/task.py 2.47."""

    abstract = True
    clock: FakeClock

    def wait(self) -> None:
        wait_by(self, self.clock.sleep)


def ask_health(user: Any) -> None:
    user.send(user.api.ask_health(), lambda _: None)


def _read_balance(user: Any) -> None:
    user.send(user.api.read_balance("acct-000001"), lambda _: None)
