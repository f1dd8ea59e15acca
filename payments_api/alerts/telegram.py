"""Sends a text to a Telegram chat with the Bot API, or says why not; the token appears nowhere but in the request.

Uses the standard library's client: others write the path, which contains the token, to logs and error messages.
Source: https://core.telegram.org/bots/api#making-requests and #responseparameters.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from payments_api.alerts.options import Chat

_TIMEOUT_S: Final = 5.0
_LONGEST_TEXT: Final = 4096
"""Characters. Source: https://core.telegram.org/bots/api#sendmessage."""
_LARGEST_ANSWER: Final = 65_536


class NotSentError(Exception):
    """`wait_s` is how long Telegram asks us to wait; `is_final` if retrying is useless."""

    def __init__(self, reason: str, *, is_final: bool = False, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.is_final = is_final
        self.wait_s = wait_s


class Telegram:
    """A chat, and the bot that writes to it."""

    def __init__(self, chat: Chat, *, timeout_s: float = _TIMEOUT_S) -> None:
        self._chat = chat
        self._timeout_s = timeout_s

    def send(self, text: str) -> None:
        """Send the text; raises NotSentError unless Telegram confirms it."""
        content = {"chat_id": self._chat.chat, "text": text[:_LONGEST_TEXT], "link_preview_options": _NO_PREVIEW}
        url = urlsplit(self._chat.base_url)
        make = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        connection = make(url.hostname or "", url.port, timeout=self._timeout_s)
        try:
            connection.request(
                "POST",
                f"{url.path.rstrip('/')}/bot{self._chat.token}/sendMessage",
                json.dumps(content).encode(),
                {"Content-Type": "application/json"},
            )
            answer = connection.getresponse()
            body = answer.read(_LARGEST_ANSWER)
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            raise NotSentError(_reason(error)) from None
        finally:
            connection.close()
        self._check(answer.status, body, answer.headers.get("Retry-After", ""))

    def _check(self, status: int, body: bytes, retry_after: str) -> None:
        try:
            answer: Any = json.loads(body)
        except (ValueError, RecursionError):
            # Not from Telegram; RecursionError if it is nested too deeply.
            answer = None
        answer = answer if isinstance(answer, dict) else {}
        if 200 <= status < 300 and answer.get("ok") is True:
            return
        description = str(answer.get("description", "no reason given")).replace(self._chat.token, "[token]")
        reason = f"{status} {description[:200]!r}"
        if status == 429:
            raise NotSentError(reason, wait_s=_wait_s(answer, retry_after))
        # Retrying doesn't help a bad request, and following a redirect would send the token elsewhere.
        raise NotSentError(reason, is_final=300 <= status < 500)


_NO_PREVIEW: Final = {"is_disabled": True}


def _wait_s(answer: dict[str, Any], retry_after: str) -> float:
    """Seconds that a 429 asks for, in its parameters or else in its header; 0 if it doesn't say."""
    parameters = answer.get("parameters")
    seconds = parameters.get("retry_after") if isinstance(parameters, dict) else None
    if isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and 0 <= seconds < float("inf"):
        return float(seconds)
    return float(retry_after) if retry_after.isascii() and retry_after.isdigit() else 0.0


def _reason(error: Exception) -> str:
    """The reason in our words: the library's messages may quote the request."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, (socket.gaierror, UnicodeError)):
        # UnicodeError: not a valid name, like a..b.
        return "its name can't be resolved"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"no HTTP answer ({type(error).__name__})"
