"""The operations that only audits use, and readers of the target's answers to them, in the journal's terms.

Readers raise LookupError, TypeError, ValueError or ArithmeticError if an answer is not as the target file says.
"""

from __future__ import annotations

import json
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal

from loadproof.api.api import Api, body_fields, update_id_of
from loadproof.api.payloads import encode_json
from loadproof.api.signing import SIGNATURES, blanked, downgraded, new_webhook_secret
from loadproof.scenario.target.operations import SIGNATURE_HEADERS, PaymentsOperation, SnapshotOperation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from loadproof.api.calls import Call, Reply
    from loadproof.scenario.target.operations import Operation

How = Literal[
    "pair",
    "again",
    "other-form",
    "same-body",
    "forged",
    "stale",
    "unsigned",
    "blank",
    "downgraded",
    "altered",
    "renamed",
    "replayed",
]
_MINOR_UNITS: Final = 100
_LONG_AGO_S: Final = 3600.0
"""Older than any receiver should accept: Standard Webhooks and Stripe allow five minutes."""
_NAMES: Final = {"id": "payment"}
"""The journal's names for loadproof's fields, where they differ."""
_OPTIONAL: Final = frozenset({"id", "key", "currency"})


class AuditApi(Api):
    """The target's operations, including those that only audits use; a target file may leave those out."""

    @property
    def payments(self) -> PaymentsOperation | None:
        return self._endpoints.payments

    @property
    def has_snapshot(self) -> bool:
        return self._endpoints.snapshot is not None

    @property
    def has_effects(self) -> bool:
        return self._endpoints.effects is not None

    @property
    def signature(self) -> str:
        return self._endpoints.webhooks.signature

    @property
    def has_keys(self) -> bool:
        return self._endpoints.transactions.idempotency_key is not None

    def list_payments(self, of: str) -> Call:
        """Payments of an account, or under a key, whichever the operation takes."""
        assert self.payments is not None  # noqa: S101 - callers have checked
        return self._call(self.payments, path=dict.fromkeys(self.payments.placeholders, of))

    def read_snapshot(self) -> Call:
        assert self._endpoints.snapshot is not None  # noqa: S101 - as above
        return self._call(self._endpoints.snapshot)

    def read_effects(self, event_id: str) -> Call:
        assert self._endpoints.effects is not None  # noqa: S101 - as above
        known_as = str(update_id_of(event_id)) if self.signature == "telegram" else event_id
        return self._call(self._endpoints.effects, path={"event": known_as})

    def deliver_as(self, how: How, event_id: str, event: Mapping[str, Any]) -> Call:
        """A delivery that is right, or is altered in the way that an audit needs.

        `other-form`: the same JSON in other bytes. `same-body`: without the id in it, so that two events can have the
        same bytes. `forged`: signed by somebody else; `stale`: an hour ago; `unsigned`: not at all.
        """
        right = self.deliver(event_id, event)
        body = right.request.body
        if how == "other-form":
            body = json.dumps(json.loads(body), indent=1).encode()
        elif how in {"same-body", "renamed"}:
            body = encode_json(body_fields(self._endpoints.webhooks, event))
        return self._delivery(event_id, body, self._proof(how, event_id, body, event))

    def deliver_for_replay(self, event_id: str, event: Mapping[str, Any]) -> Call:
        """A right delivery that is as much the same for every event as the signature allows."""
        return self.deliver_as("same-body" if self.signature == "standard" else "pair", event_id, event)

    def replay(self, captured: Call, event_id: str, event: Mapping[str, Any]) -> Call:
        """Another event with the captured delivery's own signature and timestamp: only its id is new."""
        own = self.deliver_for_replay(event_id, event).request
        names = SIGNATURE_HEADERS[self.signature]
        proof = {name: captured.request.headers[name] for name in names if own.headers[name] != event_id}
        return self._delivery(event_id, own.body, {**own.headers, **proof})

    def _proof(self, how: How, event_id: str, body: bytes, event: Mapping[str, Any]) -> dict[str, str]:
        """Headers with the signature, right or wrong in one way."""
        if how == "unsigned":
            return {}
        sign, another = SIGNATURES[self.signature], f"{event_id[:-1]}{(int(event_id[-1], 16) + 1) % 16:x}"
        if how == "altered":
            # The id is in the body, so another event's is signed.
            return sign(event_id, self.deliver(another, event).request.body, self._webhook_secret)
        if how == "renamed":
            own = sign(event_id, body, self._webhook_secret)
            signed = sign(another, body, self._webhook_secret)
            return {name: own[name] if own[name] == event_id else text for name, text in signed.items()}
        secret = new_webhook_secret() if how in {"forged", "downgraded"} else self._webhook_secret
        headers = sign(event_id, body, secret, time.time() - _LONG_AGO_S if how == "stale" else None)
        changed = {"blank": blanked, "downgraded": downgraded}.get(how)
        return changed(headers) if changed else headers

    def payment_in(self, reply: Reply) -> dict[str, Any]:
        return self._payment(reply.answer.json, reply.operation)

    def payments_in(self, reply: Reply) -> list[dict[str, Any]]:
        return [self._payment(item, reply.operation) for item in _items(reply)]

    def balance_in(self, reply: Reply) -> int:
        return self._minor(reply["balance"])

    def balances_in(self, reply: Reply) -> dict[str, int]:
        return {
            str(_field(item, reply.operation, "account")): self._minor(_field(item, reply.operation, "balance"))
            for item in _items(reply)
        }

    def _payment(self, content: Any, operation: Operation) -> dict[str, Any]:
        """Its fields in the journal's terms, as far as it has them."""
        words: dict[str, Any] = {}
        for word in operation.tells:
            try:
                value = _field(content, operation, word)
            except (LookupError, TypeError):
                if word not in _OPTIONAL or word in operation.answer:
                    raise
                continue
            if value is not None:
                words[_NAMES.get(word, word)] = self._minor(value) if word == "amount" else str(value)
        return words

    def _minor(self, amount: Any) -> int:
        """In minor units; ValueError, TypeError or ArithmeticError unless it is a whole number of them."""
        if isinstance(amount, bool):
            raise TypeError(amount)
        number = Decimal(str(amount)) * (1 if self._endpoints.transactions.amounts == "minor" else _MINOR_UNITS)
        if number != int(number):
            raise ValueError(amount)
        return int(number)


def effects_in(reply: Reply) -> int:
    """The number of an event's effects; a 404 means that there are none."""
    if reply.answer.status == 404:
        return 0
    effects = reply["effects"]
    return len(effects) if isinstance(effects, list) else int(effects)


def _items(reply: Reply) -> Iterator[Any]:
    """The list in an answer; ValueError if there is none."""
    operation = reply.operation
    assert isinstance(operation, (PaymentsOperation, SnapshotOperation))  # noqa: S101 - the two that have lists
    content = reply.answer.json
    for key in operation.items.split(".") if operation.items else ():
        content = content[key]
    if not isinstance(content, list):
        raise ValueError("no list")  # noqa: TRY004 - of an answer, not of a caller
    yield from content


def _field(content: Any, operation: Operation, word: str) -> Any:
    """The field's value; None if the target file says that the answer doesn't have it."""
    keys = operation.answer_keys.get(word, (word,))
    if keys is None:
        return None
    for key in keys:
        content = content[int(key)] if isinstance(content, list) else content[key]
    return content
