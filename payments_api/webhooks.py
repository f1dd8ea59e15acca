"""Verifies a delivery's headers and raw body as its provider specifies, and applies each event once."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from typing import TYPE_CHECKING, Final

from payments_api.payments import now
from payments_api.problems import Problem

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping

    from payments_api.settings import Settings

_TOLERANCE_S: Final = 300


def standard_event_id(headers: Mapping[str, str], body: bytes, settings: Settings) -> str:
    """The event's id, if the signature is valid and the timestamp within five minutes; raises Problem 400 or 401.

    Source: Standard Webhooks specification 1.0, 'Verifying webhook authenticity'.
    """
    try:
        event_id, timestamp = headers["webhook-id"], headers["webhook-timestamp"]
        signatures = headers["webhook-signature"].split(" ")
    except KeyError as error:
        raise Problem(400, "missing-header", f"The header {error.args[0]} is missing.") from None
    if not timestamp.isdecimal() or abs(time.time() - int(timestamp[:12])) > _TOLERANCE_S:
        raise Problem(401, "stale-webhook", "The timestamp is not within five minutes of now.")
    key = base64.b64decode(settings.webhook_secret.removeprefix("whsec_"))
    wanted = hmac.digest(key, b".".join((event_id.encode(), timestamp.encode(), body)), hashlib.sha256)
    if not any(hmac.compare_digest(wanted, _decoded(signature)) for signature in signatures):
        raise Problem(401, "forged-webhook", "No signature matches.")
    return event_id


def telegram_event_id(headers: Mapping[str, str], body: bytes, settings: Settings) -> str:
    """The update's id, if the secret token matches; raises Problem 400 or 401 otherwise.

    Source: https://core.telegram.org/bots/api#setwebhook, parameter secret_token.
    """
    token = headers.get("x-telegram-bot-api-secret-token")
    if token is None:
        raise Problem(400, "missing-header", "The header x-telegram-bot-api-secret-token is missing.")
    if not hmac.compare_digest(token.encode(), settings.telegram_secret.encode()):
        raise Problem(401, "forged-webhook", "The secret token doesn't match.")
    try:
        update_id = json.loads(body)["update_id"]
    except (ValueError, KeyError, TypeError, RecursionError):
        update_id = None
    if not isinstance(update_id, int) or isinstance(update_id, bool):
        raise Problem(400, "missing-update-id", "The body is not a JSON object with an integer update_id.")
    return str(update_id)


def take_once(connection: sqlite3.Connection, provider: str, event_id: str, body: bytes) -> bool:
    """Mark the event and apply its effect within the caller's transaction: both or neither.

    False if the event was taken before, whatever its body was.
    """
    is_new = mark(connection, provider, event_id, body)
    if is_new:
        have_effect(connection, provider, event_id)
    return is_new


def mark(connection: sqlite3.Connection, provider: str, event_id: str, body: bytes) -> bool:
    """Record the event's id; False if it was recorded before."""
    marked = connection.execute(
        "INSERT OR IGNORE INTO webhook_events VALUES (?, ?, ?, ?)", (provider, event_id, now(), body)
    )
    return marked.rowcount == 1


def have_effect(connection: sqlite3.Connection, provider: str, event_id: str) -> None:
    connection.execute("INSERT INTO webhook_effects VALUES (?, ?, ?)", (provider, event_id, now()))


PROVIDERS: Final[dict[str, Callable[[Mapping[str, str], bytes, Settings], str]]] = {
    "standard": standard_event_id,
    "telegram": telegram_event_id,
}


def _decoded(signature: str) -> bytes:
    version, _, text = signature.partition(",")
    try:
        return base64.b64decode(text, validate=True) if version == "v1" else b""
    except (binascii.Error, ValueError):
        return b""
