"""A webhook's id and body to its signed headers.

Source: Standard Webhooks specification 1.0, 'Signature scheme'.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time


def new_secret() -> str:
    """A fresh key for one run, in the specification's form."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()


def standard_webhook_headers(event_id: str, body: bytes, secret: str) -> dict[str, str]:
    """Headers that sign `id.timestamp.body` with HMAC-SHA256; `secret` is whsec_ and the key in base64."""
    timestamp = str(int(time.time()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signature = hmac.digest(key, b".".join((event_id.encode(), timestamp.encode(), body)), hashlib.sha256)
    return {
        "Content-Type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
    }
