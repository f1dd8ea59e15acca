"""Checks without connecting whether redis-py can use the address of a Redis server."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

_REMEDY: Final = (
    "write it like redis://127.0.0.1:6379/0; percent-encode the password, and give only options that redis-py knows"
)
_DATABASE: Final = re.compile(r"/?\d*", re.ASCII)


def checked_redis_url(text: str) -> str:
    """The same text, '' included; ValueError with a remedy that quotes none of it.

    Raised here rather than by the first request: the client library connects late, so a mistyped option would look like
    a lost Redis forever; and its errors quote what they take for a port, which may be half of a password.
    """
    if text and not _makes_connections(text):
        raise ValueError(_REMEDY)
    return text


def secrets_of_url(text: str) -> list[str]:
    """The password as written and as sent; empty if the address has none."""
    parts = urlsplit(text)
    asked = [value for name, value in parse_qsl(parts.query) if name == "password"]
    return [secret for written in (parts.password, *asked) if written for secret in (written, unquote(written))]


def _makes_connections(text: str) -> bool:
    # Imported here because the library is only needed for counting in Redis.
    import redis
    import redis.asyncio

    if not re.fullmatch(r"rediss?://\S+", text, re.ASCII):
        return False
    try:
        # The library ignores a path that isn't a number: `user:12/3@host` would be a host called user.
        if not _DATABASE.fullmatch(urlsplit(text).path):
            return False
        pools: list[Any] = [redis.ConnectionPool.from_url(text), redis.asyncio.ConnectionPool.from_url(text)]
        for pool in pools:
            pool.make_connection()
    except Exception:  # noqa: BLE001 - whatever the library raises for it
        return False
    return True
