"""Checks the hosts Locust is to load against the allow list, and who uses its web UI, before it creates a user.

Locust's options and its web UI bypass the checks of `loadproof run`, so they are checked here, in each process with our
users.
"""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from flask import Response, jsonify, request
from locust import events

from loadproof.errors import ExitCode, LoadproofError, Problem
from loadproof.scenario.safety import check_base_url, check_host, is_loopback

if TYPE_CHECKING:
    from locust.env import Environment

_FORBIDDEN: Final = 403
_REFUSED_BY_LOCUST: Final = str.maketrans("", "", "<>")
"""Characters that Locust strips from the form's host. Source: locust/web.py 2.47, the route `/swarm`."""


@functools.cache
def stand_guard() -> None:
    """Guard this process from now on; once is enough for all kinds of users."""
    events.init.add_listener(guard)


def guard(environment: Environment, **_: Any) -> None:
    """Exit with code 2 before Locust starts if a host is not allowed; let only the web UI's own pages use it."""
    hosts = {environment.host}
    if environment.web_ui is not None or not environment.host:
        # Without a host option, Locust loads the hosts its user classes name; a web UI's form can clear the option.
        hosts |= {user.host for user in environment.user_classes}
    hosts -= {None, ""}
    try:
        for host in sorted(map(str, hosts)):
            check_base_url(host, "--host")
            check_host(host, ())
    except LoadproofError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(ExitCode.NOTHING_MEASURED) from None
    web_ui = environment.web_ui
    if web_ui is not None and web_ui.app is not None:
        is_local = bool(web_ui.host) and is_loopback(web_ui.host)
        web_ui.app.before_request(lambda: _stranger(is_local=is_local) or _unsafe_form(environment))


def _stranger(*, is_local: bool) -> Response | None:
    """Refuse requests from pages of another origin, even under a name made to resolve to this address (rebinding)."""
    headers = request.headers
    host, origin, site = headers.get("Host", ""), headers.get("Origin"), headers.get("Sec-Fetch-Site", "none")
    if is_local and not is_loopback(urlsplit(f"//{host}").hostname or ""):
        problem = Problem("Host", "not an address of this web UI", "open it by its loopback address", got=host)
    elif origin is not None and urlsplit(origin).netloc != host:
        problem = Problem("Origin", "a page of another origin", "use the web UI's own page", got=origin)
    elif request.method not in {"GET", "HEAD"} and site not in {"none", "same-origin"}:
        problem = Problem("Sec-Fetch-Site", "a page of another origin", "use the web UI's own page", got=site)
    else:
        return None
    return Response(f"{problem}\n", _FORBIDDEN, content_type="text/plain; charset=utf-8")


def _unsafe_form(environment: Environment) -> Response | None:
    """Refuse a form with a host that is not allowed, as Locust does: its page shows the message, nothing starts."""
    if request.method != "POST" or "host" not in request.form:
        return None
    host = request.form["host"].translate(_REFUSED_BY_LOCUST)
    try:
        check_base_url(host, "host")
        check_host(host, ())
    except LoadproofError as error:
        return jsonify({"success": False, "message": str(error), "host": environment.host})
    return None
