"""The fast path: encodes plain requests to the same bytes that requests would send.

Anything unusual (odd headers, streams, custom authentication) is left to requests, at its cost.
"""

from __future__ import annotations

import functools
import math
import re
import time
from collections.abc import Hashable, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from requests import PreparedRequest
from requests.exceptions import InvalidHeader, RequestException
from requests.utils import check_header_validity

from loadproof.http.headers import UnsendableHeaderError, encoded_head
from loadproof.http.messages import Request
from loadproof.http.packets import Packet
from loadproof.httpuser.terms import AUTHORIZATION
from loadproof.internals.requests import basic_authorization, cookie_header, merged_cookies

if TYPE_CHECKING:
    from requests.cookies import RequestsCookieJar

    from loadproof.httpuser.terms import Terms
    from loadproof.httpuser.transport import Pool, Transport

_PLAIN: Final = r"[A-Za-z0-9._~!$&'()*+,;=:@/-]"
_ESCAPED: Final = r"%(?!2[DE]|3[0-9]|4[1-9A-F]|5[0-9AF]|6[1-9A-F]|7[0-9AE])[0-9A-F]{2}"
"""Escapes that requests leaves alone: it decodes unreserved characters, and writes escapes in capitals."""
_PLAIN_URL: Final = re.compile(
    r"(https?://(?:[a-z0-9](?:[a-z0-9_.-]*[a-z0-9])?|\[[0-9a-f:]+\])(?::[1-9][0-9]{0,4})?)"
    rf"(/(?![./])(?:(?!/[./]){_PLAIN}|{_ESCAPED})*(?:\?(?:{_PLAIN}|\?|{_ESCAPED})+)?)"
)
"""Scheme, host and port; path and query. A URL that matches is sent as written.

Source: requests 2.34, PreparedRequest.prepare_url; urllib3 2.8, util/url.py.
"""
_WITHOUT_LENGTH: Final = frozenset({"GET", "HEAD"})
_ODD: Final = frozenset({"host", "cookie", "content-length", "transfer-encoding"})
"""Headers that change what requests adds itself."""
_USUAL: Final = (("Accept-Encoding", "identity"), ("User-Agent", f"python-urllib3/{version('urllib3')}"))
"""Headers that are added where a locustfile removed them. Source: urllib3 2.8, HTTPConnection.request."""
_MOST_URLS: Final = 4096
"""Per process."""
_MOST_FORMS: Final = 64
"""Per user: one that requests more URLs than this probably never repeats them."""


class Form(NamedTuple):
    """A request of one session, encoded except for its body."""

    pool: Pool
    url: str
    path: str
    """Including the query."""
    until_s: float
    """When the first of the cookies expires, in Unix time."""
    start: bytes
    end: bytes
    """What follows the body's headers."""
    has_type: bool
    """Its headers already include Content-Type."""
    added: int
    """How many of the headers, the first ones, are added below requests, by urllib3 and `http.client`."""
    bare: Packet
    """The request without a body."""

    def filled(self, body: bytes, kind: bytes) -> Packet:
        """The request with this body; `kind` is its Content-Type header, unless the locustfile has set one."""
        kind = b"" if self.has_type else kind
        content = b"%bContent-Length: %d\r\n%b%b\r\n%b" % (self.start, len(body), kind, self.end, body)
        _, _, is_head, may_be_repeated, accepted, is_last = self.bare
        return Packet(None, content, is_head, may_be_repeated, accepted, is_last)


class _Common(NamedTuple):
    """What requests to one origin with the same headers share."""

    pool: Pool
    lines: bytes
    names: frozenset[str]
    added: int
    accepted: str
    cookie: bytes | None
    """None if it depends on the path."""
    until_s: float
    authorization: bytes
    """The target file's, for requests that don't set their own."""


class Writer:
    """Encodes requests of one session; what the session adds to each of them is encoded once."""

    def __init__(
        self,
        transport: Transport,
        headers: Mapping[str, str],
        cookies: RequestsCookieJar,
        auth: Any,
        *,
        terms: Terms | None = None,
    ) -> None:
        """`auth` is a tuple of name and password, or None."""
        self._transport = transport
        self._terms = terms
        self._number = terms.number if terms else 0
        self._headers = headers
        self._cookies = cookies
        self._auth = auth
        self._own = self._checked_own()
        self.forms: dict[Hashable, Form] = {}
        self._commons: dict[Hashable, _Common | None] = {}

    @property
    def is_outdated(self) -> bool:
        """The target file's credential has been renewed since the forms were encoded."""
        return self._terms is not None and self._terms.number != self._number

    def forget(self) -> None:
        """Drop all forms: the session's headers, cookies or credential have changed."""
        self._number = self._terms.number if self._terms else 0
        self._own = self._checked_own()
        self.forms.clear()
        self._commons.clear()

    def _checked_own(self) -> dict[str, tuple[str, str]] | None:
        return None if None in self._headers.values() else _checked(self._headers)

    def form(
        self,
        key: Hashable,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None,
        cookies: Mapping[str, str] | None,
        auth: tuple[str, str] | None,
    ) -> Form | None:
        """The form, kept in `forms` under its key; None if only requests can send such a request.

        UnsafeTargetError for a host that is not allowed.
        """
        whole = _parts_of(url)
        if whole is None or not method.isalpha():
            return None
        url, root, path = whole
        common = self._common_of(root, headers)
        auth = auth or self._auth
        if common is None or (auth and "authorization" in common.names):
            return None
        if cookies:
            cookie = _cookie_line(merged_cookies(self._cookies, cookies), url)
        else:
            cookie = _cookie_line(self._cookies, url) if common.cookie is None else common.cookie
        method, end = method.upper(), _authorization_line(auth) or common.authorization
        target = f"{common.pool.origin.absolute}{path}"
        start = b"%b %b HTTP/1.1\r\n%b%b" % (method.encode(), target.encode(), common.lines, cookie)
        length = b"" if method in _WITHOUT_LENGTH else b"Content-Length: 0\r\n"
        repeatable = Request(method, path).may_be_repeated
        bare = Packet(None, b"%b%b%b\r\n" % (start, length, end), method == "HEAD", repeatable, common.accepted)
        has_type = "content-type" in common.names
        form = Form(common.pool, url, path, common.until_s, start, end, has_type, common.added, bare)
        _make_room(self.forms)
        self.forms[key] = form
        return form

    def _common_of(self, root: str, headers: Mapping[str, str] | None) -> _Common | None:
        key = (root, tuple((headers or {}).items()))
        common = self._commons.get(key)
        if key not in self._commons or (common and common.until_s <= time.time()):
            common = self._make_common(root, headers)
            _make_room(self._commons)
            self._commons[key] = common
        return common

    def _make_common(self, root: str, headers: Mapping[str, str] | None) -> _Common | None:
        of_request = _checked(headers or {})
        if self._own is None or of_request is None:
            return None
        terms = self._terms if self._terms and self._terms.is_own(root) else None
        merged = self._own | (terms.unsaid(headers or {}, self._headers) if terms else {}) | of_request
        removed = {name.lower() for name, value in (headers or {}).items() if value is None}
        names = frozenset(merged) - removed
        if names & _ODD:
            return None
        pool, authorization = self._transport.pool(root), b""
        added = {name: value for name, value in _USUAL if name.lower() not in names}
        own = dict(merged[name] for name in merged if name in names)
        lines = {**pool.headers, **added, **own}
        try:
            head = encoded_head("", lines)
            if terms and AUTHORIZATION not in names | removed:
                authorization = terms.authorization_line
        except UnsendableHeaderError:
            # Let requests report it.
            return None
        is_for_all = all(cookie.path == "/" for cookie in self._cookies)
        cookie = _cookie_line(self._cookies, f"{root}/") if is_for_all else None
        until_s = min((each.expires for each in self._cookies if each.expires), default=math.inf)
        accepted = next(value for name, value in lines.items() if name.lower() == "accept-encoding")
        return _Common(
            pool, head[2:-2], names, len(pool.headers) + len(added), accepted, cookie, until_s, authorization
        )


def _checked(headers: Mapping[str, Any]) -> dict[str, tuple[str, str]] | None:
    """Headers by lower-case name, without those whose value is None; None if requests has to handle or refuse one."""
    checked = {}
    if len({str(name).lower() for name in headers}) < len(headers):
        # Names that differ only in case: let requests decide which one wins.
        return None
    for name, value in headers.items():
        if value is None:
            continue
        if type(name) is not str or type(value) is not str or not name.isascii():
            return None
        try:
            check_header_validity((name, value))
        except InvalidHeader:
            return None
        checked[name.lower()] = (name, value)
    return checked


@functools.lru_cache(_MOST_URLS)
def _parts_of(url: str) -> tuple[str, str, str] | None:
    """The URL as sent; its scheme, host and port; its path with the query. None if requests has to handle it."""
    plain = _PLAIN_URL.fullmatch(url)
    if plain is None:
        asked = PreparedRequest()
        try:
            asked.prepare_url(url, None)
        except (RequestException, ValueError):
            return None
        url = str(asked.url)
        plain = _PLAIN_URL.fullmatch(url.partition("#")[0])
    return (url, plain[1], plain[2]) if plain else None


@functools.lru_cache(_MOST_FORMS)
def _authorization_line(auth: tuple[str, str] | None) -> bytes:
    return f"Authorization: {basic_authorization(*auth)}\r\n".encode("latin-1") if auth else b""


def _cookie_line(cookies: RequestsCookieJar, url: str) -> bytes:
    cookie = cookie_header(cookies, url) if len(cookies) else None
    return f"Cookie: {cookie}\r\n".encode("latin-1") if cookie else b""


def _make_room(entries: dict[Hashable, Any]) -> None:
    if len(entries) >= _MOST_FORMS:
        entries.clear()
