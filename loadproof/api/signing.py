"""Turns an event's id and raw body into the headers that prove who sent it, in each provider's way."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import time
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

_PROOF: Final = re.compile(r"v1([,=]).+")


def new_webhook_secret() -> str:
    """A fresh key for one run, in the form of Standard Webhooks."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()


DEVELOPMENT_SECRET: Final = "whsec_bG9hZHByb29mLWRldmVsb3BtZW50LWtleQ=="  # noqa: S105 - public, and the target's default


class Sign(Protocol):
    """The headers for an event's id, a body and a secret, as of now or of another Unix time."""

    def __call__(self, event_id: str, body: bytes, secret: str, at_s: float | None = None, /) -> dict[str, str]: ...


def standard_headers(event_id: str, body: bytes, secret: str, at_s: float | None = None, /) -> dict[str, str]:
    """HMAC-SHA256 over `id.timestamp.body`; `secret` is whsec_ followed by the key in base64.

    Source: Standard Webhooks specification 1.0, 'Signature scheme'.
    """
    timestamp = str(int(time.time() if at_s is None else at_s))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signature = hmac.digest(key, b".".join((event_id.encode(), timestamp.encode(), body)), hashlib.sha256)
    return {
        "webhook-id": event_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
    }


def stripe_headers(_event_id: str, body: bytes, secret: str, at_s: float | None = None, /) -> dict[str, str]:
    """HMAC-SHA256 over `timestamp.body`; the key is the secret as it is written.

    Source: https://docs.stripe.com/webhooks, 'Verify webhook signatures manually'.
    """
    timestamp = str(int(time.time() if at_s is None else at_s))
    signature = hmac.new(secret.encode(), b".".join((timestamp.encode(), body)), hashlib.sha256).hexdigest()
    return {"Stripe-Signature": f"t={timestamp},v1={signature}"}


def telegram_headers(_event_id: str, _body: bytes, secret: str, _at_s: float | None = None, /) -> dict[str, str]:
    """The secret itself. Source: https://core.telegram.org/bots/api#setwebhook."""
    return {"X-Telegram-Bot-Api-Secret-Token": secret}


def no_headers(_event_id: str, _body: bytes, _secret: str, _at_s: float | None = None, /) -> dict[str, str]:
    """For unsigned webhooks."""
    return {}


SIGNATURES: Final[dict[str, Sign]] = {
    "standard": standard_headers,
    "stripe": stripe_headers,
    "telegram": telegram_headers,
    "none": no_headers,
}


def blanked(headers: Mapping[str, str]) -> dict[str, str]:
    """The same headers with the proof left out; the whole value if there is nothing else in it."""
    without = {name: _PROOF.sub(r"v1\1", text) for name, text in headers.items()}
    return without if without != headers else dict.fromkeys(headers, "")


def downgraded(headers: Mapping[str, str]) -> dict[str, str]:
    """The same headers, as if signed with a scheme that no receiver should accept.

    Source: https://docs.stripe.com/webhooks: 'to prevent downgrade attacks, ignore all schemes that aren't v1'.
    """
    return {name: _PROOF.sub(lambda proof: f"v0{proof[0][2:]}", text) for name, text in headers.items()}
