"""Private parts of Locust's users: when they run, wait, take a task and end.

`tests/loadproof/internals/test_locust.py` reports which ones a new Locust has changed. Source for all: locust 2.47.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from locust import User
from locust.user.task import LOCUST_STATE_STOPPING, TaskSet

if TYPE_CHECKING:
    from collections.abc import Callable

    from gevent import Greenlet
    from gevent.pool import Group


class _Aside(dict["Greenlet", User]):
    """Users that are leaving, by the greenlets of their lives."""

    def forget(self, life: Greenlet) -> None:
        self.pop(life, None)


_ASIDE: Final[WeakKeyDictionary[Group, _Aside]] = WeakKeyDictionary()
"""By the group in which Locust counts users: those that are leaving."""


def is_stopping(user: User) -> bool:
    """Whether Locust wants this user to end at its next wait. Source: locust/user/users.py, User.stop."""
    return bool(user._state == LOCUST_STATE_STOPPING)


def set_aside(user: User) -> None:
    """Don't count a user that is leaving any more: Locust would start no other while this one still waits.

    When the run stops, it is with the others again, so that Locust waits for it.

    Source: locust/runners.py, user_classes_count and Runner.stop; gevent/pool.py, Group; gevent/greenlet.py, _kill.
    """
    users, life = user.group, user.greenlet
    if life not in users:
        return
    aside = _ASIDE.get(users)
    if aside is None:
        aside = _ASIDE[users] = _Aside()
        user.environment.events.test_stopping.add_listener(functools.partial(_bring_back, users, aside))
    aside[life] = user
    life.rawlink(aside.forget)
    users.discard(life)


def take_back(user: User) -> None:
    """Count a user that was set aside again: it doesn't leave after all."""
    aside = _ASIDE.get(user.group)
    if aside is not None and aside.pop(user.greenlet, None) is not None:
        user.greenlet.unlink(aside.forget)
        user.group.add(user.greenlet)


def _bring_back(users: Group, aside: _Aside, **_: object) -> None:
    """By a greenlet's arguments Locust finds its user; those of a killed one are gone, so that another stands in."""
    for life, user in aside.items():
        if life.args:
            users.add(life)
        else:
            # The user itself stays outside: as a new member of the group it would be killed again, in its `on_stop`.
            users.spawn(_wait_for, user)
    aside.clear()


def _wait_for(user: User) -> None:
    user.greenlet.join()


def last_pacing(user: User) -> tuple[float, float]:
    """When `constant_pacing` last computed this user's wait, by `time.perf_counter`, and that wait in s.

    Source: locust/user/wait_time.py, constant_pacing; locust/user/users.py, User.__init__.
    """
    return user._cp_last_run, user._cp_last_wait_time


def wait_by(user: User, sleep: Callable[[float], None]) -> None:
    """Wait with another clock's `sleep` from now on: the only place where Locust's users sleep.

    Source: locust/user/users.py, User.wait; locust/user/task.py, TaskSet.wait.
    """
    tasks: Any = user._taskset_instance
    tasks._sleep = sleep
    tasks.wait()


def follow_users(
    live: Callable[[User, Callable[[], None]], None],
    enter_set: Callable[[User, Callable[[], None]], None],
    take_turn: Callable[[User, Callable[[], None]], None],
    leave: Callable[[User], None],
) -> None:
    """From now on, route each user's life through `live`, and each of its tasks through `take_turn`.

    Each gets a function that runs it. `enter_set` is called for nested task sets, whose tasks are routed as well. Users
    that are told to leave in the middle of a task are set aside, and `leave` is told.

    Source: locust/user/users.py, User.run and User.stop; locust/user/task.py, TaskSet.run, which only reaches tasks
    through execute_next_task: a task set may override execute_task.
    """
    run: Callable[[User], None] = User.run

    def followed_run(user: User) -> None:
        live(user, functools.partial(run, user))

    User.run = followed_run  # type: ignore[method-assign, misc]  # it is final for users' own classes
    stop: Callable[[User, bool], bool] = User.stop

    def stop_aside(user: User, force: bool = False) -> bool:
        has_ended = bool(stop(user, force))
        if not has_ended:
            set_aside(user)
            leave(user)
        return has_ended

    User.stop = stop_aside  # type: ignore[method-assign, assignment]

    execute: Callable[[TaskSet], None] = TaskSet.execute_next_task

    def execute_followed(tasks: TaskSet) -> None:
        task = tasks._task_queue[0]
        is_set = isinstance(task, type) and issubclass(task, TaskSet)
        follow = enter_set if is_set else take_turn
        follow(tasks.user, functools.partial(execute, tasks))

    TaskSet.execute_next_task = execute_followed  # type: ignore[method-assign]
