"""Escapes text from outside, so that Markdown only displays it, and shortens it to fit a table.

Endpoint names, addresses and event details come from files that anybody may have written.
"""

from __future__ import annotations

import re
from typing import Final

from loadproof.errors import escaped

_MEANINGFUL: Final = re.compile(r"([\\`*_{}\[\]()#+!|<>~&@:$^=-])")


def markdown(text: str) -> str:
    """For one cell of a Markdown table: every character that could have a meaning is escaped."""
    return _MEANINGFUL.sub(r"\\\1", escaped(text))


def shortened(text: str, longest: int = 120) -> str:
    """The beginning of a long text."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
