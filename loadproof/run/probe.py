"""Whether the target answers at all, asked once before the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from loadproof.errors import Problem, TargetError
from loadproof.http.messages import RequestTimeoutError, TransportError, UnreadAnswerError
from loadproof.http.stream import authorities
from loadproof.run.asking import Asker

if TYPE_CHECKING:
    from loadproof.scenario.scenario import Scenario
    from loadproof.scenario.targetfile import TargetFile

_UNTRUSTED: Final = "CERTIFICATE_VERIFY_FAILED"


def probe(target: TargetFile, scenario: Scenario) -> None:
    """One health request before anything is measured; TargetError unless something speaks HTTP there."""
    health = target.endpoints.health
    told = f"{health.method} {health.path}"
    remedy = "start the target, or correct its address"
    try:
        with Asker(target.base_url, target.headers, scenario) as asker:
            asker.ask(health.method, health.path)
    except RequestTimeoutError as error:
        what = f"no answer to {told}: {error}"
    except UnreadAnswerError as error:
        what, remedy = f"its answer to {told} has {error}", "have it send less"
    except TransportError as error:
        what = f"no HTTP answer to {told}: {error}"
        if _UNTRUSTED in what:
            trusted = " and ".join(authorities().values()) or "no certificate"
            remedy = f"name the file of your authority's certificates in SSL_CERT_FILE (trusted now: {trusted})"
    else:
        return
    raise TargetError(Problem(target.base_url, what, remedy))
