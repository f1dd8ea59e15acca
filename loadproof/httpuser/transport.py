"""An adapter for requests on loadproof's connections: a prepared request in, its response or an exception out."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from requests.adapters import BaseAdapter
from requests.exceptions import ConnectionError as RequestsConnectionError
from urllib3 import Timeout
from urllib3.connection import HTTPConnection

from loadproof.errors import UnsafeTargetError
from loadproof.http.bodies import MAX_BODY_BYTES
from loadproof.http.connection import Connection
from loadproof.http.headers import merged
from loadproof.http.messages import Request, RequestTimeouts, Timing, TransportError, UnreadAnswerError
from loadproof.http.origin import Origin, Way
from loadproof.http.packets import Packet
from loadproof.http.tls import context_for
from loadproof.httpuser.failures import requests_error
from loadproof.httpuser.response import LazyResponse, SentRequest
from loadproof.httpuser.terms import trust_of
from loadproof.httpuser.unsupported import not_supported
from loadproof.scenario.safety import check_host

if TYPE_CHECKING:
    from collections.abc import Mapping

    from requests import PreparedRequest

    from loadproof.http.answers import Answer
    from loadproof.httpuser.terms import Certificate, Terms, Verify

_HTTPS_PORT: Final = 443


class Pool:
    """One user's connections to one origin: as many as it had requests in flight, reused when free."""

    __slots__ = ("free", "headers", "is_special", "origin", "root")

    def __init__(self, root: str, origin: Origin, host: str = "") -> None:
        """`host` is sent as the Host header; by default, the origin's is."""
        self.root = root
        self.origin = origin
        self.headers = origin.headers | ({"Host": host} if host else {})
        """The first headers of each request, unless the locustfile sets Host."""
        self.is_special = self.headers != {"Host": origin.authority}
        self.free: list[Connection] = []

    def exchange(self, packet: Packet, timing: Timing, timeouts: RequestTimeouts) -> Answer:
        """TransportError if there is no answer in time, or if its body is longer than MAX_BODY_BYTES."""
        connection = self.free.pop() if self.free else Connection(self.origin, timeouts)
        if connection.timeouts is not timeouts:
            connection.limit(timeouts)
        try:
            answer = connection.exchange(packet, timing)
        finally:
            self.free.append(connection)
        if answer.wrapping is not None and answer.size > MAX_BODY_BYTES:
            raise UnreadAnswerError(f"a body of more than {MAX_BODY_BYTES:,} bytes: beyond what loadproof reads")
        return answer


class Transport(BaseAdapter):
    """All connections of one user."""

    def __init__(self, terms: Terms | None = None) -> None:
        super().__init__()
        self._terms = terms
        self._pools: dict[tuple[str, Verify, Certificate], Pool] = {}

    def pool(self, root: str, verify: Verify = True, cert: Certificate = None) -> Pool:
        """Connections to a root, which is scheme, host and port.

        UnsafeTargetError for a host that is not allowed; OSError if a file of `verify` or `cert` can't be used.
        """
        pool = self._pools.get((root, verify, cert))
        if pool is None:
            terms = self._terms
            way = terms.way(root, verify, cert) if terms else Way(trust_of(verify, cert))
            host = terms.host if terms and terms.is_own(root) else ""
            pool = self._pools[root, verify, cert] = Pool(root, _allowed_origin(root, way), host)
        return pool

    def check(self, url: str) -> None:
        """UnsafeTargetError for a host that is not allowed; malformed URLs are left for requests to report."""
        try:
            host = urlsplit(url).hostname
        except ValueError:
            return
        if host:
            check_host(url, ())

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,  # noqa: ARG002 - requests' interface; each body is read at once
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> LazyResponse:
        """Send a prepared request, as requests' adapters do: returns the response or raises requests' exceptions."""
        received: LazyResponse | None = request.__dict__.pop("received", None)
        if received is not None:
            # Already sent by the fast path: requests continues from here.
            return received
        check_support(proxies=proxies)
        url = urlsplit(request.url or "")
        try:
            pool = self.pool(f"{url.scheme}://{url.netloc.rpartition('@')[2]}", verify, cert)
        except UnsafeTargetError as error:
            # Only after a redirect: URLs from a locustfile were checked before.
            raise RequestsConnectionError(error, request=request) from error
        timeouts, timing = timeouts_of(timeout), Timing()
        packet, failed = _packet_of(request, pool), None
        try:
            answer = pool.exchange(packet, timing, timeouts)
        except TransportError as error:
            failed = requests_error(error, request, pool.origin, timeouts)
        if failed is not None:
            # Outside the except block: otherwise the transport's error would become its context.
            raise failed
        response = LazyResponse(answer, timing, SentRequest(request.url or "", packet, None))
        response.connection, response.request = self, request
        return response

    def close(self) -> None:
        for pool in self._pools.values():
            while pool.free:
                pool.free.pop().close()


def check_support(**arguments: Any) -> None:
    """NotSupportedError for the first argument of requests that has no effect here."""
    for name, value in arguments.items():
        if value:
            raise not_supported(f"client.request({name}=…)")


@functools.lru_cache(256, typed=True)
def timeouts_of(timeout: float | tuple[float | None, float | None] | None) -> RequestTimeouts:
    """Timeouts in seconds, as in requests: for connecting, and for each wait for more bytes.

    ValueError for those that are not numbers, or not positive.
    """
    if isinstance(timeout, Timeout):
        raise not_supported("client.request(timeout=urllib3.Timeout(…))")
    if isinstance(timeout, tuple) and len(timeout) != 2:
        told = "Pass a (connect, read) timeout tuple, or a single float to set both timeouts to the same value."
        raise ValueError(f"Invalid timeout {timeout}. {told}")
    connect, read = timeout if isinstance(timeout, tuple) else (timeout, timeout)
    # Raises the same errors for invalid ones as in requests.
    Timeout(connect=connect, read=read)
    return RequestTimeouts(
        connect_s=math.inf if connect is None else connect, total_s=math.inf, each_byte_s=read or None
    )


@functools.lru_cache(256)
def _allowed_origin(root: str, way: Way) -> Origin:
    """The origin, shared by all users of a process together with the host's resolved addresses."""
    check_host(root, ())
    origin = Origin.of(root, way)
    if origin.tls:
        # Load the files now: one that can't be read is not a failure of the target.
        context_for(way.trust)
    return origin


class _Pen(HTTPConnection):
    """Writes what requests would send, without sending it."""

    def __init__(self, origin: Origin) -> None:
        super().__init__(origin.host, origin.port)
        vars(self)["default_port"] = _HTTPS_PORT if origin.tls else HTTPConnection.default_port
        self.pieces: list[bytes] = []

    def send(self, data: Any) -> None:
        self.pieces.append(bytes(data))


def _packet_of(request: PreparedRequest, pool: Pool) -> Packet:
    pen, method = _Pen(pool.origin), request.method or ""
    # Without headers of ours, `http.client` itself writes Host, in its usual place.
    headers = merged(pool.headers, request.headers) if pool.is_special else request.headers
    is_chunked = request.body is not None and "Content-Length" not in request.headers
    pen.request(method, f"{pool.origin.absolute}{request.path_url}", request.body, headers, chunked=is_chunked)
    accepted = request.headers.get("Accept-Encoding", "identity")
    repeatable = Request(method, request.path_url).may_be_repeated
    return Packet(None, b"".join(pen.pieces), method == "HEAD", repeatable, accepted)
