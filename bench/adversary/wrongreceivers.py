"""Receivers of events that break one promise each, and honest ones that look odd."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from bench.adversary.audited import audited, webhooks
from bench.adversary.books import Books
from bench.adversary.case import PASS

if TYPE_CHECKING:
    from bench.adversary.wire import Request


class _Forgetful(Books):
    """Forgets events that it has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.seen_s: dict[str, float] = {}

    def has_seen(self, event: str, _: Request) -> bool:
        now_s = time.monotonic()
        is_old = now_s - self.seen_s.get(event, -60.0) < 5
        self.seen_s[event] = now_s
        return is_old


class _ByAttempt(Books):
    """Takes a resent event with another timestamp for a new one."""

    def has_seen(self, event: str, request: Request) -> bool:
        return super().has_seen(f"{event} {request.header('webhook-timestamp')}", request)


class _Formal(Books):
    """Only checks that there is a signature of the right length."""

    def signature(self, request: Request) -> str:
        given = request.header("webhook-signature")
        return given if len(given) == len(super().signature(request)) else super().signature(request)


class _Patient(Books):
    def is_fresh(self, at_s: int) -> bool:
        return abs(time.time() - at_s) <= 86_400


class _Unsure(Books):
    def is_genuine(self, request: Request) -> bool:
        return not request.header("webhook-signature") or super().is_genuine(request)


class _Twice(Books):
    def take(self, event: str) -> None:
        self.effects[event] += 1 + (int(event[-2:], 16) % 40 == 0)


class _Lossy(Books):
    def take(self, event: str) -> None:
        self.effects[event] += int(event[-2:], 16) % 40 != 0


class _Later(Books):
    """Applies effects within two seconds."""

    def take(self, event: str) -> None:
        asyncio.get_running_loop().call_later(2, super().take, event)


_KIND = "broken receiver"

CASES = (
    audited(_KIND, "forgets events", "an event is new again after five seconds", _Forgetful, webhooks(seconds=7)),
    audited(_KIND, "times are ids", "an event with another timestamp is another one", _ByAttempt, webhooks()),
    audited(_KIND, "any signature", "one of the right length will do", _Formal, webhooks()),
    audited(_KIND, "patient", "events may be a day old", _Patient, webhooks()),
    audited(_KIND, "no signature", "what isn't signed isn't wrongly signed", _Unsure, webhooks()),
    audited(_KIND, "twice", "one event in 40 has two effects", _Twice, webhooks()),
    audited(_KIND, "without effect", "one event in 40 has none", _Lossy, webhooks()),
    audited("honest receiver", "a right receiver", "keeps every promise", Books, webhooks(), right=(PASS,)),
    audited("honest receiver", "later effects", "within two seconds", _Later, webhooks(), right=(PASS,)),
)
