"""Locust's HttpSession on loadproof's transport: plain requests take a fast path, all others go through requests."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import requests
from locust.clients import ResponseContextManager
from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidSchema, InvalidURL, MissingSchema, RequestException

from loadproof.http.messages import Timing, TransportError
from loadproof.httpuser.bodies import encoded_body, with_params
from loadproof.httpuser.failures import requests_error
from loadproof.httpuser.locusts import TermsSession
from loadproof.httpuser.response import LazyResponse, SentRequest, prepared_of
from loadproof.httpuser.transport import Transport, check_support, timeouts_of
from loadproof.httpuser.unsupported import not_supported
from loadproof.httpuser.watched import WatchedCookies, WatchedHeaders
from loadproof.httpuser.writing import Writer
from loadproof.internals.locustclients import complete_url, report_to
from loadproof.internals.requests import keep_cookies, merged_cookies

if TYPE_CHECKING:
    from collections.abc import Callable

    from locust.event import EventHook
    from requests import Response
    from requests.adapters import BaseAdapter

    from loadproof.httpuser.transport import Pool
    from loadproof.httpuser.writing import Form

_SCHEMES: Final = ("https://", "http://")
_SETTINGS: Final = frozenset({"headers", "cookies", "auth"})
"""Settings that a session adds to each request."""
_OF_TEXTS: Final = frozenset({"headers", "cookies"})
_WITHOUT_LOOK: Final = frozenset({"params", "files", "verify", "cert", "timeout", "allow_redirects"})
"""Options that the fast path handles, whatever their value."""
_WITHOUT_EFFECT: Final = frozenset({"proxies", "trust_env"})
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class _Ended(NamedTuple):
    """A response, possibly one that wraps requests' exception, and what to report about it."""

    response: Any
    duration_s: float
    url: str
    """The first request's, if it was redirected."""
    path: str


class HttpSession(TermsSession):
    """The client of one user."""

    _sends_host = False

    _writer: Writer | None = None
    """None if every request has to go through requests."""
    explicit_name: str | None = None
    """Locust's name for the request that requests prepares."""
    _is_made = False
    """`requests.Session.__init__` has finished."""
    _assigned: dict[str, Any] | None = None
    """Copy of a plain dict that the locustfile assigned to `headers`, to notice changes to it."""

    def __init__(self, base_url: str, request_event: EventHook, user: Any) -> None:
        super().__init__(base_url, request_event, user)
        self.trust_env = False
        self._transport = Transport(self._terms)
        for scheme in _SCHEMES:
            super().mount(scheme, self._transport)
        self.cookies = WatchedCookies()
        self.headers = WatchedHeaders(self.headers)
        self._is_made = True
        self._begin_anew()

    def __setattr__(self, name: str, value: Any) -> None:
        if value and name in _WITHOUT_EFFECT and self._is_made:
            raise not_supported(f"client.{name}")
        super().__setattr__(name, value)
        if name in _SETTINGS and self._is_made:
            self._begin_anew()

    def mount(self, prefix: str | bytes, adapter: BaseAdapter) -> None:
        """Accepts adapters that only set how many connections to keep, which has no effect; NotSupportedError else."""
        if not self._is_made:
            super().mount(prefix, adapter)
        elif prefix not in _SCHEMES or type(adapter) is not HTTPAdapter or adapter.max_retries.total:
            raise not_supported("client.mount(…)")

    def close(self) -> None:
        """Close the connections; the next request opens one."""
        self._transport.close()

    def request(  # type: ignore[override]
        self,
        method: str,
        url: str,
        name: str | None = None,
        catch_response: bool = False,
        context: Mapping[str, Any] = _NOTHING,
        *,
        data: Any = None,
        json: Any = None,
        **options: Any,
    ) -> ResponseContextManager:
        """Locust's HttpSession.request: sends, fires Locust's `request` event, and returns the response.

        In addition to Locust's errors, raises NotSupportedError for unsupported options, and UnsafeTargetError for a
        host that is not allowed.
        """
        start_time = time.time()
        name = name or self.request_name
        ended = self._send_plain(method, url, data, json, options)
        if ended is None:
            self.explicit_name = name
            ended = self._send_by_requests(method, url, data=data, json=json, **options)
        response, duration_s, first_url, first_path = ended
        if options.get("stream"):
            length = int(response.headers.get("content-length") or 0)
        else:
            length = len(response.content or b"")
        meta = {
            "request_type": method,
            "response_time": duration_s * 1000,
            "name": name or first_path,
            "context": {**self.user.context(), **context} if self.user else context,
            "exception": None,
            "start_time": start_time,
            "url": first_url,
            "response_length": length,
        }
        if not isinstance(response, LazyResponse):
            meta["response"] = response
        report_to(response, self.request_event, meta, is_caught=catch_response)
        if not catch_response:
            response.__exit__(None, None, None)
        own = self._terms
        if own and own.number and isinstance(response, LazyResponse):
            is_ours = own.authorization_line in response.sent.packet.content
            own.look_after(str(meta["name"]), response.status_code, is_ours=is_ours)
        return cast("ResponseContextManager", response)

    def _begin_anew(self) -> None:
        """Start over with new headers, cookies or auth; without a writer if the fast path can't handle them."""
        headers, cookies, auth = self.headers, self.cookies, self.auth
        self._writer = None
        self._assigned = dict(headers) if type(headers) is dict else None
        is_plain = auth is None or _is_name_and_password(auth)
        if is_plain and isinstance(headers, (WatchedHeaders, dict)) and isinstance(cookies, WatchedCookies):
            self._writer = Writer(self._transport, headers, cookies, auth, terms=self._terms)
            cookies.changed = self._writer.forget
            if isinstance(headers, WatchedHeaders):
                headers.changed = self._writer.forget

    def _send_plain(self, method: str, url: str, data: Any, json: Any, options: dict[str, Any]) -> _Ended | None:
        """None if it has to go through requests."""
        form = self._form(method, url, options)
        sent = form and _filled(form, data, json, options.get("files"))
        if form is None or sent is None:
            return None
        timing, timeouts = Timing(), timeouts_of(options.get("timeout"))
        pool = self._pool(form, options)
        try:
            answer = pool.exchange(sent.packet, timing, timeouts)
        except TransportError as error:
            failure = requests_error(error, prepared_of(sent), pool.origin, timeouts)
            return _ended(ResponseContextManager(failure), timing, form.url, url)
        response = LazyResponse(answer, timing, sent)
        if answer.wrapping is not None or "set-cookie" in answer.headers or "location" in answer.headers:
            # Cookies, encodings, redirects: requests processes what was received.
            prepared: Any = response.request
            prepared.received = response
            keep_cookies(prepared, merged_cookies(self.cookies, options.get("cookies")))
            follow: dict[str, Any] = {name: options[name] for name in ("timeout", "verify", "cert") if name in options}
            follow["allow_redirects"] = options.get("allow_redirects", True)
            return _ended(_safely(lambda: self.send(prepared, **follow)), timing, form.url, url)
        return _Ended(response, timing.ended_s - timing.began_s, form.url, form.path)

    def _form(self, method: str, url: str, options: dict[str, Any]) -> Form | None:
        """None if it has to go through requests, because of its options or the session's."""
        if self._assigned is not None and self._assigned != self.headers:
            self._begin_anew()
        writer = self._writer
        if writer is None or self.params or self.proxies or self.hooks.get("response") or not _are_plain(options):
            return None
        if writer.is_outdated:
            writer.forget()
        params, headers, cookies, auth = map(options.get, ("params", "headers", "cookies", "auth"))
        asked = with_params(url, params) if params else url
        if asked is None:
            return None
        # A path leads elsewhere once a task has changed `base_url`.
        key: Any = (method, self.base_url, asked)
        if headers or cookies or auth:
            key = (*key, tuple((headers or {}).items()), tuple((cookies or {}).items()), auth)
        form = writer.forms.get(key)
        if form is None or (form.until_s < math.inf and form.until_s <= time.time()):
            form = writer.form(key, method, complete_url(self, asked), headers=headers, cookies=cookies, auth=auth)
        return form

    def _pool(self, form: Form, options: dict[str, Any]) -> Pool:
        """Connections to this host, with the request's `verify` and `cert`, or the session's."""
        pool = form.pool
        if not pool.origin.tls:
            return pool
        verify, cert = options.get("verify"), options.get("cert")
        return self._transport.pool(
            pool.root, self.verify if verify is None else verify, self.cert if cert is None else cert
        )

    def _send_by_requests(self, method: str, url: str, **options: Any) -> _Ended:
        check_support(proxies=options.get("proxies"))
        if self.proxies:
            raise not_supported("client.proxies")
        whole_url = complete_url(self, url)
        self._transport.check(whole_url)
        timing = Timing()
        timing.began_s = time.monotonic()
        response = _safely(lambda: requests.Session.request(self, method, whole_url, **options))
        return _ended(response, timing, whole_url, url, is_streamed=bool(options.get("stream")))


def _filled(form: Form, data: Any, json: Any, files: Any) -> SentRequest | None:
    if not data and json is None and not files:
        return SentRequest(form.url, form.bare, None, form.added)
    body, kind = encoded_body(data, json, files)
    if not body:
        return None
    packet = form.filled(body.encode() if isinstance(body, str) else body, kind)
    return SentRequest(form.url, packet, body, form.added)


def _are_plain(options: dict[str, Any]) -> bool:
    """Whether the fast path handles all of these options."""
    for option, value in options.items():
        if value is None or option in _WITHOUT_LOOK:
            continue
        if option == "auth":
            if not _is_name_and_password(value):
                return False
        elif option not in _OF_TEXTS or type(value) is not dict or not all(map(_is_text, value.values())):
            return False
    return True


def _is_text(value: object) -> bool:
    return value is None or type(value) is str


def _is_name_and_password(auth: Any) -> bool:
    return isinstance(auth, tuple) and [*map(type, auth)] == [str, str]


def _safely(send: Callable[[], Response]) -> Response:
    """As in Locust, a failure is returned as a response. Source: locust 2.47, HttpSession._send_request_safe_mode."""
    try:
        return send()
    except (MissingSchema, InvalidSchema, InvalidURL):
        raise
    except RequestException as error:
        return ResponseContextManager(error)


def _ended(response: Any, timing: Timing, whole_url: str, url: str, *, is_streamed: bool = False) -> _Ended:
    """The response, timed, with the URL and path that Locust reports. Source: locust 2.47, HttpSession.request."""
    first, last = (response.history and response.history[0]) or response, response
    if isinstance(first, LazyResponse) and isinstance(last, LazyResponse):
        ended_s = last.timing.sent_s + last.timing.first_byte_s if is_streamed else last.timing.ended_s
        duration_s = ended_s - first.timing.began_s
    else:
        duration_s = (timing.ended_s or time.monotonic()) - timing.began_s
    if first.request:
        return _Ended(response, duration_s, str(first.request.url), first.request.path_url)
    return _Ended(response, duration_s, whole_url, str(url))
