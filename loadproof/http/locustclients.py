"""Locust's own HTTP clients in the place of ours, for those who want to compare: a request to its answer.

What they can't tell apart is 0: connecting, and the first byte. Their waiting for a free connection counts as the
target's.
"""

from __future__ import annotations

import ssl
import time
from typing import TYPE_CHECKING, Any, Final

import gevent
import requests
from locust.clients import HttpSession
from locust.contrib.fasthttp import FastHttpSession
from locust.event import EventHook
from requests.adapters import HTTPAdapter

from loadproof.http.answers import Answer
from loadproof.http.headers import check_sendable, merged
from loadproof.http.messages import ConnectionFailedError, RequestTimeoutError
from loadproof.http.stream import failure_of
from loadproof.internals.geventhttpclient import BoundPool

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loadproof.http.messages import Request, Timeouts, Timing, TransportError
    from loadproof.http.origin import Origin

_UNPACKED: Final = {"Accept-Encoding": "identity"}
"""These clients ask for gzip unless they are told what to ask for; ours doesn't."""
_TIMED_OUT: Final = (gevent.Timeout, TimeoutError, requests.Timeout)


def _unheard() -> EventHook:
    """An event that nobody listens to: our users tell Locust themselves."""
    return EventHook()  # type: ignore[no-untyped-call]


class LocustClient:
    """One client's connections, kept by one of Locust's sessions."""

    def __init__(
        self, origin: Origin, timeouts: Timeouts, *, source_address: str | None, headers: Mapping[str, str]
    ) -> None:
        self.origin = origin
        self._headers = merged(_UNPACKED, headers)
        self._timeouts = timeouts
        self._session = self._new_session(origin.url, timeouts, source_address)

    def _new_session(self, base_url: str, timeouts: Timeouts, source_address: str | None) -> Any:
        raise NotImplementedError

    def _send(self, request: Request, headers: dict[str, str]) -> tuple[Any, Exception | None]:
        """The session's response, and what went wrong instead of one."""
        raise NotImplementedError

    def close(self) -> None:
        self._session.close()

    def exchange(self, request: Request, timing: Timing) -> Answer:
        """As Connection.exchange."""
        headers = merged(self._headers, request.headers)
        # These clients would tell the value of a header that they refuse.
        check_sendable(headers)
        headers = {name: value for name, value in headers.items() if name.lower() != "content-length"}
        timing.began_s = timing.sent_s = time.monotonic()
        try:
            with gevent.Timeout(self._timeouts.total_s):
                response, error = self._send(request, headers)
                # geventhttpclient wraps what it would have tried again.
                error = getattr(error, "original", error)
                if isinstance(error, _TIMED_OUT):
                    raise error
                if not response.status_code:
                    raise _failure(error)
                told = {name.lower(): str(value) for name, value in response.headers.items()}
                return Answer(response.status_code, told, response.content or b"")
        except _TIMED_OUT:
            raise RequestTimeoutError(f"no whole answer within {self._timeouts.total_s:g} s") from None
        finally:
            timing.ended_s = time.monotonic()


def _own_context(*_: Any, **__: Any) -> ssl.SSLContext:
    """Of the authorities that our own connections trust, whatever these clients bring along."""
    return ssl.create_default_context()


def _failure(error: BaseException | None) -> TransportError:
    """What is at the bottom of it, without what these clients quote: an answer may hold what was sent."""
    while error is not None and (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.strerror):
        return failure_of(error)
    return ConnectionFailedError(type(error).__name__ if error is not None else "no answer")


class FastHttp(LocustClient):
    """FastHttpUser's session, on geventhttpclient."""

    def _new_session(self, base_url: str, timeouts: Timeouts, source_address: str | None) -> FastHttpSession:
        pool = BoundPool(
            source_address,
            connection_timeout=timeouts.connect_s,
            network_timeout=timeouts.total_s,
            concurrency=10,
            ssl_context_factory=_own_context,
        )
        return FastHttpSession(base_url, _unheard(), None, insecure=False, client_pool=pool, max_retries=0)

    def close(self) -> None:
        self._session.client.close()

    def _send(self, request: Request, headers: dict[str, str]) -> tuple[Any, Exception | None]:
        with self._session.request(
            request.method,
            request.path,
            data=request.body or None,
            headers=headers,
            allow_redirects=False,
            catch_response=True,
        ) as response:
            response.success()
            return response, getattr(response, "error", None)


class Requests(LocustClient):
    """HttpUser's session, on requests."""

    def _new_session(self, base_url: str, timeouts: Timeouts, source_address: str | None) -> HttpSession:  # noqa: ARG002
        session = HttpSession(base_url, _unheard(), None)
        session.trust_env = False
        for scheme in ("http://", "https://"):
            session.mount(scheme, _OwnAdapter(source_address))
        return session

    def _send(self, request: Request, headers: dict[str, str]) -> tuple[Any, Exception | None]:
        with self._session.request(
            request.method,
            request.path,
            data=request.body or None,
            headers=headers,
            allow_redirects=False,
            timeout=(self._timeouts.connect_s, self._timeouts.first_byte_s or self._timeouts.total_s),
            catch_response=True,
        ) as response:
            response.success()
            return response, getattr(response, "error", None)


class _OwnAdapter(HTTPAdapter):
    """As above, for requests, which trusts what certifi has beside what it is told to trust."""

    def __init__(self, source_address: str | None) -> None:
        self._bound: dict[str, Any] = {} if source_address is None else {"source_address": (source_address, 0)}
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **settings: Any) -> None:
        settings |= {**self._bound, "ssl_context": _own_context()}
        super().init_poolmanager(*arguments, **settings)

    def cert_verify(self, conn: Any, *_: Any, **__: Any) -> None:
        conn.cert_reqs = "CERT_REQUIRED"
        conn.ca_certs = conn.ca_cert_dir = None
