"""Refusals that are built once: refusing a request must be cheap."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from payments_api.protection.answers.ratelimitheaders import Header

_TYPE: Final = (b"content-type", b"application/problem+json")


class Refusal:
    """Source: RFC 9457."""

    def __init__(self, status: int, kind: str, detail: str) -> None:
        title = HTTPStatus(status).phrase
        body = {"type": f"urn:problem:{kind}", "title": title, "status": status, "detail": detail}
        self._status = status
        self._body = json.dumps(body, separators=(",", ":")).encode()
        self._headers = (_TYPE, (b"content-length", str(len(self._body)).encode()))

    async def answer(self, scope: Scope, receive: Receive, send: Send, *headers: Header) -> None:
        if scope["type"] == "websocket":
            # The websocket is refused before it is accepted, which servers answer with 403.
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        # A new list each time: outer middleware may change it.
        start = {"type": "http.response.start", "status": self._status, "headers": [*self._headers, *headers]}
        await send(start)
        await send({"type": "http.response.body", "body": self._body})
