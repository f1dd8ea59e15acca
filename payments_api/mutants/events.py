"""Webhook receivers that confuse two events, mark an event without applying it, or trust a replayed signature."""

from __future__ import annotations

import hashlib
import itertools
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING

from payments_api import app, ledger
from payments_api.ledger import Ledger
from payments_api.mutants.mutant import Replace, mutant
from payments_api.webhooks import PROVIDERS, have_effect, mark, standard_event_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from payments_api.settings import Settings


@mutant(14)
def webhook_by_body(replace: Replace) -> None:
    """Two events with equal bodies count as one, and one in two spellings as two: a hash of the body is the id."""

    def take_once(connection: sqlite3.Connection, provider: str, event_id: str, body: bytes) -> bool:
        is_new = mark(connection, provider, hashlib.sha256(body).hexdigest(), body)
        if is_new:
            have_effect(connection, provider, event_id)
        return is_new

    replace(ledger, "take_once", take_once)


@mutant(14, number=100)
def webhook_marked_first(replace: Replace, every: int) -> None:
    """One event in 100 is accepted without effect: it is marked as done, then fails, and isn't delivered again."""
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


@mutant(14)
def webhook_signature_remembered(replace: Replace) -> None:
    """Anyone who has seen one delivery can send any event: a signature that was valid once is accepted again."""
    right: set[str] = set()

    def event_id_of(headers: Mapping[str, str], body: bytes, settings: Settings) -> str:
        if headers.get("webhook-signature") in right:
            return headers["webhook-id"]
        event_id = standard_event_id(headers, body, settings)
        right.add(headers["webhook-signature"])
        return event_id

    replace(app, "PROVIDERS", {**PROVIDERS, "standard": event_id_of})
