"""The smallest correct payments API: turns a request into the right answer, and that answer into bytes."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.adversary.wire import Request, Wire

Headers = tuple[tuple[str, str], ...]
JSON: Headers = (("Content-Type", "application/json"),)


@dataclass(frozen=True)
class Answer:
    """An answer; the sender decides how to frame it."""

    content: Any
    status: int = 200
    headers: Headers = JSON
    body: bytes | None = None
    """Sent instead of the content as JSON."""

    def payload(self) -> bytes:
        return json.dumps(self.content).encode() if self.body is None else self.body

    def head(self, *more: tuple[str, str], version: str = "HTTP/1.1") -> bytes:
        """The status line and headers, up to the empty line."""
        phrase = HTTPStatus(self.status).phrase if self.status in set(HTTPStatus) else "Odd"
        lines = [f"{version} {self.status} {phrase}", *(f"{name}: {value}" for name, value in (*self.headers, *more))]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"

    def whole(self, *more: tuple[str, str]) -> bytes:
        """The answer, delimited by its length."""
        body = self.payload()
        return self.head(("Content-Length", str(len(body))), *more) + body

    def changed(self, **fields: Any) -> Answer:
        """The answer with these fields of its content replaced."""
        return replace(self, content={**self.content, **fields})


@dataclass
class Bank:
    """Payments by key and by id, and the events received."""

    by_key: dict[str, dict[str, Any]] = field(default_factory=dict)
    by_id: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: set[str] = field(default_factory=set)

    def answer(self, request: Request) -> Answer:
        """The right answer to any request."""
        _, *parts = request.path.split("?")[0].split("/")
        match parts:
            case ["balance", account]:
                return Answer({"account": account, "balance": 100_000, "currency": "EUR"})
            case ["transactions"] if request.method == "POST":
                return self._paid(request)
            case ["transactions", payment] if payment in self.by_id:
                return Answer(self.by_id[payment])
            case ["webhooks", _]:
                return self._taken(request)
            case ["login" | "items" | "cart" | "health"]:
                return Answer({"status": "ok"})
        return Answer({"title": "nothing here"}, 404)

    def _paid(self, request: Request) -> Answer:
        key, order = request.header("idempotency-key"), json.loads(request.body)
        known = self.by_key.get(key)
        if known is not None and any(known[name] != value for name, value in order.items()):
            return Answer({"title": "another order under this key"}, 422)
        if known is None:
            known = {**order, "id": uuid.uuid4().hex, "created_at": "2026-01-01T00:00:00Z"}
            self.by_key[key] = self.by_id[known["id"]] = known
        return Answer(known, 201, (*JSON, ("Location", f"/transactions/{known['id']}")))

    def _taken(self, request: Request) -> Answer:
        event = request.header("webhook-id")
        again = event in self.events
        self.events.add(event)
        return Answer({"id": event, "duplicate": again}, 200 if again else 202)


class Honest:
    """The script that answers correctly, with one bank per server."""

    def __init__(self) -> None:
        self.bank = Bank()

    async def __call__(self, request: Request, wire: Wire) -> None:
        await wire.send(self.bank.answer(request).whole())
