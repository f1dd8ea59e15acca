"""An answer as Locust's and requests' Response, whose expensive attributes are computed on first access."""

from __future__ import annotations

import datetime as dt
import functools
import json
from http.client import HTTPMessage
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from locust.clients import ResponseContextManager
from requests.cookies import RequestsCookieJar
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers
from urllib3 import HTTPHeaderDict, HTTPResponse

from loadproof.http.bodies import unwrapped
from loadproof.internals.locustclients import is_reported
from loadproof.internals.requests import cookies_set_by, prepared

if TYPE_CHECKING:
    from requests import PreparedRequest, Response

    from loadproof.http.answers import Answer
    from loadproof.http.head import AnswerHeaders
    from loadproof.http.messages import Timing
    from loadproof.http.packets import Packet

_LOWEST_FAILURE: Final = 400
_UTF_8: Final = "utf-8"


class SentRequest(NamedTuple):
    """The request that a response answers."""

    url: str
    packet: Packet
    body: str | bytes | None
    """As requests keeps it: a form is a str."""
    added: int = 0
    """How many of the headers, the first ones, a PreparedRequest wouldn't contain."""


class LazyResponse(ResponseContextManager):
    """A Locust response over loadproof's answer; inherits whatever it has in common with requests' and Locust's."""

    connection: Any

    def __init__(self, answer: Answer, timing: Timing, sent: SentRequest) -> None:
        """Skips the parents' `__init__`, whose work would be overwritten."""
        self.status_code = answer.status
        self.answer = answer
        self.timing = timing
        self.sent = sent
        self.url = sent.url
        self._content_consumed = True
        self._content = answer.received
        self._next = None
        if answer.wrapping is not None:
            self._unwrap()

    def _unwrap(self) -> None:
        """Decode gzip ourselves; leave other encodings, and broken gzip, to requests."""
        wrapping = self.answer.wrapping
        if wrapping is not None and wrapping.codings == ("gzip",):
            try:
                self._content = unwrapped(self.answer.received, wrapping)
            except ValueError:
                pass
            else:
                return
        self._content_consumed = False
        self._content: Any = False

    def __exit__(self, *raised: object) -> Any:
        """As Locust's, with a fast path for the usual case."""
        if raised[0] is None and self.status_code < _LOWEST_FAILURE and is_reported(self):
            return True
        self.request_meta = {**self.request_meta, "response": self}
        return super().__exit__(*raised)  # type: ignore[no-untyped-call]

    def json(self, **options: Any) -> Any:
        """As requests'; parses UTF-8 directly, without guessing the encoding."""
        # `encoding` may have been set; reading the property would cost a lock.
        named = self.__dict__.get("encoding") or _encoding_of(self.answer.headers.get("content-type"))
        if not options and named == _UTF_8:
            try:
                return json.loads(self._content.decode())
            except (ValueError, AttributeError):
                # Let requests report what is wrong.
                pass
        return super().json(**options)

    @functools.cached_property
    def headers(self) -> CaseInsensitiveDict[str]:  # type: ignore[override]
        return CaseInsensitiveDict(HTTPHeaderDict(self._written.fields))

    @functools.cached_property
    def reason(self) -> str:  # type: ignore[override]
        return self._written.reason

    @functools.cached_property
    def encoding(self) -> str | None:  # type: ignore[override]
        return _encoding_of(self.answer.headers.get("content-type"))

    @functools.cached_property
    def history(self) -> list[Response]:  # type: ignore[override]
        return []

    @functools.cached_property
    def cookies(self) -> RequestsCookieJar:  # type: ignore[override]
        """The cookies that this answer sets."""
        return cookies_set_by(self) if "set-cookie" in self.answer.headers else RequestsCookieJar()

    @functools.cached_property
    def raw(self) -> HTTPResponse:  # type: ignore[override]
        """The body as received, and the headers in the form that the cookie parser expects."""
        return HTTPResponse(
            BytesIO(self.answer.received),
            headers=HTTPHeaderDict(self._written.fields),
            status=self.status_code,
            reason=self.reason,
            preload_content=False,
            decode_content=False,
            original_response=cast("Any", _Received(self._written)),
            request_method="HEAD" if self.sent.packet.is_head else None,
        )

    @functools.cached_property
    def request(self) -> PreparedRequest:  # type: ignore[override]
        return prepared_of(self.sent)

    @property
    def elapsed(self) -> dt.timedelta:
        """From connecting or sending to the first byte of the answer."""
        timing = self.timing
        return dt.timedelta(seconds=timing.sent_s - timing.began_s + timing.first_byte_s)

    @elapsed.setter
    def elapsed(self, _: dt.timedelta) -> None:
        """Ignored: requests sets a value that includes its own work; the transport's is more accurate."""

    @property
    def _written(self) -> AnswerHeaders:
        return cast("AnswerHeaders", self.answer.headers)


class _Received:
    """Stands in for `http.client`'s response, where requests looks for cookies."""

    def __init__(self, headers: AnswerHeaders) -> None:
        self.msg = HTTPMessage()
        for name, value in headers.fields:
            self.msg[name] = value

    def isclosed(self) -> bool:
        return True

    def close(self) -> None:
        """Nothing to do: the transport keeps the connection."""


@functools.lru_cache(1024)
def _encoding_of(content_type: str | None) -> str | None:
    return get_encoding_from_headers({"content-type": content_type}) if content_type else None


def prepared_of(sent: SentRequest) -> PreparedRequest:
    """The request as requests would have prepared it, parsed from the bytes sent."""
    head, _, _ = sent.packet.content.partition(b"\r\n\r\n")
    request_line, *lines = head.decode("latin-1").split("\r\n")
    fields = [tuple(line.split(": ", 1)) for line in lines[sent.added :]]
    return prepared(request_line.partition(" ")[0], sent.url, cast("list[tuple[str, str]]", fields), sent.body)
