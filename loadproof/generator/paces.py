"""How often a user of Locust's begins a task, where its `wait_time` says so whatever its tasks take."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from locust import constant_pacing, constant_throughput

from loadproof.internals.locustusers import last_pacing

if TYPE_CHECKING:
    from locust import User

_PACED = {function(1.0).__code__ for function in (constant_pacing, constant_throughput)}


class Wait(NamedTuple):
    """A wait between two tasks, as a pace asked for it."""

    began_s: float
    """By `time.perf_counter`."""
    length_s: float
    """0 if the tasks had taken their time."""

    def ended_ago_s(self) -> float:
        return time.perf_counter() - self.began_s - self.length_s


def last_wait(user: User) -> Wait:
    """A paced user's; any value of a user without a pace."""
    return Wait(*last_pacing(user))


def pace_s(user: User) -> float | None:
    """Seconds from task to task; None where it waits after each as long as it likes.

    Source: locust/user/wait_time.py 2.47: constant_pacing returns a function that knows its `wait_time`, and
    constant_throughput one of the same.
    """
    waits: Any = type(user).wait_time
    if getattr(waits, "__code__", None) not in _PACED or waits.__closure__ is None:
        return None
    wait_s = float(waits.__closure__[waits.__code__.co_freevars.index("wait_time")].cell_contents)
    return wait_s if wait_s > 0 else None
