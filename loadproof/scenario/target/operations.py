"""The operations of a target, in its own terms: a target file's `endpoints:`, or the reference API's."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints

from loadproof.scenario.strict import Strict

DEFAULT_SECRET_VARIABLE: Final = "WEBHOOK_SECRET"  # noqa: S105 - the variable's name
SIGNATURE_HEADERS: Final = {
    "standard": ("webhook-id", "webhook-timestamp", "webhook-signature"),
    "stripe": ("Stripe-Signature",),
    "telegram": ("X-Telegram-Bot-Api-Secret-Token",),
    "none": (),
}
FALSE_DELIVERIES: Final = {
    "standard": ("forged", "stale", "unsigned", "blank", "downgraded", "altered", "renamed", "replayed"),
    "stripe": ("forged", "stale", "unsigned", "blank", "downgraded", "altered", "replayed"),
    "telegram": ("forged", "unsigned", "blank"),
    "none": (),
}
"""Kinds of false deliveries that each signature scheme enables a receiver to refuse."""
_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")


def without_fragment(path: str) -> str:
    """The path; ValueError if it has a fragment."""
    if "#" in path:
        raise ValueError("a path with a fragment, which no client sends; remove what begins with '#', or write %23")
    return path


PathText = Annotated[str, StringConstraints(pattern=r"^/[!-~]*$", max_length=500), AfterValidator(without_fragment)]
"""Below the base URL; `{account}` and `{id}` are filled in."""
FieldPath = Annotated[str, StringConstraints(pattern=r"^[^.\s]+(\.[^.\s]+)*$", max_length=200)]
"""A field of a JSON object, with dots between levels: data.balance.amount."""
HeaderName = Annotated[str, StringConstraints(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,80}$")]
VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=80)]
Method = Literal["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"]
Status = Annotated[int, Field(ge=200, le=599)]


class Operation(Strict):
    """One kind of request in the target's terms."""

    placeholders: ClassVar[tuple[str, ...]] = ()
    has_one_placeholder: ClassVar[bool] = False
    """The path needs exactly one of `placeholders`, whichever; otherwise all of them."""
    sends: ClassVar[tuple[str, ...]] = ()
    """loadproof's names for the fields of the request's body."""
    adds: ClassVar[tuple[str, ...]] = ()
    """Fields of the request's body that have the same name everywhere."""
    tells: ClassVar[tuple[str, ...]] = ()
    """loadproof's names for the fields of the answer."""

    method: Method = "GET"
    path: PathText
    expect: Status | Annotated[list[Status], Field(min_length=1)] = Field(
        200, description="Expected status, or several of them."
    )
    body: dict[str, FieldPath] = Field(
        default={}, description="Fields of the request whose names differ: loadproof's name and your API's."
    )
    constants: dict[FieldPath, Any] = Field(default={}, description="Fields that have the same value in every request.")
    answer: dict[str, FieldPath | None] = Field(
        default={},
        description="Fields of the response whose names differ: loadproof's name and your API's; null if it has none.",
    )

    follow_redirects: bool = Field(default=False, description="Only to the same host; the last response counts.")

    @property
    def has_its_placeholders(self) -> bool:
        """Whether its path has the placeholders that it needs, and no others."""
        placeholders = _PLACEHOLDER.findall(self.path)
        if self.has_one_placeholder:
            return len(placeholders) == 1 and placeholders[0] in self.placeholders
        return sorted(placeholders) == sorted(self.placeholders)

    @functools.cached_property
    def statuses(self) -> frozenset[int]:
        return frozenset([self.expect] if isinstance(self.expect, int) else self.expect)

    @functools.cached_property
    def answer_keys(self) -> dict[str, tuple[str, ...] | None]:
        """Fields that the answer names differently, by loadproof's name: the keys that lead there, level by level.

        None if the answer doesn't have it.
        """
        return {word: tuple(path.split(".")) if path else None for word, path in self.answer.items()}


class HealthOperation(Operation):
    tells = ("status",)

    path: PathText = "/health"
    alive: str | int | bool = Field("ok", description="The value of the field `status` when the service is alive.")


class BalanceOperation(Operation):
    placeholders = ("account",)
    tells = ("account", "balance")

    path: PathText = "/balance/{account}"
    may_change: bool = Field(default=False, description="Others also move money to or from these accounts.")


class PaymentOperation(Operation):
    sends = ("debit", "credit", "amount", "currency")
    tells = ("id", "debit", "credit", "amount", "currency")

    method: Method = "POST"
    path: PathText = "/transactions"
    expect: Status | Annotated[list[Status], Field(min_length=1)] = 201
    idempotency_key: HeaderName | None = Field(
        "Idempotency-Key", description="The header with the idempotency key; null: none."
    )
    location: bool = Field(default=True, description="The response's Location ends with the payment's id.")
    amounts: Literal["minor", "decimal"] = Field("minor", description="How amounts are written: 1234 or '12.34'.")
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] = "EUR"


class PaymentReadOperation(Operation):
    placeholders = ("id",)
    tells = PaymentOperation.tells

    path: PathText = "/transactions/{id}"


class WebhookOperation(Operation):
    adds = ("id", "type", "timestamp", "data", "update_id")
    tells = ("duplicate",)

    method: Method = "POST"
    path: PathText = "/webhooks/standard"
    expect: Status | Annotated[list[Status], Field(min_length=1)] = Field([200, 202])
    signature: Literal["standard", "stripe", "telegram", "none"] = Field(
        "standard",
        description="How webhooks are signed: by Standard Webhooks, Stripe's way, Telegram's secret token, or none.",
    )
    secret: VariableName = Field(
        DEFAULT_SECRET_VARIABLE, description="The environment variable that holds the signing key."
    )


Items = Annotated[
    FieldPath | None,
    Field(description="The field of the response that holds the list; null: the response is the list."),
]


class PaymentsOperation(Operation):
    placeholders = ("account", "key")
    has_one_placeholder = True
    tells = ("id", "key", "debit", "credit", "amount", "currency")
    """Of each payment; all except debit, credit and amount may be missing."""

    items: Items = "payments"


class SnapshotOperation(Operation):
    tells = ("account", "balance")
    """Of each account."""

    items: Items = "accounts"


class EffectsOperation(Operation):
    placeholders = ("event",)
    tells = ("effects",)
    """A number, or a list of effects; a 404 means that there are none."""


class Endpoints(Strict):
    """The operations behind each kind of traffic; anything left out is as in the reference API.

    Operations that only audits use exist only if they are declared.
    """

    health: HealthOperation = HealthOperation()
    balance: BalanceOperation = BalanceOperation()
    transactions: PaymentOperation = PaymentOperation()
    transaction: PaymentReadOperation | None = Field(
        PaymentReadOperation(), description="Reads a payment back; null: your API has no such endpoint."
    )
    webhooks: WebhookOperation = WebhookOperation()
    payments: PaymentsOperation | None = Field(
        None, description="Lists all payments of an {account}, or all under a {key}, in one response."
    )
    snapshot: SnapshotOperation | None = Field(None, description="Reads the balances of all accounts at one moment.")
    effects: EffectsOperation | None = Field(None, description="Shows how many effects a webhook's {event} has had.")

    def operations(self) -> Iterator[tuple[str, Operation]]:
        """The existing operations, by name."""
        for name in type(self).model_fields:
            operation = getattr(self, name)
            if operation is not None:
                yield name, operation
