"""Parts of requests that loadproof needs and that requests doesn't promise, each behind a name of ours.

A new requests may change them without notice: `tests/loadproof/httpuser/test_equality.py` compares bytes.
Source of all: requests 2.34.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from requests import PreparedRequest, auth, models
from requests.cookies import RequestsCookieJar, extract_cookies_to_jar, get_cookie_header
from requests.structures import CaseInsensitiveDict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from requests import Response

_models: Final[Any] = models
encode_form: Final[Callable[[Any], str]] = _models.RequestEncodingMixin._encode_params
"""Fields, or pairs of names and values, as in a form or a query."""
encode_json: Final[Callable[[Any], str]] = _models.complexjson.JSONEncoder(allow_nan=False).encode
"""ValueError for what is no JSON. Source: requests/models.py, PreparedRequest.prepare_body."""


def basic_authorization(name: str, password: str) -> str:
    """The value of the header. Source: requests/auth.py."""
    return str(cast("Any", auth)._basic_auth_str(name, password))


def cookie_header(cookies: RequestsCookieJar, url: str) -> str | None:
    """What this URL is sent of the cookies. Source: requests/cookies.py."""
    asked: Any = PreparedRequest()
    asked.url, asked.headers = url, CaseInsensitiveDict()
    return cast("str | None", get_cookie_header(cookies, asked))


def cookies_set_by(response: Response) -> RequestsCookieJar:
    """By this one answer. Source: requests/cookies.py, which reads the raw response."""
    cookies = RequestsCookieJar()
    extract_cookies_to_jar(cookies, response.request, response.raw)
    return cookies


def prepared(method: str, url: str, headers: Iterable[tuple[str, str]], body: str | bytes | None) -> PreparedRequest:
    """As if requests had prepared it. Source: requests/models.py; its cookies are for redirects."""
    request: Any = PreparedRequest()
    request.method, request.url, request.body = method, url, body
    request.headers = CaseInsensitiveDict(headers)
    request._cookies = RequestsCookieJar()
    return cast("PreparedRequest", request)
