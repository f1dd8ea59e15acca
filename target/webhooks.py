"""A delivery's headers and raw body to a checked event id.

Source: Standard Webhooks specification 1.0, 'Verifying webhook authenticity'.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from typing import TYPE_CHECKING, Final

from target.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

PROVIDERS: Final = frozenset({"standard"})
_TOLERANCE_S: Final = 300


def verified_event_id(headers: Mapping[str, str], body: bytes, secret: str) -> str:
    """The event's id, when the signature is ours and the timestamp within five minutes; Problem 400 or 401."""
    try:
        event_id, timestamp = headers["webhook-id"], headers["webhook-timestamp"]
        signatures = headers["webhook-signature"].split(" ")
    except KeyError as error:
        raise Problem(400, "missing-header", f"The header {error.args[0]} is missing.") from None
    if not timestamp.isdecimal() or abs(time.time() - int(timestamp[:12])) > _TOLERANCE_S:
        raise Problem(401, "stale-webhook", "The timestamp is not within five minutes of now.")
    key = base64.b64decode(secret.removeprefix("whsec_"))
    wanted = hmac.digest(key, b".".join((event_id.encode(), timestamp.encode(), body)), hashlib.sha256)
    if not any(hmac.compare_digest(wanted, _decoded(signature)) for signature in signatures):
        raise Problem(401, "forged-webhook", "No signature matches.")
    return event_id


def _decoded(signature: str) -> bytes:
    version, _, text = signature.partition(",")
    try:
        return base64.b64decode(text, validate=True) if version == "v1" else b""
    except (binascii.Error, ValueError):
        return b""
