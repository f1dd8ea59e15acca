"""Turns the name that a locustfile gives to a request into the one that a run directory uses."""

from __future__ import annotations

import re
from typing import Final

_UNWRITABLE: Final = re.compile(r'[,"\x00-\x1f\x7f-\x9f]')


def written_name(text: str) -> str:
    """A request's name or method as in the run directory: no repeated spaces, and nothing that would end a CSV cell."""
    text = " ".join(text.split()) or "-"
    return _UNWRITABLE.sub(lambda match: f"%{ord(match[0]):02X}", text)
