"""Texts are sent to a chat over HTTP, or the reason why not is reported."""

from __future__ import annotations

import logging
import time

import pytest

from drills.faketelegram import CHAT, TOKEN, Answer, fake_telegram, too_many
from payments_api.alerts.options import Chat
from payments_api.alerts.telegram import NotSentError, Telegram
from tests.servers import answering, read_request, serving


@pytest.fixture
def server():
    with fake_telegram() as telegram:
        yield telegram


def sender(url: str, timeout_s: float = 5.0) -> Telegram:
    return Telegram(Chat(TOKEN, CHAT, url), timeout_s=timeout_s)


def refusal(url: str, timeout_s: float = 5.0) -> NotSentError:
    with pytest.raises(NotSentError) as raised:
        sender(url, timeout_s).send("disk: full")
    assert TOKEN not in str(raised.value)
    assert raised.value.__cause__ is None
    return raised.value


def test_a_text_arrives_in_its_chat(server):
    sender(server.url).send("disk: <b>full</b> & *more*")
    assert server.paths == [f"/bot{TOKEN}/sendMessage"]
    assert server.bodies[0]["chat_id"] == CHAT
    assert server.texts == ["disk: <b>full</b> & *more*"]
    assert "parse_mode" not in server.bodies[0]


def test_a_base_url_may_have_a_path(server):
    sender(f"{server.url}/proxy/").send("x")
    assert server.paths == [f"/proxy/bot{TOKEN}/sendMessage"]


def test_a_text_is_cut_to_telegrams_limit(server):
    sender(server.url).send("x" * 5000)
    assert len(server.texts[0]) == 4096


def test_a_429_says_how_long_to_wait(server):
    server.next_answers.append(too_many(7))
    error = refusal(server.url)
    assert (error.wait_s, error.is_final) == (7.0, False)


@pytest.mark.parametrize(
    ("content", "headers", "wait_s"),
    [
        (b"not json", (("Retry-After", "9"),), 9.0),
        (b"not json", (("Retry-After", "soon"),), 0.0),
        ({"parameters": {"retry_after": "7"}}, (), 0.0),
        ({"parameters": {"retry_after": -1}}, (), 0.0),
        ({"parameters": {"retry_after": True}}, (), 0.0),
        (b'{"parameters": {"retry_after": 1e999}}', (), 0.0),
        ({"parameters": [1]}, (), 0.0),
        (b"[]", (), 0.0),
    ],
)
def test_a_429_without_a_valid_wait_in_its_body_falls_back_to_the_header_or_zero(server, content, headers, wait_s):
    server.next_answers.append(Answer(429, content, headers))
    error = refusal(server.url)
    assert (error.wait_s, error.is_final) == (wait_s, False)


@pytest.mark.parametrize(
    ("answer", "is_final"),
    [
        (Answer(401, {"ok": False, "description": "Unauthorized"}), True),
        (Answer(400, {"ok": False, "description": "Bad Request: chat not found"}), True),
        (Answer(404, b"nothing"), True),
        (Answer(302, b"", (("Location", "http://127.0.0.1:1/"),)), True),
        (Answer(500, b"<html>"), False),
        (Answer(502, b""), False),
        (Answer(200, b"hello"), False),
        (Answer(200, {"ok": False}), False),
        (Answer(400, {"ok": False, "description": f"no bot{TOKEN} here"}), True),
    ],
)
def test_other_refusals_are_final_if_retrying_is_useless(server, answer, is_final):
    server.next_answers.append(answer)
    assert refusal(server.url).is_final is is_final
    assert server.asked == 1


def test_an_answer_nested_too_deeply_is_no_answer(server):
    """The parser's recursion limit must not kill the sending thread."""
    server.next_answers.append(Answer(502, b"[" * 60_000))
    assert refusal(server.url).is_final is False


@pytest.mark.slow
def test_a_hanging_server_is_given_up_in_time(server):
    server.next_answers.append(Answer(200, {"ok": True}, delay_s=2.0))
    began_s = time.monotonic()
    assert str(refusal(server.url, timeout_s=0.2)) == "no answer in time"
    assert time.monotonic() - began_s < 1.5


def hang_up(connection, _):
    read_request(connection)


@pytest.mark.parametrize(
    ("script", "told"),
    [(answering(b"@@@\r\n\r\n"), "no HTTP answer (BadStatusLine)"), (hang_up, "no HTTP answer (RemoteDisconnected)")],
    ids=["garbage", "hung up"],
)
def test_an_answer_that_is_not_http_is_reported_without_the_request(script, told):
    with serving(script) as url:
        assert str(refusal(url)) == told


def test_an_unreachable_server_is_reported_without_the_request():
    assert str(refusal("http://127.0.0.1:1")) == "Connection refused"
    assert str(refusal("http://nowhere.invalid")) == "its name can't be resolved"


def test_the_token_is_never_logged(server, caplog):
    """At any level, by any logger."""
    caplog.set_level(logging.DEBUG)
    sender(server.url).send("x")
    server.next_answers.append(Answer(400, {"ok": False, "description": TOKEN}))
    refusal(server.url)
    refusal("http://127.0.0.1:1")
    assert TOKEN not in caplog.text
    assert TOKEN not in repr(Chat(TOKEN, CHAT, server.url))


def test_an_invalid_host_name_is_reported_as_not_found():
    assert str(refusal("http://a..b")) == "its name can't be resolved"
