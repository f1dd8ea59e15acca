"""Checks, in this order: deny list, private paths, allow list, bots, penalties and limits; all ahead of routing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from payments_api.protection.answers.ratelimitheaders import Header, state_header
from payments_api.protection.answers.repeating import Repeating
from payments_api.protection.paths import path_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from payments_api.protection.protection import Protection


class ProtectionMiddleware:
    """Refuses with 403 (deny list, bots), 404 (private paths) or 429 (penalties, limits), with prebuilt responses."""

    def __init__(self, app: ASGIApp, protection: Protection) -> None:
        self._app = app
        self._protection = protection
        self._monitoring = Repeating(app, on_repeat=protection.repeated)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        ours = self._protection
        client = ours.clients.of(scope)
        path = path_of(scope)
        if ours.is_denied(client.address):
            await ours.denied.answer(scope, receive, send)
        elif ours.is_hidden(path, scope):
            await ours.hidden.answer(scope, receive, send)
        elif ours.is_allowed(client.address):
            await self._app(scope, receive, send)
        elif ours.places.is_monitoring(path, scope.get("method", "")):
            await self._monitoring(scope, receive, send)
        elif ours.is_bot(scope["headers"]):
            await ours.bot.answer(scope, receive, send)
        else:
            await self._within_limits(client.key, scope, receive, send)

    async def _within_limits(self, client: str, scope: Scope, receive: Receive, send: Send) -> None:
        ours = self._protection
        if ours.limits is None:
            await self._app(scope, receive, send)
            return
        endpoint = ours.places.endpoint_of(path_of(scope))
        decision = await ours.limits.decide(endpoint, client)
        policy, state = ours.policies[endpoint], state_header(endpoint, decision.remaining, decision.wait_s)
        if decision.is_admitted:
            await self._app(scope, receive, _adding(send, policy, state))
            return
        refusal = ours.penalised if decision.is_penalty else ours.throttled[endpoint]
        wait = (b"retry-after", str(decision.wait_s).encode())
        await refusal.answer(scope, receive, send, wait, policy, state)


def _adding(send: Send, *headers: Header) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *headers]
        await send(message)

    return send_with_headers
