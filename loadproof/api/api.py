"""Turns what users want to do into requests in the target's own terms: a call for each of its operations."""

from __future__ import annotations

import copy
import re
import string
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from loadproof.api.bodies import encoded_body
from loadproof.api.calls import Call
from loadproof.api.payloads import encode_json
from loadproof.api.signing import SIGNATURES
from loadproof.http.headers import FixedHeaders, check_sendable, merged
from loadproof.http.messages import Request
from loadproof.scenario.target.auth import fixed_headers
from loadproof.scenario.target.headers import resolved_headers
from loadproof.scenario.target.operations import Operation, without_fragment
from loadproof.scenario.traffic.usermix import EVADES, USER_AGENT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loadproof.api.bodies import File, Form
    from loadproof.api.calls import Find, Reply
    from loadproof.scenario.target.auth import Auth
    from loadproof.scenario.target.operations import Endpoints

_JSON: Final = {"Content-Type": "application/json"}
_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")
_MINOR_UNITS: Final = 100
_UPDATE_ID_DIGITS: Final = 13
"""Hexadecimal digits: as many bits as every JSON parser keeps in a number.

With half as many, ids repeat within a long run.
"""
_OURS: Final = frozenset(
    {"key", "payment", "debit", "credit", "amount", "account", "balance", "event", "duplicate"}
    | {"rate_limit", "rate_limit_policy", "answer_date", USER_AGENT, EVADES}
)
"""What is noted about our own operations, and taken by audits for what it says."""
_AS_WRITTEN: Final = string.punctuation
"""Characters that a path may contain unescaped, including the '%' of what is already escaped."""


def update_id_of(event_id: str) -> int:
    """The event's id as a Telegram update."""
    return int(event_id.rpartition("_")[2][-_UPDATE_ID_DIGITS:], 16)


class Api:
    """The target's operations. `headers` may name environment variables; `webhook_secret` is the key itself."""

    def __init__(
        self, endpoints: Endpoints, *, headers: dict[str, str], webhook_secret: str, auth: Auth | None = None
    ) -> None:
        self._endpoints = endpoints
        self.headers: Mapping[str, str] = FixedHeaders(resolved_headers(headers) | fixed_headers(auth))
        """Sent with each request of each user, including secrets."""
        self._webhook_secret = webhook_secret
        finds_amount = _find("amount") if endpoints.transactions.amounts == "minor" else _minor_amount
        self._finds_paid = {**_FINDS_PAID, "amount": finds_amount}

    @property
    def can_read_payments(self) -> bool:
        return self._endpoints.transaction is not None

    @property
    def balances_may_change(self) -> bool:
        """Whether others move money to or from these accounts, too."""
        return self._endpoints.balance.may_change

    @property
    def has_location(self) -> bool:
        return self._endpoints.transactions.location

    @property
    def alive(self) -> str | int | bool:
        return self._endpoints.health.alive

    def call(
        self,
        method: str,
        path: str,
        *,
        name: str = "",
        expect: int | list[int] = 200,
        query: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        body: object = None,
        form: Form | None = None,
        files: Mapping[str, File] | None = None,
        note: Mapping[str, Any] | None = None,
    ) -> Call:
        """Any request, for users that you write; ValueError if it can't be sent, as with a fragment or a line break.

        `name` is its name in thresholds and tables, `expect` the expected status or statuses. `body` is sent as JSON
        exactly as given, bytes as they are, and None means no body; `form` is sent as an HTML form, together with
        `files` as an upload. `headers` are sent in addition to the target file's.

        `note` is added to its row in the journal, under keys of your choice: values, or functions that find them in
        the reply.
        """
        if taken := sorted(_OURS.intersection(map(str, note or {}))):
            raise ValueError(f"note: audits read {', '.join(taken)} as loadproof's own; choose other keys")
        if query:
            path = f"{path}{'&' if '?' in path else '?'}{urlencode(query, doseq=True)}"
        written = quote(without_fragment(path), safe=_AS_WRITTEN)
        operation = Operation.model_validate({"method": method, "path": written, "expect": expect})
        content, content_type = encoded_body(body, form, files)
        if headers:
            _check(headers)
        own = merged(content_type, self.headers, headers or {})
        values = {str(word): value for word, value in (note or {}).items() if not callable(value)}
        finds = {str(word): find for word, find in (note or {}).items() if callable(find)}
        request = Request(operation.method, operation.path, headers=FixedHeaders(own), body=content)
        return Call(operation, request, name, note=values, finds=finds)

    def ask_health(self) -> Call:
        return self._call(self._endpoints.health)

    def read_balance(self, account: str, *, name: str = "") -> Call:
        """`name` is as in `call`, if its user sends several requests; the same for the other operations."""
        path = {"account": account}
        return self._call(self._endpoints.balance, path=path, note=path, finds=_FINDS_BALANCE, name=name)

    def pay(self, *, debit: str, credit: str, amount: int, key: str, name: str = "") -> Call:
        """An order for `amount` minor units, which counts once however often it is sent with this key."""
        operation = self._endpoints.transactions
        sent = {
            "debit": debit,
            "credit": credit,
            "amount": amount if operation.amounts == "minor" else f"{Decimal(amount) / _MINOR_UNITS:.2f}",
            "currency": operation.currency,
        }
        headers = {operation.idempotency_key: key} if operation.idempotency_key else {}
        _check(headers)
        return self._call(
            operation,
            body=encode_json(body_fields(operation, sent)),
            sent=sent,
            headers=headers,
            repeatable=bool(operation.idempotency_key),
            note={**({"key": key} if headers else {}), **sent, "amount": amount},
            finds=_FINDS_PAYMENT,
            name=name,
        )

    def read_payment(self, payment_id: str, *, name: str = "") -> Call:
        operation = self._endpoints.transaction
        assert operation is not None  # noqa: S101 - users ask can_read_payments first
        path, note = {"id": payment_id}, {"payment": payment_id}
        return self._call(operation, path=path, note=note, finds=self._finds_paid, name=name)

    def deliver(self, event_id: str, event: Mapping[str, Any]) -> Call:
        """A provider's delivery of an event; the same id is the same event."""
        operation = self._endpoints.webhooks
        identity: dict[str, Any] = {"id": event_id}
        if operation.signature == "telegram":
            identity["update_id"] = update_id_of(event_id)
        body = encode_json(body_fields(operation, identity | dict(event)))
        return self._delivery(event_id, body, SIGNATURES[operation.signature](event_id, body, self._webhook_secret))

    def _delivery(self, event_id: str, body: bytes, signature: Mapping[str, str]) -> Call:
        operation = self._endpoints.webhooks
        headers = FixedHeaders(merged(_JSON, self.headers, signature))
        # A second delivery has the same id and counts once.
        request = Request(
            operation.method,
            operation.path,
            headers=headers,
            body=body,
            repeatable=True,
            follow_redirects=operation.follow_redirects,
        )
        return Call(operation, request, note={"event": event_id}, finds=_FINDS_DUPLICATE)

    def _call(
        self,
        operation: Operation,
        *,
        path: Mapping[str, str] | None = None,
        body: bytes | None = None,
        sent: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool | None = None,
        note: Mapping[str, Any] | None = None,
        finds: Mapping[str, Find] | None = None,
        name: str = "",
    ) -> Call:
        filled = operation.path
        if path is not None:
            filled = _PLACEHOLDER.sub(lambda match: quote(path[match[1]], safe=""), filled)
        if body is None:
            body = encode_json(body_fields(operation, {})) if operation.constants else b""
        request = Request(
            operation.method,
            filled,
            headers=FixedHeaders(merged(_JSON if body else {}, self.headers, headers or {})),
            body=body,
            repeatable=repeatable,
            follow_redirects=operation.follow_redirects,
        )
        return Call(operation, request, name, sent=sent or {}, note=note, finds=finds)


def _check(headers: Mapping[str, object]) -> None:
    """Checked before there is a call: found only when it is sent, it would be reported as a failed request."""
    check_sendable({name: str(value) for name, value in headers.items()})


def _find(word: str) -> Find:
    return lambda reply: reply[word]


def _minor_amount(reply: Reply) -> int:
    return round(reply.number("amount") * _MINOR_UNITS)


_FINDS_BALANCE: Final = {"balance": _find("balance")}
_FINDS_PAYMENT: Final = {"payment": _find("id")}
_FINDS_DUPLICATE: Final = {"duplicate": _find("duplicate")}
_FINDS_PAID: Final = {word: _find(word) for word in ("debit", "credit", "currency")}


def body_fields(operation: Operation, sent: Mapping[str, Any]) -> dict[str, Any]:
    """The fields under the target's names, nested where the target file's names contain dots."""
    # The file's constants are shared: what is filled in must not stay in them.
    fields = copy.deepcopy(operation.constants) if operation.constants else {}
    renamed = {operation.body[word]: value for word, value in sent.items() if word in operation.body}
    body: dict[str, Any] = {}
    for path, value in (fields | renamed).items():
        *parents, last = path.split(".")
        place = body
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return body | {word: value for word, value in sent.items() if word not in operation.body}
