"""Writes requests by the short way: those that requests would send unchanged, with the same bytes as requests'.

What isn't plain (escapes in a path, an odd header, a file) is left to requests, at its price.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from requests.exceptions import RequestException
from requests.utils import check_header_validity

from loadproof.http.headers import encoded_head
from loadproof.http.messages import Request
from loadproof.http.packets import Packet
from loadproof.internals.requests import basic_authorization, cookie_header, encode_form, encode_json, merged_headers

if TYPE_CHECKING:
    from requests.cookies import RequestsCookieJar

    from loadproof.httpuser.transport import Pool, Transport

_PLAIN: Final = r"[A-Za-z0-9._~!$&'()*+,;=:@/-]"
_ESCAPED: Final = r"%(?!2[DE]|3[0-9]|4[1-9A-F]|5[0-9AF]|6[1-9A-F]|7[0-9AE])[0-9A-F]{2}"
"""Requests writes out what needs no escape, and escapes in capitals."""
_PLAIN_URL: Final = re.compile(
    r"(https?://(?:[a-z0-9](?:[a-z0-9_.-]*[a-z0-9])?|\[[0-9a-f:]+\])(?::[1-9][0-9]{0,4})?)"
    rf"(/(?![./])(?:(?!/[./]){_PLAIN}|{_ESCAPED})*(?:\?(?:{_PLAIN}|\?|{_ESCAPED})+)?)"
)
"""Scheme, host and port; path and query. What it matches is sent as it is written.

Source: requests 2.34, PreparedRequest.prepare_url; urllib3 2.8, util/url.py.
"""
_FORM: Final = b"Content-Type: application/x-www-form-urlencoded\r\n"
_JSON: Final = b"Content-Type: application/json\r\n"
_WITHOUT_LENGTH: Final = frozenset({"GET", "HEAD"})
_ODD: Final = frozenset({"host", "cookie", "content-length", "transfer-encoding"})
"""Headers that change what requests adds of its own."""
_USUAL: Final = frozenset({"user-agent", "accept-encoding"})
"""Headers that `http.client` adds where a locustfile took them away."""
_MOST_FORMS: Final = 64
"""Of each user: whoever asks for more URLs than these asks for ever new ones."""


class Form(NamedTuple):
    """One kind of request of one session: all but its body."""

    pool: Pool
    url: str
    path: str
    """With the query."""
    until_s: float
    """When one of its cookies expires, in seconds of Unix time."""
    start: bytes
    end: bytes
    """What follows the headers of the body."""
    has_type: bool
    """Among its own headers is the body's type."""
    bare: Packet
    """Without a body."""

    def filled(self, body: bytes, kind: bytes) -> Packet:
        """With this body, whose Content-Type is `kind`, if the locustfile has not set another."""
        kind = b"" if self.has_type else kind
        content = b"%bContent-Length: %d\r\n%b%b\r\n%b" % (self.start, len(body), kind, self.end, body)
        _, _, is_head, may_be_repeated, accepted = self.bare
        return Packet(None, content, is_head, may_be_repeated, accepted)


class _Common(NamedTuple):
    """What requests to one origin with the same headers have in common."""

    pool: Pool
    lines: bytes
    has_type: bool
    accepted: str


class Writer:
    """Of one session: what it adds to each request is written once."""

    def __init__(self, transport: Transport, headers: Mapping[str, str], cookies: RequestsCookieJar, auth: Any) -> None:
        """`auth` is a name and a password, or None."""
        self._transport = transport
        self._headers = headers
        self._cookies = cookies
        self._auth = b""
        if auth:
            self._auth = f"Authorization: {basic_authorization(*auth)}\r\n".encode("latin-1")
        self.forms: dict[Hashable, Form] = {}
        self._commons: dict[Hashable, _Common | None] = {}

    def forget(self) -> None:
        """The session's headers or cookies have changed."""
        self.forms.clear()
        self._commons.clear()

    def form(self, key: Hashable, method: str, url: str, headers: Mapping[str, str] | None) -> Form | None:
        """By its key from now on; None for what only requests knows how to send.

        UnsafeTargetError for a host that is not allowed.
        """
        plain = _PLAIN_URL.fullmatch(url)
        if plain is None or not method.isalpha():
            return None
        root, path = plain.groups()
        common_key = (root, headers and tuple(headers.items()))
        if common_key not in self._commons:
            _make_room(self._commons)
            self._commons[common_key] = self._common(root, headers)
        common = self._commons[common_key]
        if common is None:
            return None
        cookie, until_s = self._cookie(url)
        method = method.upper()
        start = b"%b %b HTTP/1.1\r\n%b%b" % (method.encode(), path.encode(), common.lines, cookie)
        length = b"" if method in _WITHOUT_LENGTH else b"Content-Length: 0\r\n"
        repeatable = Request(method, path).may_be_repeated
        bare = Packet(None, b"%b%b%b\r\n" % (start, length, self._auth), method == "HEAD", repeatable, common.accepted)
        _make_room(self.forms)
        form = Form(common.pool, url, path, until_s, start, self._auth, common.has_type, bare)
        self.forms[key] = form
        return form

    def _common(self, root: str, headers: Mapping[str, str] | None) -> _Common | None:
        pool = self._transport.pool(root)
        merged = merged_headers(headers, self._headers)
        names = {name.lower() for name in merged}
        if names & _ODD or not names >= _USUAL or (self._auth and "authorization" in names):
            return None
        try:
            for name, value in merged.items():
                check_header_validity((name, value))
            head = encoded_head("", {"Host": pool.origin.authority} | dict(merged.items()))
        except (RequestException, TypeError, ValueError):
            # Requests has to say so.
            return None
        return _Common(pool, head[2:-2], "content-type" in names, merged["Accept-Encoding"])

    def _cookie(self, url: str) -> tuple[bytes, float]:
        if not len(self._cookies):
            return b"", math.inf
        cookie = cookie_header(self._cookies, url)
        until_s = min((each.expires for each in self._cookies if each.expires), default=math.inf)
        return (f"Cookie: {cookie}\r\n".encode("latin-1") if cookie else b""), until_s


def _make_room(entries: dict[Hashable, Any]) -> None:
    if len(entries) >= _MOST_FORMS:
        entries.clear()


def encoded_body(data: Any, json: Any) -> tuple[str | bytes, bytes]:
    """A body, and its Content-Type as a header; an empty one if requests has to encode it.

    Source: requests 2.34, PreparedRequest.prepare_body.
    """
    if not data:
        try:
            return encode_json(json).encode(), _JSON
        except ValueError:
            return b"", _JSON
    if isinstance(data, (str, bytes)):
        return data, b""
    if isinstance(data, (Mapping, list, tuple)):
        return encode_form(data), _FORM
    return b"", b""


def with_params(url: str, params: Any) -> str | None:
    """None if requests has to do it."""
    if not isinstance(params, (Mapping, list, tuple)):
        return None
    encoded = encode_form(params)
    return f"{url}{'&' if '?' in url else '?'}{encoded}" if encoded else url
