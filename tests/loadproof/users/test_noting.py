"""A journal of a user's requests: one row each, with their notes, and without secrets."""

from __future__ import annotations

import csv
import gzip
import io
import json
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from gevent.pool import Group

from tests import unpatched  # noqa: F401  # isort: skip

from loadproof.api.api import Api
from loadproof.http.answers import Answer
from loadproof.http.messages import ConnectionFailedError, RequestTimeoutError, UnreadAnswerError, WantError
from loadproof.plan.pacing import Due
from loadproof.rundir.rows import ANSWER_DATE, JournalRow
from loadproof.scenario.masking.masking import Masker
from loadproof.scenario.target.targetfile import Endpoints
from simulation.playeduser import PlayedUser

PAYMENT = {"id": "p-1", "debit": "a", "credit": "b", "amount": 5, "currency": "EUR"}


class Telling(PlayedUser):
    """A target whose requests are recorded, and which gives the listed answers in rotation."""

    def __init__(self, *ends: Any, headers: dict[str, str] | None = None, record: str | None = "requests", **plan: Any):
        super().__init__(record=record, **plan)
        self.ends, self.all_headers = list(ends), headers or {}

    def exchange(self, request, timing):
        super().exchange(request, timing)
        end = self.ends.pop(0) if self.ends else 200
        if isinstance(end, Exception):
            raise end
        timing.is_repeated = timing.is_marked = end == "repeated"
        status, body = end if isinstance(end, tuple) else (end if isinstance(end, int) else 200, {"status": "ok"})
        return Answer(status, self.all_headers, json.dumps(body).encode())

    def send(self, *calls: Any) -> None:
        sending = gevent.spawn(lambda: [self.user.send(call, lambda _: None) for call in calls])
        self.time.advance_to(self.work.now_s() + 0.2 * len(calls))
        sending.get()


def journal_of(played: PlayedUser, now_s: float = 10.0) -> list[JournalRow]:
    taking = gevent.spawn(played.recorder.take, now_s, 1, last=True)
    played.time.advance_until(taking.ready, within_s=1)
    member = taking.get().journal
    text = gzip.decompress(member).decode() if member else ""
    return [JournalRow(*row) for row in csv.reader(io.StringIO(text, newline=""))]


def notes_of(played: PlayedUser) -> list[dict[str, Any]]:
    return [json.loads(row.noted or "{}") for row in journal_of(played)]


@pytest.mark.parametrize(
    ("end", "status", "outcome"),
    [
        (200, "200", "ok"),
        ("repeated", "200", "ok"),
        (429, "429", "throttled"),
        (500, "500", "server_error"),
        (RequestTimeoutError("total"), "0", "timeout"),
        (ConnectionFailedError("refused"), "0", "connection"),
        (UnreadAnswerError("too long"), "0", "invalid"),
        (WantError("ports", "none"), "0", "want_ports"),
    ],
)
@pytest.mark.parametrize("feeds", [True, False])
def test_each_request_has_one_row(end, status, outcome, feeds):
    """However it ended, and whether or not Locust is told about each."""
    played = Telling(end, headers={"retry-after": "Sun, 06"}, expect_throttling=True)
    played.recorder.feed(SimpleNamespace(are_alone=feeds, add=lambda *_, **__: None))
    played.send(played.user.api.ask_health())
    (row,) = journal_of(played)
    assert (row.worker, row.client, row.request, row.phase) == ("1", "127.1.0.1", "health", "setup")
    assert (row.intended_us, row.sent_us, row.ended_us) == ("0", "0", "100000")
    assert (row.status, row.outcome, row.repeated) == (status, outcome, "1" if end == "repeated" else "0")
    assert row.retry_after == ("" if status == "0" else "Sun, 06")


def test_a_planned_request_has_its_turns_time_and_phase():
    """The turn may be earlier than the request was sent."""
    played = Telling()
    performing = gevent.spawn(played.user.perform, Due(-0.25))
    played.time.advance_to(0.2)
    performing.get()
    (row,) = journal_of(played)
    assert (row.phase, row.intended_us, row.sent_us, row.ended_us) == ("steady", "-250000", "0", "100000")


@pytest.mark.parametrize(("is_ours", "outcome"), [(True, "abandoned"), (False, "timeout")])
def test_a_request_that_is_cut_off_has_a_row_too(is_ours, outcome):
    """Cut off by our own stop, or by its user."""
    played = Telling(takes_s=lambda _: 100.0)
    life = played.user.start(Group())
    played.time.advance_to(2.0)
    if is_ours:
        played.user.stop(force=True)
    life.kill(block=False)
    played.time.advance_to(2.1)
    (row,) = journal_of(played)
    assert (row.outcome, row.status, row.sent_us, row.ended_us) == (outcome, "0", "500000", "2000000")


def test_a_scenario_that_records_no_requests_keeps_nothing_about_them():
    """Neither in memory nor in its reports."""
    played = Telling(record=None)
    played.send(played.user.api.ask_health())
    assert played.recorder._second.journal == []
    assert journal_of(played) == []


@pytest.mark.parametrize(("clients", "seen_as"), [("shared", "shared"), ({"header": "X-Client"}, "client-0")])
def test_a_client_has_the_name_by_which_the_target_sees_it(clients, seen_as):
    """An address only if it has its own."""
    played = Telling(clients=clients)
    played.send(played.user.api.ask_health())
    assert [row.client for row in journal_of(played)] == [seen_as]


def test_the_apis_operations_are_noted():
    """Payments, reading them back, balances and events: what was sent, and what the answer says."""
    played = Telling((201, PAYMENT), (200, PAYMENT), (200, {"account": "a", "balance": 7}), (200, {"duplicate": True}))
    api = played.user.api
    payment = api.pay(debit="a", credit="b", amount=5, key="k-1")
    played.send(payment, api.read_payment("p-1"), api.read_balance("a"), api.deliver("evt_1", {}))
    assert notes_of(played) == [
        {"key": "k-1", "debit": "a", "credit": "b", "amount": 5, "currency": "EUR", "payment": "p-1"},
        {"payment": "p-1", "debit": "a", "credit": "b", "currency": "EUR", "amount": 5},
        {"account": "a", "balance": 7},
        {"event": "evt_1", "duplicate": True},
    ]


def test_what_was_sent_is_noted_even_without_an_answer():
    """A refusal says nothing about the payment, and a timeout nothing at all."""
    played = Telling(500, RequestTimeoutError("total"))
    payment = played.user.api.pay(debit="a", credit="b", amount=5, key="k-1")
    played.send(payment, payment)
    sent = {"key": "k-1", "debit": "a", "credit": "b", "amount": 5, "currency": "EUR"}
    assert notes_of(played) == [sent, sent]


def test_amounts_are_noted_in_minor_units():
    """Whatever unit the target uses; a key only if one is sent."""
    payments = {"amounts": "decimal", "idempotency_key": None}
    endpoints = Endpoints.model_validate({"transactions": payments})
    played = Telling((201, PAYMENT), (200, {**PAYMENT, "amount": "12.34"}))
    api = Api(endpoints, headers={}, webhook_secret="")
    played.send(api.pay(debit="a", credit="b", amount=1234, key="k-1"), api.read_payment("p-1"))
    paid, read = notes_of(played)
    assert (paid["amount"], read["amount"], "key" in paid) == (1234, 1234, False)


def test_a_user_can_add_its_own_notes():
    """Values, and functions of the reply; whatever these don't find is left out."""
    note = {
        "order": 5,
        "price": Decimal("1.50"),
        "state": lambda reply: reply.answer.json["status"],
        "missing": lambda reply: reply.answer.json["no such"],
        "long": lambda _: "x" * 10_000,
    }
    played = Telling(200, ConnectionFailedError("refused"))
    call = played.user.api.call("GET", "/orders", note=note).with_headers({})
    played.send(call, call)
    assert notes_of(played) == [
        {"order": 5, "price": "1.50", "state": "ok", "long": "x" * 299 + "…"},
        {"order": 5, "price": "1.50"},
    ]


def test_what_the_answer_says_about_limits_is_noted():
    """As it was sent."""
    limits = {"ratelimit": '"health";r=5;t=30', "ratelimit-policy": '"health";q=60;w=60'}
    played = Telling(headers=limits)
    played.send(played.user.api.ask_health())
    assert notes_of(played) == [
        {"rate_limit": limits["ratelimit"], "rate_limit_policy": limits["ratelimit-policy"]},
    ]


@pytest.mark.parametrize(
    ("retry_after", "more", "notes"),
    [
        ("Sun, 06 Nov 2033 08:49:37 GMT", {}, True),
        ("Sun, 06 Nov 2033 08:49:37 GMT", {"age": "20"}, False),
        ("30", {}, False),
    ],
    ids=["a date", "from a cache", "seconds"],
)
def test_a_date_in_retry_after_is_noted_with_the_answers_date(retry_after, more, notes):
    """Seconds need none; and a cached answer's Date is not the target's time."""
    date = "Sun, 06 Nov 2033 08:49:07 GMT"
    headers = {"retry-after": retry_after, "date": date, **more}
    played = Telling(429, headers=headers, expect_throttling=True)
    played.send(played.user.api.ask_health())
    assert notes_of(played) == ([{ANSWER_DATE: date}] if notes else [{}])


SECRET = 'c4nary"s3cret'


@pytest.mark.parametrize("said", [SECRET, f"Bearer {SECRET}", {"deep": [SECRET]}, {SECRET: 1}])
def test_secrets_are_not_noted(said):
    """The name of the variable replaces its value, and the row remains complete."""
    played = Telling((200, {"status": said}), 200, headers={"retry-after": SECRET})
    played.recorder._journal_rows._mask = Masker({"KEY": SECRET})
    note = {"said": lambda reply: reply.answer.json["status"], "own": said, "order": 5, SECRET: 6}
    played.send(played.user.api.call("GET", "/", note=note), played.user.api.call("GET", "/", note={"order": 6}))
    rows = journal_of(played)
    assert "c4nary" not in str(rows)
    assert [row.retry_after for row in rows] == ["${KEY}", "${KEY}"]
    first, second = (json.loads(row.noted) for row in rows)
    assert "${KEY}" in str(first["said"])
    assert "${KEY}" in str(first["own"])
    assert (first["order"], first["${KEY}"], second) == (5, 6, {"order": 6})


def test_half_a_secret_is_not_noted_either():
    """It may begin in the part of a text that is kept, and end beyond it."""
    played = Telling((200, {"status": "x" * 290 + SECRET}), headers={"retry-after": "x" * 290 + SECRET})
    mask = Masker({"KEY": SECRET})
    played.work.mask = played.recorder._journal_rows._mask = mask
    finds = {"said": lambda reply: reply.answer.json["status"]}
    played.send(played.user.api.call("GET", "/", note={**finds, "own": "x" * 290 + SECRET}))
    (row,) = journal_of(played)
    assert "c4na" not in str(row)
    hidden = "x" * 290 + "${KEY}"
    assert (row.retry_after, json.loads(row.noted)) == (hidden, {"own": hidden, "said": hidden})


def test_other_greenlets_run_while_a_second_is_written():
    """A thousand rows take more than a millisecond."""
    played = Telling()
    played.send(*[played.user.api.ask_health()] * 250)
    ran: list[float] = []
    played.recorder._journal_rows._let_others_run = lambda: ran.append(played.work.now_s())
    assert len(journal_of(played)) == 250
    assert len(ran) == 3
