"""Obtains an OAuth2 token for this process's own requests when one is needed, in the thread that needs it."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

from loadproof.api.tokens import NoTokenError, origin_of, read_token, token_request
from loadproof.errors import Problem, TargetError
from loadproof.http.blocking import BlockingConnection
from loadproof.http.messages import Timing, TransportError, WantError
from loadproof.http.origin import Origin
from loadproof.scenario.target.auth import AUTHORIZATION, token_url_of
from loadproof.scenario.target.way import way_of

if TYPE_CHECKING:
    from loadproof.api.tokens import Token
    from loadproof.http.messages import RequestTimeouts
    from loadproof.scenario.target.auth import OAuth2
    from loadproof.scenario.target.variables import Target

_APART_S: Final = 2.0
"""Least time between two token requests after a failure or a refused token."""


class NoAccessError(TargetError):
    """No token was obtained; if `is_refusal`, asking again won't help."""

    def __init__(self, problem: Problem, *, is_refusal: bool) -> None:
        super().__init__(problem)
        self.is_refusal = is_refusal


class TokenHolder:
    """Provides a current token if the target file says that the target needs one."""

    def __init__(self, target: Target, timeouts: RequestTimeouts) -> None:
        self._target = target
        self._oauth2 = target.auth.oauth2 if target.auth else None
        self._url = token_url_of(target) or ""
        self._timeouts = timeouts
        self._value = ""
        self._asked_s = self._until_s = -math.inf
        self._failure: NoAccessError | None = None

    def headers(self) -> dict[str, str]:
        """The Authorization header, or nothing if no token is needed; NoAccessError if none could be obtained.

        WantError if this machine could not ask for one.
        """
        now_s = time.monotonic()
        if self._oauth2 is None:
            return {}
        if self._failure is not None and now_s < self._asked_s + _APART_S:
            raise self._failure
        if now_s >= self._until_s:
            self._asked_s, self._failure = now_s, None
            try:
                token = self._obtain(self._oauth2)
            except WantError:
                raise
            except (TransportError, NoTokenError) as error:
                is_refusal = isinstance(error, NoTokenError) and error.is_refusal
                self._failure = _no_access(self._url, str(error), is_refusal=is_refusal)
                raise self._failure from None
            self._value, self._until_s = token.value, now_s + token.renew_after_s
        return {AUTHORIZATION: f"Bearer {self._value}"}

    def refused(self) -> None:
        """Discard the token after a 401, unless it is new."""
        if time.monotonic() >= self._asked_s + _APART_S:
            self._until_s = -math.inf

    def _obtain(self, oauth2: OAuth2) -> Token:
        base_url = origin_of(self._url)
        connection = BlockingConnection(Origin.of(base_url, way_of(self._target, base_url)), self._timeouts)
        try:
            return read_token(connection.exchange(token_request(oauth2, self._url), Timing()))
        finally:
            connection.close()


def _no_access(url: str, why: str, *, is_refusal: bool) -> NoAccessError:
    remedy = "start it, or correct its address"
    if is_refusal:
        remedy = "check client_id, the secret in the variable that client_secret names, scope, audience and secret_in"
    problem = Problem("target auth.oauth2.token_url", f"no access token: {why}", remedy, got=url)
    return NoAccessError(problem, is_refusal=is_refusal)
