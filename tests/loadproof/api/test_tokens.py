"""Token requests as they are sent, and what their answers say."""

from __future__ import annotations

import base64
import json
import math
from typing import Any
from urllib.parse import parse_qs

import pytest

from loadproof.api.tokens import NoTokenError, Token, read_token, token_request
from loadproof.http.answers import Answer
from loadproof.scenario.target.auth import OAuth2

URL = "https://login.example.test/realms/a/token?v=2"


@pytest.fixture(autouse=True)
def _secret(monkeypatch):
    monkeypatch.setenv("CLIENT_SECRET", "s3cret:/é")


def oauth2(**more: Any) -> OAuth2:
    return OAuth2.model_validate({"token_url": URL, "client_id": "load test", "client_secret": "CLIENT_SECRET"} | more)


def test_the_secret_is_in_the_header_by_default():
    """Client and secret are form-encoded before they are joined, so a colon in one of them is unambiguous."""
    request = token_request(oauth2(scope="read write", audience="https://api.example.test"), URL)
    assert (request.method, request.path) == ("POST", "/realms/a/token?v=2")
    assert request.headers["Authorization"] == f"Basic {base64.b64encode(b'load+test:s3cret%3A%2F%C3%A9').decode()}"
    assert parse_qs(request.body.decode()) == {
        "grant_type": ["client_credentials"],
        "scope": ["read write"],
        "audience": ["https://api.example.test"],
    }


def test_the_secret_can_be_in_the_body():
    """With any other parameters that a server needs."""
    request = token_request(oauth2(secret_in="body", parameters={"resource": "urn:a"}), URL)
    assert "Authorization" not in request.headers
    assert parse_qs(request.body.decode()) == {
        "grant_type": ["client_credentials"],
        "resource": ["urn:a"],
        "client_id": ["load test"],
        "client_secret": ["s3cret:/é"],
    }


def read(content: object, status: int = 200) -> Token:
    return read_token(Answer(status, {}, content if isinstance(content, bytes) else json.dumps(content).encode()))


@pytest.mark.parametrize(
    ("expires_in", "renew_after_s"),
    [(3600, 3540), (2, 1.5), ("100", 75), (0.1, 1), (None, math.inf)],
)
def test_a_token_is_renewed_a_quarter_of_its_life_before_its_end_but_at_most_a_minute(expires_in, renew_after_s):
    """A number as text counts, too; without one, only a 401 shows that the token has expired."""
    token = read({"access_token": "abc", "token_type": "bearer", "expires_in": expires_in})
    assert token.value == "abc"
    assert token.renew_after_s == renew_after_s


@pytest.mark.parametrize(
    ("status", "content", "told", "is_refusal"),
    [
        (200, b"<html>", "not an object in JSON", False),
        (200, [], "not an object in JSON", False),
        (200, {}, "no text `access_token`", False),
        (200, {"access_token": ["a"]}, "no text `access_token`", False),
        (200, {"access_token": "a\r\nX: y"}, "can't be sent in a header", False),
        (200, {"access_token": "a", "token_type": "mac"}, "`token_type` is not Bearer", False),
        (200, {"access_token": "a", "expires_in": "soon"}, "`expires_in` is not a number of seconds", False),
        (200, {"access_token": "a", "expires_in": True}, "`expires_in` is not a number of seconds", False),
        (200, {"access_token": "a", "expires_in": -1}, "`expires_in` is not a number of seconds", False),
        (401, {"error": "invalid_client"}, "status 401 (invalid_client)", True),
        (400, {"error": "a\nb"}, "status 400", True),
        (503, b"", "status 503", False),
        (302, b"", "status 302", False),
    ],
)
def test_an_answer_without_a_token_says_why(status, content, told, is_refusal):
    """And whether asking again could help."""
    with pytest.raises(NoTokenError) as raised:
        read(content, status)
    assert told in str(raised.value)
    assert str(raised.value).isprintable()
    assert raised.value.is_refusal is is_refusal
