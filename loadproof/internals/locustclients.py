"""Private parts of Locust's HTTP clients: what they send, where to, and how they report it.

`tests/loadproof/internals/test_locust.py` reports which ones a new Locust has changed. Source for all: locust 2.47.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from locust import clients
from locust.clients import HttpSession, ResponseContextManager
from locust.contrib import fasthttp
from locust.contrib.fasthttp import FastHttpSession
from locust.user import users
from requests import PreparedRequest
from requests.exceptions import RequestException
from requests.sessions import merge_setting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from locust.event import EventHook


def follow_requests(
    send: Callable[[str, Callable[[], str], Callable[[], Any]], Any],
    *,
    timeouts_s: Callable[[], tuple[float, float]],
    heirs: Iterable[type[HttpSession]] = (),
) -> None:
    """From now on, route each request of Locust's two HTTP clients through `send`.

    It gets the method, a function that returns the request's name, and a function that sends it.

    `heirs` are subclasses of HttpSession that override `request` with the same parameters. HttpSession and its heirs
    wait forever without a timeout, so they get `timeouts_s`: seconds for connecting and for each wait for the answer.
    Source: locust/clients.py, HttpSession.request; locust/contrib/fasthttp.py, FastHttpSession.request.
    """

    def named(session: Any, url: Any, explicit: Any, options: dict[str, Any]) -> str:
        name = explicit or session.request_name
        return str(name or (url if isinstance(session, FastHttpSession) else _path_of(session, url, options)))

    def followed(request: Any, *, has_timeout: bool) -> Any:
        @functools.wraps(request)
        def request_followed(session: Any, method: str, url: str, *rest: Any, **options: Any) -> Any:
            if not has_timeout:
                options.setdefault("timeout", timeouts_s())
            name = functools.partial(named, session, url, options.get("name") or (rest[0] if rest else None), options)
            return send(method, name, functools.partial(request, session, method, url, *rest, **options))

        return request_followed

    waiting: list[Any] = [HttpSession, *heirs]
    for session in waiting:
        session.request = followed(session.request, has_timeout=False)
    FastHttpSession.request = followed(FastHttpSession.request, has_timeout=True)  # type: ignore[method-assign]


def _path_of(session: HttpSession, url: Any, options: dict[str, Any]) -> str:
    """Locust's name for a request without one. Source: locust/clients.py, HttpSession.request."""
    asked = PreparedRequest()
    try:
        asked.prepare_url(session._build_url(url), merge_setting(options.get("params"), session.params))
    except (RequestException, ValueError):
        return str(url)
    return asked.path_url


def take_places(session: type[HttpSession], fast_session: type[FastHttpSession]) -> None:
    """Replace Locust's two clients by these, for Locust's users and for locustfiles loaded from now on.

    Source: locust/user/users.py, HttpUser.__init__; locust/contrib/fasthttp.py, FastHttpUser.__init__.
    """
    vars(users)["HttpSession"] = vars(clients)["HttpSession"] = session
    vars(fasthttp)["FastHttpSession"] = fast_session


def body_read(response: Any) -> bytes:
    """The part of an answer's body read so far, without reading more.

    Source: requests/models.py, Response.content; locust/contrib/fasthttp.py, FastResponse.
    """
    for name in ("_content", "_cached_content"):
        if isinstance(body := getattr(response, name, None), bytes):
            return body
    return b""


def report_to(response: Any, request_event: EventHook, meta: dict[str, Any], *, is_caught: bool) -> None:
    """Prepare a response of requests or of Locust, so that it fires the event when its `with` block ends.

    Source: locust/clients.py, ResponseContextManager.wrap_response, which would also replace the class of our own
    subclass.
    """
    if not isinstance(response, ResponseContextManager):
        response.__class__ = ResponseContextManager
    response._entered = False
    response._manual_result = None
    response._request_event = request_event
    response._catch_response = is_caught
    response.request_meta = meta


def is_reported(response: ResponseContextManager) -> bool:
    """Fire the event of a successful response, unless the locustfile has marked it; returns whether it was fired.

    Source: locust/clients.py, ResponseContextManager.__exit__.
    """
    if response._manual_result is not None:
        return False
    # Not stored in `request_meta`: with a reference to itself, only the garbage collector would free the response.
    response._request_event.fire(**response.request_meta, response=response)
    return True


def complete_url(session: HttpSession | FastHttpSession, url: str) -> str:
    """The URL, joined to the session's base URL if it is relative. Source: locust/clients.py, contrib/fasthttp.py."""
    return session._build_url(url)
