"""How often a Locust user begins a task, if its `wait_time` is a pace that doesn't depend on the tasks' duration."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from locust import constant_pacing, constant_throughput

from loadproof.internals.locustusers import last_pacing

if TYPE_CHECKING:
    from locust import User

_PACED = {function(1.0).__code__ for function in (constant_pacing, constant_throughput)}


class Wait(NamedTuple):
    """A wait between two tasks, as computed by a pace."""

    began_s: float
    """By `time.perf_counter`."""
    length_s: float
    """0 if the task had outlasted the pace."""

    def ended_ago_s(self) -> float:
        return time.perf_counter() - self.began_s - self.length_s


def last_wait(user: User) -> Wait:
    """A paced user's last wait; meaningless for a user without a pace."""
    return Wait(*last_pacing(user))


def pace_s(user: User) -> float | None:
    """Seconds from task to task; None if the user has no pace.

    Source: locust/user/wait_time.py 2.47: constant_pacing returns a closure over its `wait_time`, and
    constant_throughput returns one of the same.
    """
    waits: Any = type(user).wait_time
    if getattr(waits, "__code__", None) not in _PACED or waits.__closure__ is None:
        return None
    wait_s = float(waits.__closure__[waits.__code__.co_freevars.index("wait_time")].cell_contents)
    return wait_s if wait_s > 0 else None
