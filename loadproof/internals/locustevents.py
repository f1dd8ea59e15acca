"""Private parts of Locust's events: who listens, in which order, and what happens to a listener's exceptions.

`tests/loadproof/internals/test_locust.py` reports which ones a new Locust has changed. Source for all: locust 2.47.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from locust import runners
from locust.event import EventHook
from locust.exception import InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately, StopTest, StopUser

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from locust.env import Environment

_MASKED: Final = ("exception", "name", "request_type", "url")
"""The fields of an event that are recorded."""


_ORDERS: Final = (InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately, StopTest, StopUser)
"""Exceptions that a listener raises to control the code that fired the event. Source: locust/event.py, EventHook."""


def only_the_runner_listens(environment: Environment) -> bool:
    """Whether only the runner's own statistics listen to the `request` event; False where this can't be known.

    Source: locust/event.py; locust/runners.py, Runner.__init__'s `on_request`.
    """
    handlers: list[Any] | None = getattr(environment.events.request, "_handlers", None)
    return (
        handlers is not None
        and len(handlers) == 1
        and getattr(handlers[0], "__qualname__", "") == "Runner.__init__.<locals>.on_request"
    )


def mask_events(
    environment: Environment, *, error: Callable[[BaseException], BaseException], text: Callable[[str], str]
) -> None:
    """Fire the events `request` and `user_error` with masked exceptions and names, the latter as strings.

    Source: locust/event.py, EventHook.fire; locust/runners.py, the runners' `on_request` and `on_user_error`.
    """

    def masked(value: Any) -> Any:
        if isinstance(value, BaseException):
            return error(value)
        return text(str(value))

    def fire_masked(fire: Callable[..., None], **named: Any) -> None:
        fire(**named | {key: masked(named[key]) for key in _MASKED if named.get(key)})

    for hook in (environment.events.request, environment.events.user_error):
        hook.fire = functools.partial(fire_masked, hook.fire)  # type: ignore[method-assign]


def tell_exceptions(listener_raised: Callable[[EventHook, Exception], None], ended: Callable[[Any], None]) -> None:
    """From now on, report exceptions of event listeners, and those that end one of Locust's greenlets.

    Locust only logs a listener's exception, and sets an error exit code; those of our own listeners now propagate.
    Source: locust/event.py, EventHook.fire; locust/runners.py, locust_exception_handler.
    """

    def fire(hook: EventHook, *, reverse: bool = False, **named: Any) -> None:
        for listener in hook._handlers[::-1] if reverse else hook._handlers.copy():
            try:
                listener(**named)
            except _ORDERS:
                raise
            except Exception as error:
                if _is_ours(listener):
                    raise
                listener_raised(hook, error)

    EventHook.fire = fire  # type: ignore[method-assign, assignment]
    make_handler = runners.locust_exception_handler

    def make_telling(environment: Environment) -> Callable[[Any], None]:
        handle = make_handler(environment)

        def handle_told(greenlet: Any) -> None:
            ended(greenlet.exception)
            handle(greenlet)

        return handle_told

    runners.locust_exception_handler = make_telling


def call_ours_last(hook: EventHook) -> None:
    """Call all other listeners first, whenever they were added. Source: locust/event.py, EventHook.fire."""
    hook._handlers.sort(key=_is_ours)


def _is_ours(listener: Any) -> bool:
    return getattr(listener, "__module__", "").startswith("loadproof.")


def end_with(environment: Environment, code: Callable[[], int]) -> None:
    """Set the process's exit code at its end, overriding any other listener.

    Source: locust/main.py, shutdown, which calls listeners of `quitting` in reverse.
    """

    def decide(**_: Any) -> None:
        environment.process_exit_code = code()

    environment.events.quitting._handlers.insert(0, decide)


def hear_requests(environment: Environment, hear: Callable[[Mapping[str, Any]], None]) -> None:
    """Call `hear` with each `request` event before all other listeners, any of which may stop the event.

    Added as the first listener instead of replacing `fire`, to which a locustfile may hold a reference.
    Source: locust/event.py, EventHook.fire, which lets some exceptions of a listener propagate.
    """
    environment.events.request._handlers.insert(0, lambda **told: hear(told))
