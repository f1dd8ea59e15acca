"""Checks what Locust is told to load, and by whom, against the allow list before it creates a user.

Locust's options, its web UI's form and whoever posts that form bypass `loadproof run`: they are checked here, in each
process with our users.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from flask import Response, jsonify, request

from loadproof.errors import ExitCode, LoadproofError, Problem
from loadproof.scenario.safety import check_base_url, check_host, is_loopback

if TYPE_CHECKING:
    from locust.env import Environment

_FORBIDDEN: Final = 403
_REFUSED_BY_LOCUST: Final = str.maketrans("", "", "<>")
"""What Locust strips from the form's host. Source: locust/web.py 2.47, the route `/swarm`."""


def guard(environment: Environment, **_: Any) -> None:
    """When Locust is about to start: exit code 2 for a host that is not allowed.

    Only its own pages may use the web UI.
    """
    hosts = {environment.host}
    if environment.web_ui is not None or not environment.host:
        # Locust loads what its users name where it is told nothing else, which a web UI's form can take back.
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
    """Refuse what a page of another origin sends, even under a name that was made to resolve to this address."""
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
    """Like Locust's own refusals: its page shows the message, and nothing is started."""
    if request.method != "POST" or "host" not in request.form:
        return None
    host = request.form["host"].translate(_REFUSED_BY_LOCUST)
    try:
        check_base_url(host, "host")
        check_host(host, ())
    except LoadproofError as error:
        return jsonify({"success": False, "message": str(error), "host": environment.host})
    return None
