"""Translates Locust's `request` event into loadproof's terms: a request's name, times and outcome."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import gevent
from geventhttpclient.useragent import ConnectionError as FastConnectionError
from requests.exceptions import RequestException
from requests.exceptions import Timeout as RequestTimeout

from loadproof.http.messages import TransportError, UnreadAnswerError, WantError
from loadproof.http.origin import LOCALHOST, Origin
from loadproof.http.stream import failure_of
from loadproof.outcome import Outcome, classify
from loadproof.rundir.rows import MOST_NAMES, OTHERS
from loadproof.scenario.traffic.writtenname import written_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadproof.http.messages import Want

_LONGEST_NAME: Final = 300
_MOST_CAUSES: Final = 20
_HERE: Final = frozenset({LOCALHOST, "127.0.0.1", "::1", "0.0.0.0", "::"})  # noqa: S104 - nobody listens there
"""Names of this host: Linux takes the unspecified address for its own."""
_USUAL_PORTS: Final = frozenset({80, 443})
"""Treated as one server, because the first often redirects to the second."""


class ReportedError(Exception):
    """Wraps what a user's client reported instead of an exception."""


class Heard(NamedTuple):
    """Locust's event, whatever a user's client has put into it."""

    kind: str
    """The type of request; for HTTP, the method."""
    name: str
    took_s: float | None
    """Duration; None if unknown."""
    body_bytes: int
    start_time: float | None
    """Unix time; None if unknown."""
    response: Any
    exception: BaseException | None
    """None: the answer was as the user expected."""
    url: str
    """The requested URL."""
    key: tuple[object, int]

    def is_of(self, method: object) -> bool:
        """Whether the event is of a request by one of Locust's clients with this method, not of one nested in it."""
        return self.kind == str(method) and self.key[0] is not None

    @property
    def is_unread(self) -> bool:
        """Whether loadproof can't read the answer: its own limit, not a failure of the target."""
        return self.exception is not None and any(
            isinstance(cause, UnreadAnswerError) for cause in _causes(self.exception)
        )

    @property
    def answered_by(self) -> str:
        """The URL after redirects, or else the requested one."""
        url = getattr(self.response, "url", None)
        return url if isinstance(url, str) else self.url

    @staticmethod
    def of(event: Mapping[str, Any]) -> Heard:
        """The event's fields; those that can't be read count as missing."""
        exception, start_time = event.get("exception"), event.get("start_time")
        if exception and not isinstance(exception, BaseException):
            exception = ReportedError(str(exception))
        return Heard(
            kind=str(event.get("request_type")),
            name=str(event.get("name")),
            took_s=None if (took_ms := _amount(event.get("response_time"))) is None else took_ms / 1000,
            body_bytes=int(_amount(event.get("response_length")) or 0),
            start_time=start_time if isinstance(start_time, float) else None,
            response=event.get("response"),
            # Like Locust, take any false value for no exception.
            exception=exception or None,
            url=str(event.get("url") or event.get("name")),
            key=key_of(event),
        )


def _amount(value: Any) -> float | None:
    """A non-negative number of any type, including numpy's and Decimal; None for anything else."""
    try:
        amount = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return amount if 0 <= amount < math.inf else None


def is_elsewhere(url: str, base_url: str) -> bool:
    """Whether a request's URL has another host or port than the target's; False if it isn't an HTTP URL."""
    requested, target = _address("/".join(url.split("/", 3)[:3])), _address(base_url)
    return None not in {requested, target} and requested != target


@functools.lru_cache(maxsize=MOST_NAMES)
def _address(url: str) -> tuple[str, int] | None:
    if not url.lower().startswith(("http://", "https://")):
        return None
    try:
        origin = Origin.of(url)
    except ValueError:
        return None
    host = LOCALHOST if origin.host in _HERE else origin.host
    return host, 0 if origin.port in _USUAL_PORTS else origin.port


def event_to_come(answer: Any) -> Mapping[str, Any]:
    """What Locust's event will contain for a request whose `with` block has not ended yet.

    Source: locust 2.47, request_meta of both clients' ResponseContextManager.
    """
    meta = getattr(answer, "request_meta", None)
    return meta if isinstance(meta, dict) else {"context": object()}


def key_of(event: Mapping[str, Any]) -> tuple[object, int]:
    """A key that is the same for an event and for what `event_to_come` returned, as long as its context is referenced.

    Requests with the same start have different contexts. Source: locust 2.47, request of both clients.
    """
    return event.get("start_time"), id(event.get("context"))


class Names:
    """Request names as written to the run directory, the same for the same request; one per process."""

    def __init__(self) -> None:
        self._written: dict[tuple[str, str], str] = {}

    def of(self, kind: object, name: object) -> str:
        """'GET /cart' for 'GET' and '/cart'; a comma, quote or control character is written as in a URL."""
        key = str(kind), str(name)
        if (known := self._written.get(key)) is not None:
            return known
        if len(self._written) >= MOST_NAMES:
            return f"{written_name(key[0])} {OTHERS}"
        return self._written.setdefault(key, f"{written_name(key[0])} {written_name(key[1])}"[:_LONGEST_NAME])


def outcome_of(response: Any, exception: BaseException | None) -> Outcome | Want:
    """The outcome, or what this machine lacked to send the request.

    Without an exception, the answer was as its user expected, whatever its status.
    """
    if exception is None:
        return Outcome.OK
    if status := status_of(response):
        return classify(status, as_expected=False, has_retry_after="retry-after" in headers_of(response))
    causes = list(_causes(exception))
    if any(isinstance(cause, UnreadAnswerError) for cause in causes):
        return Outcome.INVALID
    want = next((failure.of for cause in causes if isinstance(failure := _failure(cause), WantError)), None)
    return want or _without_answer(causes)


def _without_answer(causes: list[BaseException]) -> Outcome:
    if any(isinstance(cause, TimeoutError | RequestTimeout | gevent.Timeout) for cause in causes):
        return Outcome.TIMEOUT
    if any(isinstance(cause, OSError | RequestException | FastConnectionError) for cause in causes):
        return Outcome.CONNECTION
    return Outcome.INVALID


def status_of(response: Any) -> int | None:
    """The status of an HTTP answer; None for any other object, and without an answer."""
    status = getattr(response, "status_code", None)
    return status if isinstance(status, int) and status > 0 else None


def headers_of(response: Any) -> dict[str, str]:
    """The headers of an HTTP answer, by lower-case name; empty for any other object."""
    headers = getattr(response, "headers", None)
    return {str(key).lower(): str(value) for key, value in headers.items()} if isinstance(headers, Mapping) else {}


def _failure(cause: BaseException) -> TransportError | None:
    return failure_of(cause) if isinstance(cause, OSError | MemoryError) else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exception and its causes: those it was raised from or after, or that it carries."""
    waiting, looked_at = [error], 0
    while waiting and looked_at < _MOST_CAUSES:
        cause = waiting.pop(0)
        looked_at += 1
        yield cause
        related = (cause.__cause__, cause.__context__, *getattr(cause, "__dict__", {}).values(), *cause.args)
        waiting += [other for other in related if isinstance(other, BaseException)]
