"""Turns the transport's failures into the exceptions that requests would have raised, down to the innermost cause.

Locust reports the innermost one: `ResponseContextManager.__exit__` follows `__context__`. Source: locust 2.47,
clients.py; requests 2.34, adapters.py and models.py; urllib3 2.8, connection.py and connectionpool.py.
"""

from __future__ import annotations

import socket
import ssl
from http.client import BadStatusLine, RemoteDisconnected
from typing import TYPE_CHECKING, Any, TypeVar

from requests import exceptions
from urllib3 import exceptions as causes

from loadproof.http.head import BrokenBodyError, MalformedAnswerError, UnansweredError
from loadproof.http.messages import ConnectTimeoutError, RequestTimeoutError, UnreadAnswerError

if TYPE_CHECKING:
    from requests import PreparedRequest

    from loadproof.http.messages import RequestTimeouts, TransportError
    from loadproof.http.origin import Origin


Failure = TypeVar("Failure", bound=BaseException)


def requests_error(
    error: TransportError, request: PreparedRequest, origin: Origin, timeouts: RequestTimeouts
) -> exceptions.RequestException:
    """The exception that requests raises for this failure."""
    place: Any = f"(host={origin.host!r}, port={origin.port})"
    pool: Any = f"HTTP{'S' if origin.tls else ''}ConnectionPool{place}"
    connection: Any = f"HTTP{'S' if origin.tls else ''}Connection{place}"
    path = request.path_url
    cause = error.__cause__
    if isinstance(error, RequestTimeoutError) and not isinstance(error, ConnectTimeoutError):
        what = f"Read timed out. (read timeout={timeouts.each_byte_s})"
        return exceptions.ReadTimeout(causes.ReadTimeoutError(pool, path, what), request=request)
    if isinstance(cause, BrokenBodyError):
        # Without its request, as in requests.
        return exceptions.ChunkedEncodingError(causes.ProtocolError(f"Connection broken: {cause}", cause))
    if aborting := _aborting(error):
        aborted = causes.ProtocolError("Connection aborted.", aborting)
        return _caused(exceptions.ConnectionError(aborted, request=request), _caused(aborted, aborting))
    kind, reason = exceptions.ConnectionError, cause or error
    failed: causes.HTTPError
    if isinstance(error, ConnectTimeoutError):
        kind, reason = exceptions.ConnectTimeout, TimeoutError("timed out")
        failed = causes.ConnectTimeoutError(
            f"Connection to {origin.host} timed out. (connect timeout={timeouts.connect_s})"
        )
    elif isinstance(cause, ssl.SSLError):
        kind, failed = exceptions.SSLError, causes.SSLError(cause)
    elif isinstance(cause, socket.gaierror):
        failed = causes.NameResolutionError(origin.host, connection, cause)
    else:
        failed = causes.NewConnectionError(connection, f"Failed to establish a new connection: {reason}")
    exhausted = _caused(causes.MaxRetryError(pool, path, failed), _caused(failed, reason))
    return _caused(kind(exhausted, request=request), exhausted)


def _aborting(error: TransportError) -> BaseException | None:
    """What went wrong on an open connection; None if there was none."""
    cause = error.__cause__
    if isinstance(cause, (ConnectionResetError, BrokenPipeError)):
        return cause
    if isinstance(error, UnreadAnswerError):
        return error
    if isinstance(cause, UnansweredError):
        return RemoteDisconnected("Remote end closed connection without response")
    return BadStatusLine(str(error)) if isinstance(cause, MalformedAnswerError) else None


def _caused(failure: Failure, cause: BaseException) -> Failure:
    failure.__context__ = cause
    return failure
