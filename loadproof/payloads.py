"""A seed to a pool of payloads, made before the load starts: Faker takes 0.2 ms for three fields."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from faker import Faker

_POOL_SIZE: Final = 256
CURRENCY: Final = "EUR"


@dataclass(frozen=True)
class Payment:
    amount: int
    """Minor units."""
    description: str


@dataclass(frozen=True)
class PayloadPool:
    payments: tuple[Payment, ...]
    webhook_bodies: tuple[bytes, ...]


def make_payloads(seed: int, size: int = _POOL_SIZE) -> PayloadPool:
    """`size` payments and webhook bodies, the same for the same seed."""
    fake = Faker("en_GB")
    fake.seed_instance(seed)
    payments = tuple(Payment(fake.random_int(1, 500), fake.bs()) for _ in range(size))
    bodies = tuple(
        json.dumps(
            {
                "type": "payment.settled",
                "timestamp": fake.iso8601(),
                "data": {"amount": fake.random_int(1, 100_000), "currency": CURRENCY, "payer": fake.name()},
            }
        ).encode()
        for _ in range(size)
    )
    return PayloadPool(payments, bodies)


def encode_json(value: object) -> bytes:
    """Compact JSON, ready to send."""
    return json.dumps(value, separators=(",", ":")).encode()
