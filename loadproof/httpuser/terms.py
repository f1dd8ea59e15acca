"""Applies a target file's headers, credential, trust and proxy to HTTP clients whose locustfiles don't mention them.

Headers and credentials never go to another host. What a request or its session sets itself takes precedence.
"""

from __future__ import annotations

import base64
import functools
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from requests.utils import default_headers

from loadproof.errors import Problem, UnsafeTargetError
from loadproof.http.headers import encoded_head
from loadproof.http.messages import UNAUTHORIZED
from loadproof.http.origin import Origin, Way
from loadproof.http.tls import SYSTEM, Trust

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from loadproof.users.credentials import Credential

Verify = bool | str | None
Certificate = str | tuple[str, str] | None
AUTHORIZATION: Final = "authorization"
_FIRST_FAILURE: Final = 400
_USUAL: Final = {name.lower(): value for name, value in default_headers().items()}
"""Headers that requests sends by default; a locustfile hasn't set them."""


class Terms:
    """What one process's target file says about requests to its target."""

    def __init__(self, origin: Origin, headers: Mapping[str, str], credential: Credential | None = None) -> None:
        """`origin` includes the way to the target; `headers` are complete with secrets, and a fixed Authorization."""
        self.origin = origin
        self._root = origin.root
        self._headers = {name.lower(): (name, value) for name, value in headers.items()}
        self._authorization = self._headers.pop(AUTHORIZATION, ("", ""))[1]
        self.host = self._headers.pop("host", ("", ""))[1]
        """Replaces the URL's host in the Host header; empty if it isn't replaced."""
        self._credential = credential
        trust = origin.way.trust
        self.verify: bool | str = trust.ca_file or trust.verify
        """In the form that requests expects, like `cert`."""
        self.cert: Certificate = trust.client_certificate
        if trust.client_certificate and trust.client_key:
            self.cert = trust.client_certificate, trust.client_key

    @property
    def proxy_credentials(self) -> tuple[str, str] | None:
        proxy = self.origin.way.proxy
        if proxy is None or proxy.authorization is None:
            return None
        user, _, password = base64.b64decode(proxy.authorization.removeprefix("Basic ")).decode().partition(":")
        return user, password

    @property
    def proxy_url(self) -> str:
        """As a URL for requests; empty without a proxy."""
        proxy = self.origin.way.proxy
        if proxy is None:
            return ""
        host = f"[{proxy.host}]" if ":" in proxy.host else proxy.host
        credentials = ":".join(quote(part, safe="") for part in self.proxy_credentials or ())
        return f"http://{credentials}{'@' if credentials else ''}{host}:{proxy.port}"

    def is_own(self, url: str) -> bool:
        return _root_of(url) == self._root

    @property
    def number(self) -> int:
        """The credential's number; anything encoded with another one is outdated."""
        return self._credential.number if self._credential else 0

    @property
    def authorization(self) -> str:
        """The current value of Authorization; empty if there is none."""
        return (self._credential and self._credential.value) or self._authorization

    @property
    def authorization_line(self) -> bytes:
        return encoded_head("", {"Authorization": self.authorization})[2:-2] if self.authorization else b""

    def way(self, url: str, verify: Verify, cert: Certificate) -> Way:
        """The way to the URL's host, with `verify` and `cert` of a request or its session, which start as ours."""
        way = self.origin.way
        if self.is_own(url):
            return Way(replace(trust_of(verify, cert), server_name=way.trust.server_name), way.proxy)
        return Way(trust_of(*self.elsewhere(verify, cert)), way.proxy)

    def elsewhere(self, verify: Verify, cert: Certificate) -> tuple[Verify, Certificate]:
        """`verify` and `cert` for another host: it isn't shown our certificate, nor covered by `verify: false`."""
        return True if verify == self.verify else verify, None if cert == self.cert else cert

    def unsaid(self, of_request: Mapping[str, Any], of_session: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
        """Our headers, by lower-case name, that neither sets (except Authorization). A value of None counts as set."""
        said = {str(name).lower() for name in of_request}
        said |= {str(name).lower() for name, value in of_session.items() if _USUAL.get(str(name).lower()) != value}
        return {lower: header for lower, header in self._headers.items() if lower not in said}

    def beneath(
        self, of_request: Mapping[str, Any], of_session: Mapping[str, Any], auth: object, *, with_host: bool
    ) -> dict[str, Any]:
        """A request's headers completed with ours, where neither the request nor its session sets them."""
        headers = {**of_request, **dict(self.unsaid(of_request, of_session).values())}
        said = {str(name).lower() for name in (*of_request, *of_session)}
        if self.authorization and not auth and AUTHORIZATION not in said:
            headers["Authorization"] = self.authorization
        return {**headers, "Host": self.host} if with_host and self.host and "host" not in said else headers

    def redirect(self, headers: dict[str, str], *, begun_at: str, to: str) -> None:
        """Remove our headers from a request redirected to another host; they stay removed if it is redirected back."""
        if self.is_own(begun_at) and not self.is_own(to):
            for lower, (name, value) in self._headers.items():
                if headers.get(name) == value:
                    del headers[name]
                    headers.update({name: _USUAL[lower]} if lower in _USUAL else {})
            if self.authorization:
                headers.pop("Authorization", None)
            if self.host and headers.get("Host") == self.host:
                del headers["Host"]

    def place(self, location: str, asked: str) -> str:
        """Where a redirect leads: a target addressed by the name in our Host header redirects to that name."""
        named = f"{self._root.partition('://')[0]}://{self.host}"
        rest = location.removeprefix(named)
        is_named = bool(self.host) and self.is_own(asked) and rest != location and rest[:1] in {"", "/", "?", "#"}
        return f"{self._root}{rest}" if is_named else location

    def look_after(self, name: str, status: int, *, is_ours: bool) -> None:
        """Renew the credential if a request was refused with it; returns once the renewal has ended.

        `is_ours`: the request was sent with the current one.
        """
        credential = self._credential
        if credential is None or not is_ours:
            return
        if status == UNAUTHORIZED:
            credential.refused(name, credential.number)
        elif 0 < status < _FIRST_FAILURE:
            credential.accepted(name, credential.number)


class _Process:
    """Where this process's clients get their terms; the run sets `ask`. In plain Locust, there are none."""

    ask: Callable[[], Terms | None] = staticmethod(lambda: None)


THIS_PROCESS: Final = _Process()


def check_proxy(host: object, port: object) -> None:
    """UnsafeTargetError for a proxy that isn't the target file's: the report wouldn't mention it."""
    own = THIS_PROCESS.ask()
    named = own.origin.way.proxy if own else None
    if named is None or (str(host).strip("[]"), port) != (named.host, named.port):
        what, remedy = "its own proxy would be between the load and the target", "name it as `proxy` in the target file"
        raise UnsafeTargetError(Problem("locustfile", what, f"{remedy}, or leave it out", got=f"{host}:{port}"))


@functools.lru_cache(256)
def _root_of(url: str) -> str:
    """Scheme, host and port, normalized; empty if it isn't a URL."""
    try:
        return Origin.of(url).root
    except ValueError:
        return ""


def trust_of(verify: Verify, cert: Certificate) -> Trust:
    """Requests' `verify` and `cert` as loadproof's Trust."""
    certificate, key = cert if isinstance(cert, tuple) else (cert, None)
    if verify in {True, None} and certificate is None:
        return SYSTEM
    return Trust(
        ca_file=verify if isinstance(verify, str) else None,
        verify=verify is not False,
        client_certificate=certificate,
        client_key=key,
    )
