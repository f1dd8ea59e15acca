"""Answers unlimited paths at a bounded cost: computes answers while the budget lasts, then repeats the latest one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SHARE: Final = 0.02
"""Share of the time for computing answers, since a metrics page takes as long as hundreds of refusals.

Enough for one page per second, which is how often loadproof samples it.
"""
_BURST_S: Final = 0.2
"""Time that can be saved up, so that a client that looks twice in a row sees what happened in between."""
_OLDEST_S: Final = 1.0


class _Answer(NamedTuple):
    messages: list[Message]
    found: dict[str, Any]
    """The route that the router noted in the scope, for middleware that counts requests by route."""


class Repeating:
    """Serves requests whose answer is the same for everybody; a repeated answer is at most a second old.

    Computing answers gets 2 % of the time, with bursts of up to 0.2 s. The time of one is measured by `cpu_clock`, and
    includes whatever else the event loop does in between.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        on_repeat: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        cpu_clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self._app = app
        self._on_repeat = on_repeat
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._seen_s = clock()
        self._left_s = _BURST_S
        self._latest: dict[tuple[str, str], _Answer] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = scope["method"], scope["path"]
        latest = self._latest.get(key)
        if latest is None or self._has_time():
            await self._answer_anew(key, scope, receive, send)
            return
        self._on_repeat()
        scope.update(latest.found)
        for message in latest.messages:
            await send(_copy(message))

    def _has_time(self) -> bool:
        now_s = self._clock()
        self._left_s = min(_BURST_S, self._left_s + (now_s - self._seen_s) * _SHARE)
        self._seen_s = now_s
        return self._left_s > 0

    async def _answer_anew(self, key: tuple[str, str], scope: Scope, receive: Receive, send: Send) -> None:
        messages: list[Message] = []

        async def send_and_keep(message: Message) -> None:
            messages.append(_copy(message))
            await send(message)

        began_s = self._cpu_clock()
        try:
            await self._app(scope, receive, send_and_keep)
        finally:
            # The debt is never more than a second pays back.
            self._left_s = max(self._left_s - (self._cpu_clock() - began_s), -_OLDEST_S * _SHARE)
        if messages and messages[-1]["type"] == "http.response.body" and not messages[-1].get("more_body"):
            self._latest[key] = _Answer(messages, {name: scope[name] for name in ("route",) if name in scope})


def _copy(message: Message) -> Message:
    """A copy, since outer middleware may change the message."""
    return {**message, "headers": [*message["headers"]]} if "headers" in message else {**message}
