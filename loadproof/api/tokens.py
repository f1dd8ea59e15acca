"""Asks for an OAuth2 token, and reads it from the answer; pure.

Source: RFC 6749, sections 2.3.1, 4.4 and 5.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_plus, urlencode, urlsplit

from loadproof.http.headers import unsendable
from loadproof.http.messages import Request
from loadproof.scenario.target.auth import AUTHORIZATION, basic_value

if TYPE_CHECKING:
    from loadproof.http.answers import Answer
    from loadproof.scenario.target.auth import OAuth2

_OK: Final = 200
_MARGIN_SHARE: Final = 0.25
_LONGEST_MARGIN_S: Final = 60.0
_SHORTEST_USE_S: Final = 1.0
"""However short a token's stated life: token requests must not become a load of their own."""
_ERROR_CODE: Final = re.compile(r"[ -~]{1,80}")


class NoTokenError(ValueError):
    """The answer has no usable token; the text says why. `is_refusal`: asking again won't help."""

    def __init__(self, reason: str, *, is_refusal: bool = False) -> None:
        super().__init__(reason)
        self.is_refusal = is_refusal


@dataclass(frozen=True)
class Token:
    """A token, and how long it is valid."""

    value: str
    lasts_s: float
    """From when it was requested; infinite if the answer doesn't say."""

    @property
    def renew_after_s(self) -> float:
        """When to request the next one: a quarter of its life before its end, but at most a minute before."""
        margin_s = min(self.lasts_s * _MARGIN_SHARE, _LONGEST_MARGIN_S)
        return max(self.lasts_s - margin_s, _SHORTEST_USE_S) if self.lasts_s < math.inf else math.inf


def origin_of(url: str) -> str:
    """The URL without path and query, as a base URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def token_request(oauth2: OAuth2, url: str) -> Request:
    """The request for a token, to the origin of `url`, with the client's secret; only for sending."""
    parts, secret = urlsplit(url), os.environ.get(oauth2.client_secret, "")
    form = {"grant_type": "client_credentials", "scope": oauth2.scope, "audience": oauth2.audience, **oauth2.parameters}
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    if oauth2.secret_in == "header":  # noqa: S105 - where it goes
        # Encoded like a form's before they are joined. Source: RFC 6749, section 2.3.1.
        headers[AUTHORIZATION] = basic_value(quote_plus(oauth2.client_id), quote_plus(secret))
    else:
        form |= {"client_id": oauth2.client_id, "client_secret": secret}
    body = urlencode({name: value for name, value in form.items() if value is not None}).encode()
    path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    # Each token stands alone: it may be requested again if nobody can have seen the first request.
    return Request("POST", path, headers=headers, body=body, repeatable=True)


def read_token(answer: Answer) -> Token:
    """The token in the answer; NoTokenError if there is none that can be sent."""
    try:
        content: Any = answer.json
    except ValueError:
        content = None
    if answer.status != _OK:
        raise _refusal(answer.status, content)
    if not isinstance(content, dict):
        raise NoTokenError("status 200, but not an object in JSON")
    value, kind = content.get("access_token"), content.get("token_type", "Bearer")
    if not isinstance(value, str) or not value:
        raise NoTokenError("status 200, but no text `access_token` in the answer")
    if unsendable(value) or value != value.strip():
        raise NoTokenError("status 200, but its `access_token` can't be sent in a header")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise NoTokenError("status 200, but its `token_type` is not Bearer, which is all that loadproof can send")
    return Token(value, _lasts_s(content.get("expires_in")))


def _refusal(status: int, content: Any) -> NoTokenError:
    """With the code that says why, if there is one. Source: RFC 6749, section 5.2."""
    code = content.get("error") if isinstance(content, dict) else None
    reason = f" ({code})" if isinstance(code, str) and _ERROR_CODE.fullmatch(code) else ""
    return NoTokenError(f"status {status}{reason}", is_refusal=status in {400, 401, 403})


def _lasts_s(expires_in: Any) -> float:
    """Some servers write the number as text."""
    if expires_in is None:
        return math.inf
    try:
        lasts_s = math.nan if isinstance(expires_in, bool) else float(expires_in)
    except (TypeError, ValueError):
        lasts_s = math.nan
    if not lasts_s > 0:
        raise NoTokenError("status 200, but its `expires_in` is not a number of seconds")
    return lasts_s
