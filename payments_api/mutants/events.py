"""Receivers of webhooks that take two events for one, or mark one that had no effect."""

from __future__ import annotations

import hashlib
import itertools
import sqlite3
from contextlib import suppress

from payments_api import ledger
from payments_api.ledger import Ledger
from payments_api.mutants.mutant import Replace, mutant
from payments_api.webhooks import have_effect, mark


@mutant(14)
def webhook_by_body(replace: Replace) -> None:
    """Two events with equal bodies are one, and one in two spellings is two: they are told apart by a hash."""

    def take_once(connection: sqlite3.Connection, provider: str, event_id: str, body: bytes) -> bool:
        is_new = mark(connection, provider, hashlib.sha256(body).hexdigest(), body)
        if is_new:
            have_effect(connection, provider, event_id)
        return is_new

    replace(ledger, "take_once", take_once)


@mutant(14, number=100)
def webhook_marked_first(replace: Replace, every: int) -> None:
    """One event in 100 is accepted and has no effect: it is marked, the effect fails, and nobody delivers it again."""
    numbers = itertools.count(1)

    async def take_webhook(self: Ledger, provider: str, event_id: str, body: bytes) -> bool:
        def effect(connection: sqlite3.Connection) -> None:
            if next(numbers) % every == 0:
                raise TimeoutError(event_id)
            have_effect(connection, provider, event_id)

        is_new: bool = await self._written(lambda connection: mark(connection, provider, event_id, body))
        if is_new:
            with suppress(TimeoutError):
                await self._written(effect)
        return is_new

    replace(Ledger, "take_webhook", take_webhook)
