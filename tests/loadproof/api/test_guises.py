"""Calls disguised as a bot's, or in a form that a limit may overlook: the same operation, with a note of how."""

from __future__ import annotations

import random
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadproof.api import guises
from loadproof.api.api import Api
from loadproof.api.guises import Guise
from loadproof.scenario.target.operations import Endpoints
from loadproof.scenario.traffic.usermix import UserMix

API = Api(Endpoints(), headers={"user-agent": "mine", "X-Own": "1"}, webhook_secret="")
READING = API.read_balance("acct-000001")
CHANCE = random.Random(1)


def guise(**keys: object) -> Guise:
    made = Guise.of(UserMix.model_validate({"share": "100 %", **keys}))
    assert made is not None
    return made


def test_ordinary_users_have_no_guise():
    assert Guise.of(None) is None
    assert Guise.of(UserMix.model_validate({"share": "100 %", "like": "balance", "clients": 1})) is None


def test_a_bots_user_agent_replaces_the_target_files():
    """Chosen by each user's random stream; the answer is checked as always."""
    sent = [guise(user_agents=["a/1", "b/2"]).on(READING, CHANCE) for _ in range(20)]
    assert {call.request.headers["User-Agent"] for call in sent} == {"a/1", "b/2"}
    assert {frozenset(call.request.headers) for call in sent} == {frozenset({"User-Agent", "X-Own"})}
    assert all(
        call.note == {"account": "acct-000001", "user_agent": call.request.headers["User-Agent"]} for call in sent
    )
    assert all(call.operation is READING.operation for call in sent)


def test_a_user_to_be_refused_expects_it():
    refused = guise(expect=403)
    assert refused.takes_any_answer
    assert refused.on(READING, CHANCE).operation.statuses == {403}
    assert not guise(user_agents=["a"]).takes_any_answer


def test_other_spellings_mean_the_same_path_or_none():
    """Each is noted; a target that knows none of them has not failed."""
    sent = [guise(evades=["path"]).on(READING, CHANCE) for _ in range(300)]
    assert {call.note["evades"] for call in sent if call.note} == {"path"}
    assert sent[0].operation.statuses >= {200, 307, 404, 405}
    assert not sent[0].operation.statuses & {429, 500, 503}
    paths = {call.request.path for call in sent}
    assert READING.request.path not in paths
    assert all(path.startswith("/") and "#" not in path for path in paths)
    same = {unquote(urlsplit(path).path) for path in paths}
    assert same == {
        "/balance/acct-000001",
        "/balance/acct-000001/",
        "/balance//acct-000001",
        "/BALANCE/ACCT-000001",
        "/./balance/acct-000001",
        "/x/../balance/acct-000001",
    }


@given(st.randoms(use_true_random=False), st.text(st.characters(codec="utf-8"), min_size=1))
def test_an_encoded_letter_is_the_same_letter(chance, account):
    """Also next to characters that are encoded already."""
    path = API.read_balance(account).request.path
    other = guises._with_encoded_letter(path, chance)
    assert (unquote(other), other == path) == (unquote(path), False)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_head_replaces_only_get(method):
    """For a POST, another method would do something else, so the path is spelled differently instead."""
    call = API.call(method, "/things?a=1")
    sent = guise(evades=["method"]).on(call, CHANCE).request
    assert sent.method == ("HEAD" if method == "GET" else "POST")
    assert (sent.path == call.request.path) is (method == "GET")


def test_a_strangers_headers_are_added_to_the_users_own():
    headers = guise(evades=["headers"]).on(READING, CHANCE).request.headers
    assert {"X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Own"} <= set(headers)
    assert headers["X-Forwarded-For"].startswith("203.0.113.")


def test_the_user_agent_changes_each_time_unless_it_is_configured():
    """A limiter that counts by address and User-Agent sees a new client each time."""
    sent = [guise(evades=["headers"]).on(READING, CHANCE).request.headers for _ in range(5)]
    assert len({headers["User-Agent"] for headers in sent}) == 5
    assert not any("user-agent" in headers for headers in sent)
    bot = guise(evades=["headers"], user_agents=["a/1"]).on(READING, CHANCE)
    assert bot.request.headers["User-Agent"] == "a/1"


def test_a_connection_per_request_is_closed_with_its_answer():
    sent = guise(evades=["connection"]).on(READING, CHANCE)
    assert sent.request.headers["Connection"] == "close"
    assert (sent.request.path, sent.note["evades"] if sent.note else "") == (READING.request.path, "connection")
