"""Writes limits and decisions as the header fields RateLimit-Policy and RateLimit.

Source: draft-ietf-httpapi-ratelimit-headers-11, sections 3 and 4; strings and parameters as in RFC 9651.
"""

from __future__ import annotations

from typing import Final

_SECONDS: Final = {"s": 1, "min": 60, "h": 3600}

Header = tuple[bytes, bytes]


def policy_header(endpoint: str, limit: str) -> Header:
    """`30/min` of `balance` becomes `"balance";q=30;w=60`."""
    amount, _, period = limit.partition("/")
    return b"ratelimit-policy", f'"{endpoint}";q={amount};w={_SECONDS[period]}'.encode()


def state_header(endpoint: str, remaining: int, reset_s: int) -> Header:
    """The remaining quota, and the seconds until there is more: `"balance";r=29;t=60`."""
    return b"ratelimit", f'"{endpoint}";r={remaining};t={reset_s}'.encode()
