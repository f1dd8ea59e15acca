"""Checks before a run whether the target responds at all: once, or until it does."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Final

from loadproof.errors import OwnWantError, Problem, TargetError
from loadproof.http.messages import RequestTimeoutError, TransportError, UnreadAnswerError, WantError
from loadproof.http.origin import LOCALHOST, Origin
from loadproof.http.tls import authorities
from loadproof.run.target.ownclient import OwnClient, timeouts_of
from loadproof.run.target.tokens import NoAccessError, TokenHolder
from loadproof.scenario.target.variables import masker_of, secret_variables
from loadproof.scenario.target.way import trust_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadproof.scenario.scenario import Scenario
    from loadproof.scenario.target.targetfile import TargetFile

_LOOK_S: Final = 1.0
_UNTRUSTED: Final = "CERTIFICATE_VERIFY_FAILED"
_ALERT: Final = "ALERT_"
"""Part of the name of every TLS failure reported by the other side."""
_LEFT_S: Final = 0.1
"""A server that closes each connection after its answer has done so by then."""
_PROXY_REFUSES: Final = 407
"""Only proxies use this status. Source: RFC 9110, section 15.5.8."""
_PAUSE_S: Final = 0.2
"""Pause between two probes of a target that doesn't respond yet."""


def _listens_on_ipv6_alone(base_url: str) -> bool:
    origin = Origin.of(base_url)
    return origin.host == LOCALHOST and not _listens("127.0.0.1", origin.port) and _listens("::1", origin.port)


def _listens(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=_LOOK_S).close()
    except OSError:
        return False
    return True


def _tls_remedy(what: str, target: TargetFile) -> str | None:
    """The remedy for a failure caused by a certificate, the target's or ours; None for other failures."""
    if _ALERT in what:
        return "if it asks for a client certificate, name one that it accepts in `tls.client_certificate`"
    if _UNTRUSTED not in what:
        return None
    if "mismatch" in what:
        return "correct the base URL's host, or name the one that the certificate has in `tls.server_name`"
    trusted = " and ".join(authorities(trust_of(target.tls)).values()) or "no certificate"
    files = "`tls.ca_file` of the target file, or in SSL_CERT_FILE"
    return f"name your certificate authority's file in {files} (trusted now: {trusted})"


def probe_within(wait_s: float, target: TargetFile, scenario: Scenario, *, stop_requested: Callable[[], bool]) -> bool:
    """Like `probe`, for a target that may still be starting.

    Raises the last TargetError after `wait_s`, when a stop is requested, or if an access token is refused.
    """
    deadline_s, tokens = time.monotonic() + wait_s, TokenHolder(target, timeouts_of(scenario))
    while True:
        try:
            return probe(target, scenario, tokens)
        except TargetError as error:
            is_final = isinstance(error, NoAccessError) and error.is_refusal
            if is_final or stop_requested() or time.monotonic() >= deadline_s:
                raise
        time.sleep(_PAUSE_S)


def probe(target: TargetFile, scenario: Scenario, tokens: TokenHolder | None = None) -> bool:
    """Send one request before anything is measured; returns whether the target keeps the connection open.

    TargetError unless an HTTP server answers, whatever its status; also if no access token can be obtained.
    OwnWantError if this machine could not send the request.
    """
    health = target.endpoints.health
    # The target of a locustfile may have no health endpoint.
    method, path = (health.method, health.path) if scenario.locustfile is None else ("GET", "/")
    question = f"{method} {path}"
    remedy, kind = "start the target, or correct its address", TargetError
    try:
        with OwnClient(target, scenario, tokens=tokens) as client:
            status = client.ask(method, path).status
            if status != _PROXY_REFUSES or target.proxy is None:
                return client.is_kept(within_s=_LEFT_S)
        what = f"the proxy answers {question} with {status}"
        remedy = "give it user and password: http://${USER}:${PASSWORD}@…"
    except RequestTimeoutError as error:
        what = f"no answer to {question}: {error}"
    except WantError as error:
        what, remedy, kind = f"{question} was not sent: {error}", "free that resource on this machine", OwnWantError
    except UnreadAnswerError as error:
        what, remedy = f"its response to {question} has {error}", "make the response smaller"
    except TransportError as error:
        what = f"no HTTP answer to {question}: {error}"
        if scenario.clients == "source-address" and _listens_on_ipv6_alone(target.base_url):
            what = "it only listens on ::1, which source addresses in 127.0.0.0/8 can't reach"
            remedy = "make it listen on 127.0.0.1 as well, or use `clients: {header: NAME}` or `clients: shared`"
        remedy = _tls_remedy(what, target) or remedy
    mask = masker_of(secret_variables(target))
    raise kind(Problem(target.base_url, mask(what), remedy))
