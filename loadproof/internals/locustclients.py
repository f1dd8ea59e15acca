"""Locust's HTTP clients: what they send, where they send it, and how they report it.

As with all private parts in this package, `tests/loadproof/internals/test_locust.py` reports which ones changed.
Source of all: locust 2.47.
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
    """From now on, call `send` for each request of Locust's two HTTP clients.

    With its method, what tells its name, and what sends it.

    `heirs` of the first have a `request` of their own, with the same parameters. These wait for ever where they aren't
    told a timeout: they get these two, for connecting and for each wait for the answer.
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
    """What Locust calls a request without a name. Source: locust/clients.py, HttpSession.request."""
    asked = PreparedRequest()
    try:
        asked.prepare_url(session._build_url(url), merge_setting(options.get("params"), session.params))
    except (RequestException, ValueError):
        return str(url)
    return asked.path_url


def take_places(session: type[HttpSession], fast_session: type[FastHttpSession]) -> None:
    """Make these what Locust's users, and locustfiles that are loaded from now on, take for Locust's two clients.

    Source: locust/user/users.py, HttpUser.__init__; locust/contrib/fasthttp.py, FastHttpUser.__init__.
    """
    vars(users)["HttpSession"] = vars(clients)["HttpSession"] = session
    vars(fasthttp)["FastHttpSession"] = fast_session


def body_read(response: Any) -> bytes:
    """What has been read of an answer's body, without reading more of it.

    Source: requests/models.py, Response.content; locust/contrib/fasthttp.py, FastResponse.
    """
    for name in ("_content", "_cached_content"):
        if isinstance(body := getattr(response, name, None), bytes):
            return body
    return b""


def report_to(response: Any, request_event: EventHook, meta: dict[str, Any], *, is_caught: bool) -> None:
    """Give the response, of requests or of Locust, what it needs to fire the event when it is left.

    Source: locust/clients.py, ResponseContextManager.wrap_response, which would also change the class of those that
    have one of their own.
    """
    if not isinstance(response, ResponseContextManager):
        response.__class__ = ResponseContextManager
    response._entered = False
    response._manual_result = None
    response._request_event = request_event
    response._catch_response = is_caught
    response.request_meta = meta


def is_reported(response: ResponseContextManager) -> bool:
    """Fire the event of a response that was no failure, unless the locustfile has said what it is.

    Source: locust/clients.py, ResponseContextManager.__exit__.
    """
    if response._manual_result is not None:
        return False
    # Not kept in what the response keeps: it would be freed by the garbage collector only.
    response._request_event.fire(**response.request_meta, response=response)
    return True


def complete_url(session: HttpSession | FastHttpSession, url: str) -> str:
    """Below the session's base URL, if it is no URL of its own. Source: locust/clients.py and contrib/fasthttp.py."""
    return session._build_url(url)
