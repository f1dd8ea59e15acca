"""Whether the target answers at all, asked once before the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import requests

from loadproof.errors import Problem, TargetError
from loadproof.scenario.targetheaders import resolved_headers

if TYPE_CHECKING:
    from loadproof.scenario.targetfile import TargetFile


_PROBE_TIMEOUT_S: Final = 5.0


def probe(target: TargetFile) -> None:
    """One health request before anything is measured; TargetError unless something speaks HTTP there."""
    health = target.endpoints.health
    told = f"{health.method} {health.path}"
    try:
        requests.request(
            health.method,
            target.base_url + health.path,
            headers=resolved_headers(target.headers),
            timeout=_PROBE_TIMEOUT_S,
            allow_redirects=False,
            stream=True,
        ).close()
    except requests.Timeout:
        what = f"no answer to {told} within {_PROBE_TIMEOUT_S:g} s"
    except requests.ConnectionError as error:
        what = f"no HTTP answer to {told}: {_innermost(error)}"
    except requests.RequestException as error:
        what = f"not HTTP: {_innermost(error)}"
    else:
        return
    raise TargetError(Problem(target.base_url, what, "start the target, or correct its address"))


def _innermost(error: BaseException) -> str:
    """The reason under requests' and urllib3's wrappings: 'Connection refused'."""
    while error.__context__ is not None:
        error = error.__context__
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
