"""Answers 413 as soon as a request body exceeds the limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.exceptions import HTTPException

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY_BYTES: Final = 1_048_576


class BodyLimitMiddleware:
    """Counts the bytes received, whatever Content-Length says.

    FastAPI's own `max_body_size` answers in plain text before any exception handler sees it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > LARGEST_BODY_BYTES:
                raise HTTPException(413, f"More than {LARGEST_BODY_BYTES} bytes.")
            return message

        await self._app(scope, counted, send)
