"""A target file's headers, compared as HTTP does and filled in from the environment; no value is ever shown."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from loadproof.http.bodies import READABLE_CODINGS, unreadable_codings
from loadproof.scenario.mistake import Mistake

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SECRET: Final = re.compile(r"authori[sz]ation|cookie|token|key|secret|password", re.IGNORECASE)
_HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::[0-9]{1,5})?")
FRAMING: Final = frozenset({"content-length", "transfer-encoding"})
"""Headers that say where a body ends, and are derived from it."""


def header_flaws(headers: Mapping[str, str], sent_by_us: Mapping[str, str]) -> Iterator[Mistake]:
    """By the header's name; `sent_by_us` are names in lower case, and what sends them."""
    before: set[str] = set()
    for name, value in headers.items():
        lower = name.lower()
        if lower in before:
            yield Mistake((name,), "duplicate header: names are case-insensitive", name, "keep one of them")
        elif lower in FRAMING:
            yield Mistake((name,), "a header that follows from the body", name, "leave it out")
        elif lower in sent_by_us:
            yield Mistake(
                (name,), f"a header that loadproof itself sends with {sent_by_us[lower]}", name, "leave it out"
            )
        elif lower == "host" and not variables_in(value) and not _HOST.fullmatch(value):
            yield Mistake((name,), "not a host", None, "write it like api.example.test or api.example.test:8443")
        elif lower == "accept-encoding" and unreadable_codings(value):
            what = "allows a content coding that loadproof can't decode"
            yield Mistake((name,), what, None, f"ask for {READABLE_CODINGS}, or leave it out")
        if is_of_secret(name) and not variables_in(value):
            yield Mistake((name,), "a secret in a file", None, "write ${NAME} and set the environment variable NAME")
        before.add(lower)


def is_of_secret(name: str) -> bool:
    """Whether the value of a header or parameter with this name is usually secret."""
    return bool(_SECRET.search(name))


def variables_in(value: str) -> list[str]:
    """The environment variables that a header's value names."""
    return _VARIABLE.findall(value)


def resolved_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers with their environment variables filled in; only for sending, never for a file."""
    return {name: resolved(value) for name, value in headers.items()}


def resolved(value: str) -> str:
    """The value with its environment variables filled in; only for sending."""
    return _VARIABLE.sub(lambda match: os.environ.get(match[1], ""), value)
