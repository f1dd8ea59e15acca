"""Makes answers fail on purpose, to prove that a check catches it; off unless FAULTS is set."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse

from payments_api.problems import problem_answer
from payments_api.protection.options import ENDPOINTS, MONITORING
from payments_api.protection.paths import Places

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from payments_api.settings import Fault

_HANG_S: Final = 3600.0


class FaultMiddleware:
    def __init__(self, app: ASGIApp, faults: dict[str, Fault]) -> None:
        self._app = app
        self._faults = faults
        self._random = random.Random(1)
        self._places = Places(ENDPOINTS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = self._fault(scope) if scope["type"] == "http" else None
        if fault is None:
            await self._app(scope, receive, send)
            return
        await asyncio.sleep(_HANG_S if fault.hang else fault.delay_ms / 1000)
        if self._random.random() < fault.error_ratio:
            answer = problem_answer(500, "fault", "A deliberate fault.")
            await answer(scope, receive, send)
        elif fault.wrong_body:
            await JSONResponse({"surprise": True})(scope, receive, send)
        elif fault.cut:
            # Announces more than it sends: the server closes the connection in the middle.
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100")]})
            await send({"type": "http.response.body", "body": b"cut"})
        else:
            await self._app(scope, receive, _lying(send, fault.retry_after_s) if fault.retry_after_s else send)

    def _fault(self, scope: Scope) -> Fault | None:
        is_monitoring = scope["path"] in MONITORING
        return None if is_monitoring else self._faults.get(self._places.endpoint_of(scope["path"]))


def _lying(send: Send, retry_after_s: int) -> Send:
    async def send_changed(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=message["headers"])
            if "retry-after" in headers:
                headers["retry-after"] = str(retry_after_s)
        await send(message)

    return send_changed
