"""Translates loadproof's terms into the target's and back."""

from __future__ import annotations

import email.policy
import hashlib
import hmac
import json
from decimal import Decimal
from urllib.parse import parse_qs

import pytest

from loadproof.api.api import Api
from loadproof.api.calls import Reply
from loadproof.http.connection import Answer
from loadproof.scenario.target.operations import Endpoints

THEIRS = {
    "balance": {
        "path": "/v1/accounts/{account}/funds?currency=EUR",
        "answer": {"account": None, "balance": "data.amounts.0.value"},
    },
    "transactions": {
        "method": "PUT",
        "path": "/v1/payments",
        "body": {"debit": "from.id", "credit": "to.id", "amount": "amount.value", "currency": "amount.unit"},
        "constants": {"amount.exact": True, "kind": "transfer"},
        "answer": {"id": "payment.ref", "debit": None, "credit": None, "amount": "payment.amount", "currency": None},
        "amounts": "decimal",
        "idempotency_key": None,
        "location": False,
    },
    "webhooks": {"path": "/hooks", "signature": "stripe", "secret": "STRIPE", "answer": {"duplicate": None}},
}


def api(**endpoints):
    return Api(Endpoints.model_validate(endpoints), headers={}, webhook_secret="whsec_secret")


def reply(operation, body, **headers):
    return Reply(Answer(200, headers, json.dumps(body).encode()), operation)


def test_the_reference_api_needs_no_mapping():
    """Paths, methods and fields as in its documentation."""
    call = api().pay(debit="a", credit="b", amount=5, key="k")
    assert (call.request.method, call.request.path) == ("POST", "/transactions")
    assert json.loads(call.request.body) == {"debit": "a", "credit": "b", "amount": 5, "currency": "EUR"}
    assert call.request.headers["Idempotency-Key"] == "k"
    assert api().read_balance("a").request.path == "/balance/a"
    assert api().read_payment("p").request.path == "/transactions/p"


def test_other_paths_methods_and_fields_can_be_mapped():
    """Nested where the names have dots; amounts as decimal text; with constants added."""
    call = api(**THEIRS).pay(debit="a", credit="b", amount=1205, key="k")
    assert (call.request.method, call.request.path) == ("PUT", "/v1/payments")
    assert json.loads(call.request.body) == {
        "from": {"id": "a"},
        "to": {"id": "b"},
        "amount": {"value": "12.05", "unit": "EUR", "exact": True},
        "kind": "transfer",
    }


@pytest.mark.parametrize(
    "body", [{"filter.status": "open", "a": None}, {"a": {"b.c": [1, {}]}}, {}, [], [{"x.y": 1}, 2], "text", 0, False]
)
def test_a_custom_body_is_sent_as_given(body):
    """As JSON: keys with dots, empty values, lists and plain values, too."""
    request = api().call("POST", "/search", body=body).request
    assert json.loads(request.body) == body
    assert request.headers["Content-Type"] == "application/json"


def test_bytes_are_sent_as_they_are():
    """Their content type is up to the caller."""
    request = api().call("PUT", "/raw", body=b"\x00<xml/>", headers={"Content-Type": "application/xml"}).request
    assert (request.body, request.headers["Content-Type"]) == (b"\x00<xml/>", "application/xml")
    assert "Content-Type" not in api().call("PUT", "/raw", body=b"x").request.headers


def test_a_form_is_sent_as_browsers_do():
    """With several values under one name, and characters that need escaping."""
    request = api().call("POST", "/login", form={"user": "a b&c", "role": ["x", "y"], "pw": "ü"}).request
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert parse_qs(request.body.decode()) == {"user": ["a b&c"], "role": ["x", "y"], "pw": ["ü"]}


def test_an_upload_has_files_and_fields():
    """Each part with its name; a file's type follows from its name unless given."""
    files = {"photo": ("a.png", b"\x89PNG"), "notes": ("n", b"hi", "text/markdown")}
    request = api().call("POST", "/photos", form={"title": "me", "tag": ["a", "b"]}, files=files).request
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    parts = email.message_from_bytes(head + request.body, policy=email.policy.HTTP).iter_parts()
    told = [
        (part.get_param("name", header="content-disposition"), part.get_filename(), part.get_content_type())
        for part in parts
    ]
    assert told == [
        ("title", None, "text/plain"),
        ("tag", None, "text/plain"),
        ("tag", None, "text/plain"),
        ("photo", "a.png", "image/png"),
        ("notes", "n", "text/markdown"),
    ]
    assert b"\x89PNG" in request.body


@pytest.mark.parametrize("other", [{"form": {}}, {"files": {}}])
def test_a_request_has_one_body(other):
    """With two, it would be unclear which one to send."""
    with pytest.raises(ValueError, match="one body"):
        api().call("POST", "/", body={}, **other)


def test_a_query_is_appended_and_headers_are_added_to_the_target_files():
    """A call's header replaces the file's of the same name, however it is spelled."""
    own = Api(Endpoints(), headers={"X-Team": "file", "X-Kept": "1"}, webhook_secret="")
    call = own.call("GET", "/items?a=1", name="items", query={"q": "x y", "tag": ["m", "n"]}, headers={"x-team": "own"})
    assert call.request.path == "/items?a=1&q=x+y&tag=m&tag=n"
    assert call.request.headers == {"x-team": "own", "X-Kept": "1"}
    assert call.name == "items"
    assert api().call("GET", "/items", query={"q": 1}).request.path == "/items?q=1"


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_any_method_of_http_may_be_sent(method):
    """And an expectation may be several statuses."""
    call = api().call(method, "/", expect=[200, 204])
    assert (call.request.method, call.operation.statuses) == (method, {200, 204})


def test_a_request_without_a_body_has_none():
    """And no Content-Type."""
    request = api().call("POST", "/search").request
    assert request.body == b""
    assert "Content-Type" not in request.headers


def test_a_custom_path_stays_as_written():
    """Braces are not placeholders there; characters that a request line can't hold are escaped."""
    assert api().call("GET", "/q/{id}?x=a%20b&y=ü z").request.path == "/q/{id}?x=a%20b&y=%C3%BC%20z"


def test_constants_are_sent_with_every_body_and_never_change():
    """Values filled in next to them don't stay in them; webhooks have them, too."""
    shared = {"meta": {"source.of": "test", "tags": []}}
    words = {
        "health": {"method": "POST", "constants": shared},
        "transactions": {"constants": shared, "body": {"amount": "meta.amount"}},
        "webhooks": {"signature": "none", "constants": {"api.version": 2}},
    }
    one = api(**words)
    for amount in (1, 2):
        paid = json.loads(one.pay(debit="a", credit="b", amount=amount, key="k").request.body)
        assert paid["meta"] == {"source.of": "test", "tags": [], "amount": amount}
    assert json.loads(one.ask_health().request.body) == shared
    assert json.loads(one.deliver("evt_00000001", {"type": "x"}).request.body)["api"] == {"version": 2}


def test_a_payment_without_a_key_is_never_sent_again_by_the_transport():
    """It could count twice."""
    assert not api(**THEIRS).pay(debit="a", credit="b", amount=1, key="k").request.repeatable
    assert api().pay(debit="a", credit="b", amount=1, key="k").request.repeatable


def test_a_path_with_a_fragment_is_refused():
    """No client sends one; escaped, it is part of the path."""
    with pytest.raises(
        ValueError, match="a fragment, which no client sends; remove what begins with '#', or write %23"
    ):
        api().call("GET", "/cart?x=1#top")
    assert api().call("GET", "/cart%23top").request.path == "/cart%23top"


def test_values_filled_into_a_path_are_escaped():
    """An id stays one segment of the path, whatever is in it."""
    assert api().read_balance("a/b ?ü").request.path == "/balance/a%2Fb%20%3F%C3%BC"


def test_answers_are_read_by_our_names():
    """Through objects and lists; None for a field that the target doesn't return."""
    operation = api(**THEIRS).read_balance("a").operation
    found = reply(operation, {"data": {"amounts": [{"value": "12.30"}]}})
    assert found["balance"] == "12.30"
    assert found.number("balance") == Decimal("12.3")
    assert found["account"] is None
    assert found.says("account", "anything")


def test_a_null_counts_as_missing_in_a_custom_call_too():
    """A field must be there unless it is declared absent."""
    operation = api().call("GET", "/orders/7").operation
    for told in ({"total": None}, {}, {"data": {"total": 3}}):
        with pytest.raises(LookupError):
            reply(operation, told)["total"]
        with pytest.raises(LookupError):
            reply(operation, told).says("total", 5)
    assert reply(operation, {"total": 0})["total"] == 0


def test_no_user_can_change_what_users_share():
    """One user's token would become everybody's, and an unchanged request is encoded only once."""
    one = api()
    with pytest.raises(TypeError):
        one.headers["Authorization"] = "Bearer mine"
    call = one.call("GET", "/orders", headers={"X-Number": "1"})
    for request in (call.request, one.ask_health().request, one.pay(debit="a", credit="b", amount=1, key="k").request):
        with pytest.raises(TypeError):
            request.headers["X-Number"] = "2"


def test_equal_amounts_are_equal_however_they_are_written():
    """12.3 equals "12.30", but different amounts are never equal."""
    operation = api(**THEIRS).pay(debit="a", credit="b", amount=1, key="k").operation
    for told in (12.3, "12.3", "12.30"):
        assert reply(operation, {"payment": {"ref": 1, "amount": told}}).says("amount", "12.30")
    assert not reply(operation, {"payment": {"ref": 1, "amount": "12.31"}}).says("amount", "12.30")
    assert not reply(operation, {"payment": {"ref": 1, "amount": "n/a"}}).says("amount", "12.30")


@pytest.mark.parametrize("body", [{}, [], "text", None, 5, {"balance": None}, {"balance": "n/a"}, {"balance": {}}])
def test_an_answer_of_another_shape_raises_instead_of_passing(body):
    """LookupError, TypeError or ValueError, which the user turns into `invalid`."""
    with pytest.raises((LookupError, TypeError, ValueError)):
        reply(api().read_balance("a").operation, body).number("balance")


def test_the_stripe_signature_matches_its_documentation():
    """t=…,v1=hex of HMAC-SHA256 over `t.body`."""
    request = api(**THEIRS).deliver("evt_00000001", {"type": "x"}).request
    stamp, signature = (part.partition("=")[2] for part in request.headers["Stripe-Signature"].split(","))
    wanted = hmac.new(b"whsec_secret", f"{stamp}.".encode() + request.body, hashlib.sha256).hexdigest()
    assert signature == wanted
    assert json.loads(request.body)["id"] == "evt_00000001"


def test_telegram_gets_its_token_and_a_number():
    """The same event has the same number."""
    telegram = api(webhooks={"path": "/bot", "signature": "telegram"})
    first, second = (telegram.deliver("evt_000000ff", {"type": "x"}).request for _ in range(2))
    assert first.headers["X-Telegram-Bot-Api-Secret-Token"] == "whsec_secret"
    assert json.loads(first.body)["update_id"] == 255 == json.loads(second.body)["update_id"]


def test_headers_are_sent_with_every_request_and_filled_from_the_environment(monkeypatch):
    """The file holds only the variable's name."""
    monkeypatch.setenv("API_TOKEN", "s3cret")
    one = Api(Endpoints(), headers={"Authorization": "Bearer ${API_TOKEN}"}, webhook_secret="whsec_AAAA")
    for call in (one.ask_health(), one.read_balance("a"), one.deliver("evt_00000001", {})):
        assert call.request.headers["Authorization"] == "Bearer s3cret"


def test_each_call_follows_redirects_where_the_target_file_says_so():
    """Deliveries of events, too, which are built in another way."""
    for follows in (True, False):
        told = {name: {"follow_redirects": follows} for name in ("health", "balance")}
        one = api(**told, webhooks={"follow_redirects": follows, "signature": "stripe"})
        calls = one.ask_health(), one.read_balance("a"), one.deliver("evt_00000001", {})
        assert {call.request.follow_redirects for call in calls} == {follows}


@pytest.mark.parametrize("word", ["event", "rate_limit", "key", "balance"])
def test_a_note_can_not_be_taken_for_ours(word):
    """Audits would read it as what loadproof itself sent or was told."""
    with pytest.raises(ValueError, match=f"audits read {word} as loadproof's own"):
        api().call("POST", "/track", note={word: "purchase"})
