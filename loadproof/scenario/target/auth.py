"""A target file's `auth:`, checked: how requests authenticate, by HTTP basic or OAuth2 client credentials.

Secrets come from environment variables; the file has only their names.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal, Protocol
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints, WithJsonSchema

from loadproof.scenario.mistake import Mistake
from loadproof.scenario.safety import is_loopback
from loadproof.scenario.strict import Strict
from loadproof.scenario.target.headers import is_of_secret

AUTHORIZATION: Final = "Authorization"
_VARIABLE: Final = r"^[A-Z_][A-Z0-9_]{0,79}$"
_OWN_PARAMETERS: Final = {
    "grant_type": "leave it out",
    "client_id": "write it as `client_id`",
    "client_secret": "write it as `client_secret`",
    "scope": "write it as `scope`",
    "audience": "write it as `audience`",
}
_EXAMPLE: Final = "write it like https://login.example.test/oauth/token, or /oauth/token if it is below base_url"


def _named_variable(name: str) -> str:
    if not re.fullmatch(_VARIABLE, name):
        # The message doesn't show it: it may be the secret itself.
        remedy = "write the name of an environment variable that holds it, in capitals, like API_SECRET"
        raise ValueError(f"a secret in a file; {remedy}")
    return name


def _user_name(name: str) -> str:
    """Source: RFC 7617, section 2."""
    if ":" in name or not name.isprintable():
        raise ValueError("a colon or a control character in a user name; HTTP basic has no way to send it")
    return name


def _token_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        has_place = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise ValueError(f"not a token URL; {_EXAMPLE}") from None
    is_path = url.startswith("/") and not url.startswith("//")
    is_written = url.isascii() and url.isprintable() and not set(' #@\\"<>') & set(url)
    if not (is_written and (has_place or is_path)):
        raise ValueError(f"not a token URL; {_EXAMPLE}")
    return url


SecretName = Annotated[str, WithJsonSchema({"type": "string", "pattern": _VARIABLE}), AfterValidator(_named_variable)]
"""The name of an environment variable, in capitals, so that a secret written by mistake is noticed."""
Text = Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=r"^[ -~]+$")]


class BasicAuth(Strict):
    """HTTP basic: user and password in each request. Source: RFC 7617."""

    user: Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_user_name)]
    password: SecretName = Field(description="The environment variable that holds the password.")


class OAuth2(Strict):
    """Client credentials: a token that stands for the program rather than a user. Source: RFC 6749, section 4.4."""

    token_url: Annotated[str, StringConstraints(max_length=500), AfterValidator(_token_url)] = Field(
        description="Where to request tokens: a URL, or a path below base_url."
    )
    client_id: Text
    client_secret: SecretName = Field(description="The environment variable that holds the client's secret.")
    scope: Text | None = Field(None, description="One scope, or several separated by spaces.")
    audience: Text | None = Field(None, description="The token's audience, if the server requires one.")
    parameters: dict[Text, Text] = Field(default={}, description="Other parameters that the server requires.")
    secret_in: Literal["header", "body"] = Field(
        "header",
        description="How client id and secret are sent: by HTTP basic authentication, or as two more parameters.",
    )

    def url(self, base_url: str) -> str:
        return f"{base_url.rstrip('/')}{self.token_url}" if self.token_url.startswith("/") else self.token_url


class Auth(Strict):
    """One of `basic` and `oauth2`."""

    basic: BasicAuth | None = None
    oauth2: OAuth2 | None = None

    @property
    def variables(self) -> dict[str, str]:
        """Places below `auth` to the environment variables that they name."""
        named = {"basic.password": self.basic.password} if self.basic else {}
        return named | ({"oauth2.client_secret": self.oauth2.client_secret} if self.oauth2 else {})


class Guarded(Protocol):
    """A target file, or what a manifest says about one."""

    @property
    def base_url(self) -> str: ...
    @property
    def auth(self) -> Auth | None: ...


def basic_value(user: str, password: str) -> str:
    """The value of an Authorization header. Source: RFC 7617, section 2."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def fixed_headers(auth: Auth | None) -> dict[str, str]:
    """Headers for each request, with their secret; only for sending, never for a file."""
    if auth is None or auth.basic is None:
        return {}
    return {AUTHORIZATION: basic_value(auth.basic.user, os.environ.get(auth.basic.password, ""))}


def token_url_of(target: Guarded) -> str | None:
    """The URL that issues tokens for this target; None if it needs none."""
    return target.auth.oauth2.url(target.base_url) if target.auth and target.auth.oauth2 else None


def readable_secret(target: Guarded) -> str | None:
    """The token URL, if anybody on the way can read what is sent there: plain HTTP to another host than loopback."""
    url = token_url_of(target)
    is_open = url is not None and url.startswith("http:") and not is_loopback(urlsplit(url).hostname or "")
    return url if is_open else None


def auth_flaws(auth: Auth | None, headers: Mapping[str, str]) -> Iterator[Mistake]:
    """Everything that contradicts itself or another key."""
    if auth is None:
        return
    if (auth.basic is None) == (auth.oauth2 is None):
        what = "neither `basic` nor `oauth2`" if auth.basic is None else "both `basic` and `oauth2`"
        yield Mistake(("auth",), what, None, "write one of them")
    for name in headers:
        if name.lower() == AUTHORIZATION.lower():
            yield Mistake(("headers", name), "a header that `auth` sends, too", name, "keep one of them")
    for name in auth.oauth2.parameters if auth.oauth2 else ():
        if name in _OWN_PARAMETERS:
            what = "a parameter that loadproof itself sends"
            yield Mistake(("auth", "oauth2", "parameters", name), what, name, _OWN_PARAMETERS[name])
        elif is_of_secret(name):
            yield Mistake(("auth", "oauth2", "parameters", name), "a secret in a file", None, "leave it out")
