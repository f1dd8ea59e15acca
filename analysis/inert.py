"""Text from outside to Markdown that only shows it, and to a length that a table bears.

Endpoint names, addresses and event details come from files that anybody may have written.
"""

from __future__ import annotations

import re
from typing import Final

from loadproof.errors import escaped

_MEANINGFUL: Final = re.compile(r"([\\`*_{}\[\]()#+!|<>~&@:$^=-])")


def markdown(text: str) -> str:
    """For one cell of a Markdown table: each character that could mean something is escaped."""
    return _MEANINGFUL.sub(r"\\\1", escaped(text))


def shortened(text: str, longest: int = 120) -> str:
    """The beginning of a long text."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
