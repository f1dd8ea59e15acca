"""Sends the verdict to the webhooks and Telegram chats given with `--notify`.

The flag names the host explicitly, so no allow list applies; only the notification is sent there, and a redirect counts
as a failure. Secrets come from the environment and never appear in a message, a log or a recorded command.
"""

from __future__ import annotations

import binascii
import json
import math
import os
import re
import time
import uuid
from base64 import b64decode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit

from loadproof import variables
from loadproof.api.signing import standard_headers
from loadproof.errors import InputError, Problem
from loadproof.http.blocking import BlockingConnection
from loadproof.http.messages import Request, RequestTimeouts, Timing, TransportError
from loadproof.http.origin import Origin
from loadproof.scenario.masking.masking import Masker
from loadproof.scenario.safety import check_base_url
from loadproof.users.retryafter import retry_after_s

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from loadproof.http.answers import Answer

FLAG: Final = "--notify"
_TELEGRAM: Final = "telegram:"
_TELEGRAM_URL: Final = "https://api.telegram.org"
_TIMEOUTS: Final = RequestTimeouts(connect_s=5.0, total_s=10.0)
_TRIES: Final = 3
_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0
"""Recipients that ask for a longer pause get no further attempt: retrying too early only extends the pause."""
_TOKEN: Final = re.compile(r"\d{1,20}:[A-Za-z0-9_-]{20,100}", re.ASCII)
_CHAT: Final = re.compile(r"-?\d{1,20}|@\w{4,32}", re.ASCII)
_HOW_TO_WRITE: Final = "write telegram:CHAT, or a URL like https://example.org/hooks/loadproof"


@dataclass(frozen=True)
class Channel:
    """A recipient; `shown` is its name without anything that may be secret."""

    shown: str
    base_url: str
    path: str = field(repr=False)
    chat: str | None
    """A Telegram chat; None for a webhook, which receives JSON."""
    secret: str = field(repr=False)
    """The webhook's key or the bot's token; '' if the webhook has none."""


def channels_of(texts: Sequence[str]) -> tuple[Channel, ...]:
    """The recipients that these texts name; InputError with all that are invalid."""
    problems: list[Problem] = []
    channels = []
    for text in texts:
        try:
            channels.append(_telegram(text) if text.startswith("telegram") else _webhook(text))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(dict.fromkeys(problems))
    return tuple(channels)


def shown_text(text: str) -> str:
    """A `--notify` value for logs, without a webhook's path and query, which may be its only protection."""
    if text.startswith(_TELEGRAM):
        return _without_token(text)
    try:
        url = urlsplit(text)
        host = url.hostname
        port = f":{url.port}" if url.port else ""
    except ValueError:
        host = None
    return f"{url.scheme}://{host}{port}/…" if host else "…"


def shown_arguments(arguments: Sequence[str]) -> list[str]:
    """A command's arguments as they may be recorded in a run directory."""
    shown = []
    for before, argument in zip(["", *arguments], arguments, strict=False):
        flag, equals, value = argument.partition("=")
        if before == FLAG:
            shown.append(shown_text(argument))
        elif flag == FLAG and equals:
            shown.append(f"{FLAG}={shown_text(value)}")
        else:
            shown.append(argument)
    return shown


def tell(
    channels: Sequence[Channel], *, content: str, text: str, sleep: Callable[[float], None] = time.sleep
) -> list[Problem]:
    """Send JSON to webhooks and text to chats; returns a problem for each failure.

    At most three attempts each, none earlier than the previous answer asked for.
    """
    problems = []
    for channel in channels:
        body = content if channel.chat is None else _message(channel.chat, text)
        reason = _tell(channel, body.encode(), sleep)
        if reason:
            what = "didn't receive the verdict"
            problems.append(
                Problem(
                    f"{FLAG} {channel.shown}",
                    what,
                    "check that it accepts the notice; the verdict isn't affected",
                    got=reason,
                )
            )
    return problems


def _message(chat: str, text: str) -> str:
    """Source: https://core.telegram.org/bots/api#sendmessage."""
    return json.dumps({"chat_id": chat, "text": text, "link_preview_options": {"is_disabled": True}})


def _tell(channel: Channel, body: bytes, sleep: Callable[[float], None]) -> str:
    """Why it failed; '' if it didn't."""
    event_id = f"msg_{uuid.uuid4().hex}"
    reason = ""
    for number in range(1, _TRIES + 1):
        wait_s = _PAUSE_S * number
        try:
            answer = _send(channel, event_id, body)
        except TransportError as error:
            reason = str(error)
        else:
            if 200 <= answer.status < 300:
                return ""
            reason = str(answer.status)
            if answer.status < 500 and answer.status not in {408, 425, 429}:
                break
            wait_s = max(wait_s, _asked_s(answer))
            if wait_s > _LONGEST_PAUSE_S:
                reason += f", try again in {wait_s:.0f} s"
                break
        if number < _TRIES:
            sleep(wait_s)
    name = variables.NOTIFY_SECRET if channel.chat is None else variables.TELEGRAM_TOKEN
    return Masker({name: channel.secret})(reason)


def _send(channel: Channel, event_id: str, body: bytes) -> Answer:
    headers = {"content-type": "application/json", "user-agent": "loadproof"}
    if channel.chat is None and channel.secret:
        headers |= standard_headers(event_id, body, channel.secret)
    connection = BlockingConnection(Origin.of(channel.base_url), _TIMEOUTS)
    try:
        return connection.exchange(Request("POST", channel.path, headers=headers, body=body), Timing())
    finally:
        connection.close()


def _asked_s(answer: Answer) -> float:
    """Seconds to wait according to Telegram's body or else Retry-After; 0 if neither can be read.

    Source: https://core.telegram.org/bots/api#responseparameters.
    """
    try:
        body = answer.json
    except ValueError:
        body = None
    parameters = body.get("parameters") if isinstance(body, dict) else None
    asked = parameters.get("retry_after") if isinstance(parameters, dict) else None
    if isinstance(asked, (int, float)) and not isinstance(asked, bool) and math.isfinite(asked):
        return max(0.0, float(asked))
    return retry_after_s(answer) or 0.0


def _without_token(text: str) -> str:
    """Remove a bot's token, which may have been given in place of the chat."""
    return _TOKEN.sub("…", text)


def _telegram(text: str) -> Channel:
    chat = text.removeprefix(_TELEGRAM)
    problems = []
    if not text.startswith(_TELEGRAM) or not _CHAT.fullmatch(chat):
        shown = _without_token(text)
        problems.append(Problem(FLAG, "not a Telegram chat", "write it like telegram:-1001234567890", got=shown))
    token = os.environ.get(variables.TELEGRAM_TOKEN, "")
    if not _TOKEN.fullmatch(token):
        what = "no bot token" if not token else "not a bot token"
        problems.append(Problem(variables.TELEGRAM_TOKEN, what, "set it as BotFather gave it, 123456:ABC…"))
    base_url = os.environ.get(variables.TELEGRAM_API_URL) or _TELEGRAM_URL
    try:
        check_base_url(base_url, variables.TELEGRAM_API_URL)
    except InputError as error:
        problems += error.problems
    if problems:
        raise InputError(problems)
    return Channel(text, base_url, f"/bot{token}/sendMessage", chat, token)


def _webhook(text: str) -> Channel:
    """The webhook at this URL; its secret is checked now, so that a run can't end without its notification."""
    url = _url(text)
    secret = os.environ.get(variables.NOTIFY_SECRET, "")
    if secret and not _is_key(secret):
        what = "not a Standard Webhooks key"
        raise InputError(Problem(variables.NOTIFY_SECRET, what, "write whsec_ and the key in base64"))
    root = f"{url.scheme}://{url.netloc}"
    path = f"{url.path or '/'}{f'?{url.query}' if url.query else ''}"
    return Channel(shown_text(text), root, path, None, secret)


def _url(text: str) -> SplitResult:
    try:
        url = urlsplit(text)
        well_formed = url.scheme in {"http", "https"} and url.hostname and url.port != 0 and not url.fragment
    except ValueError:
        well_formed = False
    if "@" in text.partition("?")[0]:
        remedy = f"leave them out: {variables.NOTIFY_SECRET} signs what is sent"
        raise InputError(Problem(FLAG, "credentials in a URL end up in logs", remedy))
    if not well_formed or not text.isascii() or not text.isprintable() or " " in text:
        raise InputError(Problem(FLAG, "can't be notified", _HOW_TO_WRITE, got=shown_text(text)))
    return url


def _is_key(secret: str) -> bool:
    try:
        return secret.startswith("whsec_") and bool(b64decode(secret.removeprefix("whsec_"), validate=True))
    except binascii.Error:
        return False
