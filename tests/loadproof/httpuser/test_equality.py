"""Locustfiles in many styles cause the same requests, events and results with Locust's HttpUser and loadproof's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests import unpatched
from tests.loadproof.httpuser.noting import Noted, noting
from tests.loadproof.httpuser.styles import CLIENT_STYLES, USER_STYLES

from loadproof.generator.plainlocust.heard import outcome_of  # isort: skip
from loadproof.httpuser.user import HttpUser  # isort: skip
from locust.env import Environment  # isort: skip

pytestmark = pytest.mark.process


class Did(NamedTuple):
    """What a locustfile did, as seen from outside."""

    requests: list[bytes]
    events: list[dict[str, Any]]
    result: object


@pytest.fixture(scope="module")
def server() -> Iterator[Noted]:
    with noting() as noted:
        yield noted


@pytest.fixture(autouse=True)
def _same_boundary(monkeypatch):
    monkeypatch.setattr("urllib3.filepost.choose_boundary", lambda: "boundary")
    monkeypatch.setattr("time.time", lambda: 1_800_000_000.0)
    monkeypatch.setattr("requests.auth.os.urandom", lambda count: b"0" * count)
    monkeypatch.setenv("LOADPROOF_ALLOW_HOSTS", "nohost.invalid")


def did(server: Noted, base: type, style: Any, *, is_user: bool) -> Did:
    """What one user of this class does, with a server that starts afresh."""
    server.requests.clear()
    environment, events = Environment(), []
    environment.events.request.add_listener(lambda **event: events.append(event))
    user_class = style(base) if is_user else type("Website", (base,), {})
    user_class.host = server.url
    user = user_class(environment)
    try:
        result = user.run() if is_user else style(user.client)
    except Exception as error:  # noqa: BLE001 - compared
        result = type(error), _plain(str(error))
    finally:
        user.client.close()
    return Did([*server.requests], [_comparable(event) for event in events], result)


def _comparable(event: dict[str, Any]) -> dict[str, Any]:
    exception = event["exception"]
    assert event.pop("response_time") >= 0
    assert event.pop("start_time") == 1_800_000_000.0
    response = event.pop("response")
    told = exception and _plain(repr(exception))
    return event | {
        "exception": (type(exception), told, outcome_of(response, exception)),
        "response": (response.status_code, response.url),
    }


def _plain(text: str) -> str:
    """The text without object addresses, and without details that only `http.client` knows."""
    text = re.sub(r"(?<=Connection broken: ).*|(?<=BadStatusLine\().*", "…", text)
    return re.sub(r" at 0x[0-9a-f]+|<.*?>", "…", text)


def compared(server: Noted, style: Any, *, is_user: bool) -> None:
    stock = did(server, unpatched.locust.HttpUser, style, is_user=is_user)
    ours = did(server, HttpUser, style, is_user=is_user)
    assert ours.requests == stock.requests
    assert ours.events == stock.events
    assert ours.result == stock.result


@pytest.mark.parametrize("style", CLIENT_STYLES.values(), ids=CLIENT_STYLES)
def test_a_client_behaves_like_locusts(server, style):
    """To the last byte on the wire."""
    compared(server, style, is_user=False)


@pytest.mark.parametrize("style", USER_STYLES.values(), ids=USER_STYLES)
def test_a_user_behaves_like_locusts(server, style):
    """With tasks, hooks and listeners."""
    compared(server, style, is_user=True)
