"""What audits send and read, in the target's terms."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from loadproof.api.audits import AuditApi, effects_in
from loadproof.api.calls import Reply
from loadproof.api.signing import new_webhook_secret, standard_headers
from loadproof.http.answers import Answer
from loadproof.scenario.target.operations import FALSE_DELIVERIES, Endpoints, Operation

SECRET = new_webhook_secret()
EVENT = {"type": "payment.settled", "data": {"amount": 5}}
NAME = "evt_00000000000000000000000000000abc"


def api(**endpoints: Any) -> AuditApi:
    return AuditApi(Endpoints.model_validate(endpoints), headers={}, webhook_secret=SECRET)


def reply(operation: Operation | None, content: object, status: int = 200) -> Reply:
    assert operation is not None
    return Reply(Answer(status, {}, json.dumps(content).encode()), operation)


def test_lists_are_read_wherever_they_are_and_whatever_their_fields_are_named():
    """Amounts are minor units; ids and keys may be missing, amounts may not."""
    found = api(
        transactions={"amounts": "decimal"},
        payments={"path": "/of/{key}", "items": "data.rows", "answer": {"id": "ref", "amount": "value.sum"}},
    )
    assert found.list_payments("k 1").request.path == "/of/k%201"
    row = {"ref": 7, "debit": "a", "credit": "b", "value": {"sum": "12.30"}}
    read = found.payments_in(reply(found.payments, {"data": {"rows": [row]}}))
    assert read == [{"payment": "7", "debit": "a", "credit": "b", "amount": 1230}]
    for wrong in ({"data": {}}, {"data": {"rows": {}}}, {"data": {"rows": [{**row, "value": {}}]}}):
        with pytest.raises((LookupError, TypeError, ValueError)):
            found.payments_in(reply(found.payments, wrong))


@pytest.mark.parametrize("amount", [True, "many", 1.5, None])
def test_a_balance_must_be_a_whole_number_of_minor_units(amount):
    """It is not rounded."""
    found = api(snapshot={"path": "/all"})
    operation = found.read_snapshot().operation
    good = {"accounts": [{"account": "a", "balance": 5}]}
    assert found.balances_in(reply(operation, good)) == {"a": 5}
    with pytest.raises((ArithmeticError, TypeError, ValueError)):
        found.balances_in(reply(operation, {"accounts": [{"account": "a", "balance": amount}]}))


def test_effects_are_a_number_or_a_list_or_missing():
    """A 404 means that there are none."""
    operation = api(effects={"path": "/effects/{event}"}).read_effects(NAME).operation
    answers = [({"effects": 2}, 200), ({"effects": ["x"]}, 200), ({}, 404)]
    assert [effects_in(reply(operation, content, status)) for content, status in answers] == [2, 1, 0]


def test_telegram_events_are_looked_up_by_their_update_id():
    """The id that Telegram bots know."""
    found = api(effects={"path": "/effects/{event}"}, webhooks={"signature": "telegram"})
    assert found.read_effects(NAME).request.path == f"/effects/{0xABC}"


@pytest.mark.parametrize("signature", FALSE_DELIVERIES)
def test_false_deliveries_differ_from_the_right_one_in_their_proof(signature):
    """Other forms of the same event don't."""
    found = api(webhooks={"signature": signature})
    right = found.deliver_as("pair", NAME, EVENT).request
    for how in set(FALSE_DELIVERIES[signature]) - {"replayed"}:
        false = found.deliver_as(how, NAME, EVENT).request
        assert (false.body == right.body) == (how != "renamed")
        assert false.headers != right.headers
    form = found.deliver_as("other-form", NAME, EVENT).request
    assert (form.body != right.body, json.loads(form.body)) == (True, json.loads(right.body))
    bodies = {found.deliver_as("same-body", event, EVENT).request.body for event in (NAME, NAME[:-1] + "d")}
    assert len(bodies) == 1


@pytest.mark.parametrize(("signature", "is_body_same"), [("standard", True), ("stripe", False)])
def test_a_captured_signature_is_replayed_with_another_id(signature, is_body_same):
    """If the id is in a header, only that header differs."""
    found, second = api(webhooks={"signature": signature}), NAME[:-1] + "d"
    captured = found.deliver_for_replay(NAME, EVENT)
    again = found.replay(captured, second, EVENT)
    differing = {name for name, text in again.request.headers.items() if captured.request.headers[name] != text}
    assert differing == ({"webhook-id"} if is_body_same else set())
    assert (again.request.body == captured.request.body) == is_body_same
    assert second in f"{again.request.headers}{again.request.body!r}"
    assert "replayed" in FALSE_DELIVERIES[signature]


PROOFS = {"standard": "webhook-signature", "stripe": "Stripe-Signature", "telegram": "X-Telegram-Bot-Api-Secret-Token"}


@pytest.mark.parametrize(
    ("signature", "how", "proof"),
    [
        ("standard", "blank", r"v1,"),
        ("stripe", "blank", r"t=\d+,v1="),
        ("telegram", "blank", r""),
        ("standard", "downgraded", r"v0,.{44}"),
        ("stripe", "downgraded", r"t=\d+,v0=[0-9a-f]{64}"),
    ],
)
def test_a_signature_can_be_empty_or_of_an_invalid_version(signature, how, proof):
    """A comparison that stops at the end of the shorter signature accepts an empty one."""
    headers = api(webhooks={"signature": signature}).deliver_as(how, NAME, EVENT).request.headers
    assert re.fullmatch(proof, headers[PROOFS[signature]])


@pytest.mark.parametrize("how", ["altered", "renamed"])
def test_a_valid_signature_can_be_for_another_event(how):
    """It proves nothing about this event's body, or its id."""
    found = api()
    false = found.deliver_as(how, NAME, EVENT).request
    another, other_body = NAME[:-1] + "d", found.deliver(NAME[:-1] + "d", EVENT).request.body
    assert false.headers["webhook-id"] == NAME
    signed_id, signed_body = (NAME, other_body) if how == "altered" else (another, false.body)
    signed_s = float(false.headers["webhook-timestamp"])
    right = standard_headers(signed_id, signed_body, SECRET, signed_s)
    assert false.headers["webhook-signature"] == right["webhook-signature"]
