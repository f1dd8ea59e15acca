"""Escapes text from outside, so that Markdown only displays it, and shortens it to fit a table.

Endpoint names, addresses and event details come from files that anyone could have written.
"""

from __future__ import annotations

import re
from typing import Final

from loadproof.errors import escaped

_MEANINGFUL: Final = re.compile(r"([\\`*_{}\[\]()#+!|<>~&@:$^=-])")


def markdown(text: str) -> str:
    """Escape every character with a meaning in Markdown; safe in a table cell."""
    return _MEANINGFUL.sub(r"\\\1", escaped(text))


def shortened(text: str, longest: int = 120) -> str:
    """The text, cut to at most `longest` characters."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
