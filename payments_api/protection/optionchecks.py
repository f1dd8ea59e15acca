"""Finds invalid options, and those that would silently have no effect, when an application sets them in code."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from payments_api.protection.options import LIMIT
from payments_api.protection.redisurl import checked_redis_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from payments_api.protection.options import Options

_LIMITERS: Final = ("local", "redis", "slowapi", "off")
_BOTS: Final = ("off", "on", "strict")
_SEGMENT: Final = r"[a-z0-9_-][a-z0-9._~-]{0,63}"
_PREFIX: Final = r"(/[A-Za-z0-9_-][A-Za-z0-9._~-]*)*"


def check_options(options: Options) -> None:
    """Raises ValueError with a line for each problem: `option: got X; remedy`."""
    problems = [*_of_limits(options), *_of_redis(options), *_of_clients(options), *_of_bots(options)]
    if problems:
        raise ValueError("\n".join(problems))


def _of_limits(options: Options) -> Iterator[str]:
    if options.limiter not in _LIMITERS:
        yield f"limiter: got {options.limiter!a}; use one of {', '.join(_LIMITERS)}"
    if not re.fullmatch(_PREFIX, options.prefix):
        yield f"prefix: got {options.prefix!a}; write it like /api/v1"
    for name, limit in options.limits.items():
        if not re.fullmatch(_SEGMENT, name):
            yield f"limits: got {name!a}; write one segment of the path, like orders; what is before it is `prefix`"
        if not re.fullmatch(LIMIT, limit, re.ASCII):
            yield f"limits: got {limit!a} for {name!a}; write it like 60/min (s, min, h)"
    if options.penalty is not None and options.limiter == "off":
        yield "penalty: got one with limiter off, where nothing is exceeded; leave it out"


def _of_redis(options: Options) -> Iterator[str]:
    if options.limiter == "redis" and not options.redis_url:
        yield "redis_url: got none for limiter redis; name the server"
    if options.redis_url and options.limiter in {"local", "off"}:
        yield f"redis_url: got one that limiter {options.limiter} doesn't use; set limiter to redis, or leave it out"
    try:
        checked_redis_url(options.redis_url)
    except ValueError as error:
        yield f"redis_url: got a secret; {error}"


def _of_clients(options: Options) -> Iterator[str]:
    if options.client_header and not options.trusted_networks:
        yield "trusted_networks: got none that may send client_header; name your proxies' networks"
    if options.trusted_networks and not options.client_header:
        yield "client_header: got none for trusted_networks; name the header that they send"
    if options.private and not options.client_header:
        yield "client_header: got none, so nothing shows who must not see private paths; name the proxy's header"


def _of_bots(options: Options) -> Iterator[str]:
    if options.bots not in _BOTS:
        yield f"bots: got {options.bots!a}; use one of {', '.join(_BOTS)}"
    if options.bots_file and options.bots == "off":
        yield "bots_file: got one with bots off; set bots to on or strict, or leave it out"
