"""`--notify`: the recipients, what they are sent, and what is reported if they refuse it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket

import pytest

from drills.faketelegram import CHAT, TOKEN, Answer, fake_telegram, too_many
from loadproof import variables
from loadproof.errors import InputError
from loadproof.run.notifications import channels_of, shown_arguments, shown_text, tell
from loadproof.run.processes.children import environment_with, inherited
from tests.servers import read_request, serving

SECRET = "whsec_bG9hZHByb29mLW5vdGlmeS1rZXk="
CONTENT = '{"word": "FAIL"}'


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in variables.FOR_NO_CHILD:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def telegram(monkeypatch):
    with fake_telegram() as server:
        monkeypatch.setenv(variables.TELEGRAM_API_URL, server.url)
        monkeypatch.setenv(variables.TELEGRAM_TOKEN, TOKEN)
        yield server


class Webhook:
    """Keeps the heads and bodies of requests; gives these answers in turn, then 204."""

    def __init__(self, *answers: bytes) -> None:
        self._answers = list(answers)
        self.requests: list[bytes] = []

    def __call__(self, connection: socket.socket, _: int) -> None:
        self.requests.append(read_request(connection))
        connection.sendall(self._answers.pop(0) if self._answers else b"HTTP/1.1 204 No Content\r\n\r\n")

    def headers(self, number: int = -1) -> dict[str, str]:
        head, _, _ = self.requests[number].partition(b"\r\n\r\n")
        pairs = (line.decode().partition(": ") for line in head.split(b"\r\n")[1:])
        return {name.lower(): value for name, _, value in pairs}

    def body(self, number: int = -1) -> bytes:
        return self.requests[number].partition(b"\r\n\r\n")[2]


def told(*texts: str) -> tuple[list[str], list[float]]:
    """The problems that are reported, and the pauses."""
    pauses: list[float] = []
    problems = tell(channels_of(texts), content=CONTENT, text="a text", sleep=pauses.append)
    return [str(problem) for problem in problems], pauses


def status(line: str, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {line}", *headers, "content-length: 0", "", ""]).encode()


def test_a_webhook_is_sent_the_json_at_its_path_and_query():
    webhook = Webhook()
    with serving(webhook) as url:
        assert told(f"{url}/hooks/loadproof?key=1") == ([], [])
    assert webhook.requests[0].startswith(b"POST /hooks/loadproof?key=1 HTTP/1.1\r\n")
    assert webhook.body() == CONTENT.encode()
    assert webhook.headers()["content-type"] == "application/json"
    assert "webhook-signature" not in webhook.headers()


def test_with_a_secret_the_request_is_signed_as_in_standard_webhooks(monkeypatch):
    """The signature covers id, time and body; the secret itself is not sent."""
    monkeypatch.setenv(variables.NOTIFY_SECRET, SECRET)
    webhook = Webhook()
    with serving(webhook) as url:
        assert told(url) == ([], [])
    headers = webhook.headers()
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + webhook.body()
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert SECRET.encode() not in webhook.requests[0]


def test_a_chat_is_sent_the_text(telegram, monkeypatch):
    """The webhook secret isn't used for it."""
    monkeypatch.setenv(variables.NOTIFY_SECRET, SECRET)
    assert told(f"telegram:{CHAT}") == ([], [])
    assert telegram.paths == [f"/bot{TOKEN}/sendMessage"]
    assert (telegram.bodies[0]["chat_id"], telegram.texts) == (CHAT, ["a text"])


def test_a_failed_notification_does_not_stop_the_others(telegram):
    webhook = Webhook()
    with serving(webhook) as url:
        lines, _ = told("http://127.0.0.1:1/x", url, f"telegram:{CHAT}")
    assert len(lines) == 1
    assert (len(webhook.requests), len(telegram.bodies)) == (1, 1)


@pytest.mark.parametrize(
    ("answers", "requests", "line_end", "pauses"),
    [
        ([status("500 Oops")], 2, None, [1]),
        ([status("500 Oops")] * 3, 3, "got '500'", [1, 2]),
        ([status("429 Slow", "retry-after: 4")], 2, None, [4]),
        ([status("429 Slow", "retry-after: 60")], 2, None, [60]),
        ([status("429 Slow", "retry-after: 61")], 1, "got '429, try again in 61 s'", []),
        ([status("503 Down", "retry-after: Fri, 31 Dec 9999 23:59:59 GMT")], 1, "got '503, try again in", []),
        ([status("429 Slow", "retry-after: 0")] * 2, 3, None, [1, 2]),
        ([status("429 Slow", "retry-after: soon")], 2, None, [1]),
        ([status("404 Not Found")], 1, "got '404'", []),
        ([b"garbage\r\n\r\n"] * 3, 3, "got '", [1, 2]),
    ],
)
def test_transient_failures_are_tried_three_times_and_permanent_ones_once(answers, requests, line_end, pauses):
    webhook = Webhook(*answers)
    with serving(webhook) as url:
        lines, slept = told(f"{url}/secret-path")
    assert (len(webhook.requests), slept) == (requests, pauses)
    if line_end is None:
        assert lines == []
    else:
        (line,) = lines
        assert line.startswith(f"--notify {url}/…: didn't receive the verdict, {line_end}")
        assert "secret-path" not in line


def test_every_attempt_sends_the_same_message(monkeypatch):
    """So that a receiver that took it without confirming recognizes it."""
    monkeypatch.setenv(variables.NOTIFY_SECRET, SECRET)
    webhook = Webhook(status("503 Later"))
    with serving(webhook) as url:
        told(url)
    assert webhook.headers(0)["webhook-id"] == webhook.headers(1)["webhook-id"]


def test_a_redirect_is_not_followed(monkeypatch):
    """Neither elsewhere nor on the same host: the message is signed for one address."""
    elsewhere = Webhook()
    with serving(elsewhere) as other:
        webhook = Webhook(status("307 Elsewhere", f"location: {other}/"))
        with serving(webhook) as url:
            lines, _ = told(url)
    assert "got '307'" in lines[0]
    assert (len(webhook.requests), len(elsewhere.requests)) == (1, 0)


def test_a_refusal_by_telegram_is_reported_without_the_token(telegram):
    telegram.next_answers.extend([too_many(3), Answer(401, {"ok": False, "description": f"no bot {TOKEN}"})])
    lines, _ = told(f"telegram:{CHAT}")
    assert lines == [
        (
            f"--notify telegram:{CHAT}: didn't receive the verdict, got '401'; "
            "check that it accepts the notice; the verdict isn't affected"
        )
    ]


def test_the_pause_after_telegrams_429_comes_from_its_body(telegram):
    """The Bot API sends no Retry-After."""
    telegram.next_answers.extend([too_many(6), too_many(20)])
    assert told(f"telegram:{CHAT}") == ([], [6, 20])
    assert telegram.texts == ["a text"]


def test_telegram_is_not_tried_again_before_the_requested_time(telegram):
    """Nor is an hour waited for at the end of a run."""
    telegram.next_answers.append(too_many(3600))
    lines, pauses = told(f"telegram:{CHAT}")
    assert "got '429, try again in 3600 s'" in lines[0]
    assert (telegram.asked, pauses) == (1, [])


@pytest.mark.parametrize(
    "content",
    [b"no JSON", [], {"parameters": 3}, {"parameters": {"retry_after": "soon"}}, {"parameters": {"retry_after": -1}}],
)
def test_a_429_without_a_usable_pause_is_tried_again_soon(telegram, content):
    telegram.next_answers.append(Answer(429, content))
    assert told(f"telegram:{CHAT}") == ([], [1])


def test_an_unreachable_server_is_reported_without_the_token(telegram, monkeypatch):
    monkeypatch.setenv(variables.TELEGRAM_API_URL, "http://127.0.0.1:1")
    lines, pauses = told(f"telegram:{CHAT}")
    assert "Connection refused" in lines[0]
    assert TOKEN not in lines[0]
    assert pauses == [1, 2]


@pytest.mark.parametrize(
    ("text", "told_line"),
    [
        ("telegram", "--notify: not a Telegram chat, got 'telegram'; write it like telegram:-1001234567890"),
        ("telegram:some one", "--notify: not a Telegram chat, got 'telegram:some one'"),
        (
            "ftp://example.org/x",
            "--notify: can't be notified, got 'ftp://example.org/…'; write telegram:CHAT, or a URL like",
        ),
        ("example.org", "--notify: can't be notified, got '…'"),
        ("https://user:pass@example.org/x", "--notify: credentials in a URL end up in logs"),
        ("https://[::1/x", "--notify: can't be notified, got '…'"),
        ("https://example.org/\r\nx", "--notify: can't be notified"),
        ("https://example.org:0/", "--notify: can't be notified"),
    ],
)
def test_an_invalid_recipient_is_one_line_before_the_run(telegram, text, told_line):
    with pytest.raises(InputError) as raised:
        channels_of([text])
    assert str(raised.value).startswith(told_line)
    assert "pass" not in str(raised.value)


@pytest.mark.parametrize("text", [f"telegram:{TOKEN}", f"telegram:{TOKEN}/{CHAT}", f"telegrambot{TOKEN}"])
def test_a_token_in_place_of_a_chat_is_not_shown(telegram, text):
    """An easy mistake, and standard error goes into a CI job's log."""
    with pytest.raises(InputError, match="not a Telegram chat") as raised:
        channels_of([text])
    shown = f"{raised.value} {shown_text(text)} {shown_arguments(['--notify', text])}"
    assert TOKEN.partition(":")[2] not in shown


def test_all_problems_are_reported_at_once(monkeypatch):
    monkeypatch.setenv(variables.NOTIFY_SECRET, "whsec_not base64")
    monkeypatch.setenv(variables.TELEGRAM_API_URL, "nowhere")
    with pytest.raises(InputError) as raised:
        channels_of(["telegram:1", "https://example.org", "telegram:x"])
    assert [line.partition(":")[0] for line in str(raised.value).splitlines()] == [
        variables.TELEGRAM_TOKEN,
        variables.TELEGRAM_API_URL,
        variables.NOTIFY_SECRET,
        "--notify",
    ]
    assert "not base64" not in str(raised.value)


def test_only_the_host_of_a_webhook_is_shown():
    """Also in the command recorded in the manifest."""
    assert shown_text("https://hooks.example.org:8443/services/T0/B0/secret?token=1") == (
        "https://hooks.example.org:8443/…"
    )
    arguments = ["run", "x.yaml", "--notify", "https://a.org/secret", "--notify=https://b.org/secret", "--seed", "1"]
    assert shown_arguments(arguments) == [
        *("run", "x.yaml", "--notify", "https://a.org/…", "--notify=https://b.org/…", "--seed", "1")
    ]
    assert shown_arguments(["--notify", "telegram:1"]) == ["--notify", "telegram:1"]
    (channel,) = channels_of(["https://a.org/secret"])
    assert "secret" not in repr(channel).replace("secret=", "")


def test_no_child_inherits_the_secrets(monkeypatch):
    for name in variables.FOR_NO_CHILD:
        monkeypatch.setenv(name, "x")
    assert variables.FOR_NO_CHILD.isdisjoint(inherited())
    assert variables.FOR_NO_CHILD.isdisjoint(environment_with({}))


def test_the_json_arrives_unchanged():
    webhook = Webhook()
    with serving(webhook) as url:
        told(url)
    assert json.loads(webhook.body()) == {"word": "FAIL"}
