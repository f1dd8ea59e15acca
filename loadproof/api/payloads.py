"""Turns a seed into a pool of payloads, created before the load starts: Faker takes 0.2 ms for three fields."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson

_POOL_SIZE: Final = 256
_CURRENCY: Final = "EUR"
_NEWEST: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""Without an end date Faker uses the present moment, and two runs with the same seed would send different payloads."""


@dataclass(frozen=True)
class Payment:
    """What a payment says besides who pays whom."""

    amount: int
    """Minor units."""
    description: str


@dataclass(frozen=True)
class PayloadPool:
    """Equally many payments and events; users choose among them."""

    payments: tuple[Payment, ...]
    events: tuple[dict[str, Any], ...]
    """What webhooks report, without their ids."""


def make_payloads(seed: int, size: int = _POOL_SIZE) -> PayloadPool:
    """`size` payments and events, the same for the same seed."""
    # It takes a tenth of a second to import: only processes that send pay for it.
    from faker import Faker

    fake = Faker("en_GB")
    fake.seed_instance(seed)
    payments = tuple(Payment(fake.random_int(1, 500), fake.bs()) for _ in range(size))
    events: tuple[dict[str, Any], ...] = tuple(
        {
            "type": "payment.settled",
            "timestamp": fake.iso8601(end_datetime=_NEWEST),
            "data": {"amount": fake.random_int(1, 100_000), "currency": _CURRENCY, "payer": fake.name()},
        }
        for _ in range(size)
    )
    return PayloadPool(payments, events)


def encode_json(value: object) -> bytes:
    """Compact JSON, ready to send."""
    try:
        return orjson.dumps(value)
    except TypeError:
        # Numbers beyond 64 bits, for example, in a target file's constants.
        return json.dumps(value, separators=(",", ":")).encode()
