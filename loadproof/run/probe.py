"""Checks before the run whether the target answers at all: once, or until it does."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Final

from loadproof.errors import Problem, TargetError
from loadproof.http.messages import RequestTimeoutError, TransportError, UnreadAnswerError, WantError
from loadproof.http.origin import LOCALHOST, Origin
from loadproof.http.stream import authorities
from loadproof.run.asking import Asker, timeouts_of
from loadproof.run.tokens import NoAccessError, TokenHolder
from loadproof.scenario.targetvariables import masker_of, secret_variables

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadproof.scenario.scenario import Scenario
    from loadproof.scenario.targetfile import TargetFile

_LOOK_S: Final = 1.0
_UNTRUSTED: Final = "CERTIFICATE_VERIFY_FAILED"
_LEFT_S: Final = 0.1
"""A server that closes a connection after its answer has done so by then."""
_PAUSE_S: Final = 0.2
"""Between two probes of a target that is not there yet."""


def _listens_on_ipv6_alone(base_url: str) -> bool:
    origin = Origin.of(base_url)
    return origin.host == LOCALHOST and not _listens("127.0.0.1", origin.port) and _listens("::1", origin.port)


def _listens(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=_LOOK_S).close()
    except OSError:
        return False
    return True


def probe_within(wait_s: float, target: TargetFile, scenario: Scenario, *, stop_requested: Callable[[], bool]) -> bool:
    """As `probe`, of a target that may still be starting: its last TargetError after `wait_s`, or when told to stop."""
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
    """Send one request before anything is measured; TargetError unless something speaks HTTP there.

    Also if no token can be obtained to ask with.

    Returns whether the target keeps the connection open.
    """
    health = target.endpoints.health
    # Nobody said that a locustfile's target has anything at our own path.
    method, path = (health.method, health.path) if scenario.locustfile is None else ("GET", "/")
    question = f"{method} {path}"
    remedy = "start the target, or correct its address"
    try:
        with Asker(target, scenario, tokens=tokens) as asker:
            asker.ask(method, path)
            return asker.is_kept(within_s=_LEFT_S)
    except RequestTimeoutError as error:
        what = f"no answer to {question}: {error}"
    except WantError as error:
        what, remedy = f"{question} was not sent: {error}", "free what is missing on this machine"
    except UnreadAnswerError as error:
        what, remedy = f"its answer to {question} has {error}", "have it send less"
    except TransportError as error:
        what = f"no HTTP answer to {question}: {error}"
        if scenario.clients == "source-address" and _listens_on_ipv6_alone(target.base_url):
            what = "it listens on ::1 only, which clients' source addresses in 127.0.0.0/8 can't reach"
            remedy = "have it listen on 127.0.0.1, too, or use `clients: {header: NAME}` or `clients: shared`"
        if _UNTRUSTED in what:
            trusted = " and ".join(authorities().values()) or "no certificate"
            remedy = f"name your certificate authority's file in SSL_CERT_FILE (trusted now: {trusted})"
    mask = masker_of(secret_variables(target))
    raise TargetError(Problem(target.base_url, mask(what), remedy))
