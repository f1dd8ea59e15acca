"""Private parts of requests that loadproof needs, each behind one name.

A new version of requests may change them without notice: `tests/loadproof/httpuser/test_equality.py` compares bytes.
Source for all: requests 2.34.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from requests import PreparedRequest, auth, models
from requests.cookies import (
    RequestsCookieJar,
    cookiejar_from_dict,
    extract_cookies_to_jar,
    get_cookie_header,
    merge_cookies,
)
from requests.structures import CaseInsensitiveDict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from requests import Response

_models: Final[Any] = models
encode_form: Final[Callable[[Any], str]] = _models.RequestEncodingMixin._encode_params
"""Encodes fields, or pairs of names and values, as in a form or a query."""
encode_files: Final[Callable[[Any, Any], tuple[bytes, str]]] = _models.RequestEncodingMixin._encode_files
"""Encodes files and form fields as a multipart body; returns the body and its Content-Type."""
encode_json: Final[Callable[[Any], str]] = _models.complexjson.JSONEncoder(allow_nan=False).encode
"""ValueError for values that JSON lacks, such as NaN. Source: requests/models.py, PreparedRequest.prepare_body."""


def basic_authorization(name: str, password: str) -> str:
    """The value of an Authorization header. Source: requests/auth.py."""
    return str(cast("Any", auth)._basic_auth_str(name, password))


def cookie_header(cookies: RequestsCookieJar, url: str) -> str | None:
    """The Cookie header for this URL; None if no cookie matches. Source: requests/cookies.py."""
    asked: Any = PreparedRequest()
    asked.url, asked.headers = url, CaseInsensitiveDict()
    return cast("str | None", get_cookie_header(cookies, asked))


def cookies_set_by(response: Response) -> RequestsCookieJar:
    """The cookies that one answer sets. Source: requests/cookies.py, which reads the raw response."""
    cookies = RequestsCookieJar()
    extract_cookies_to_jar(cookies, response.request, response.raw)
    return cookies


def merged_cookies(of_session: RequestsCookieJar, cookies: Mapping[str, str] | None) -> RequestsCookieJar:
    """A session's cookies with those of a request added. Source: requests/sessions.py, Session.prepare_request."""
    merged = merge_cookies(RequestsCookieJar(), of_session)
    return cast("RequestsCookieJar", merge_cookies(merged, cookiejar_from_dict(cookies or {})))


def prepared(method: str, url: str, headers: Iterable[tuple[str, str]], body: str | bytes | None) -> PreparedRequest:
    """A request as if requests had prepared it. Source: requests/models.py."""
    request: Any = PreparedRequest()
    request.method, request.url, request.body = method, url, body
    request.headers = CaseInsensitiveDict(headers)
    return cast("PreparedRequest", request)


def keep_cookies(request: PreparedRequest, cookies: RequestsCookieJar) -> None:
    """Keep these cookies for redirects of the request. Source: requests/sessions.py, resolve_redirects."""
    cast("Any", request)._cookies = cookies
