"""A name that somebody's locustfile gives to a request, to the one that a run directory has for it."""

from __future__ import annotations

import re
from typing import Final

_UNWRITABLE: Final = re.compile(r'[,"\x00-\x1f\x7f-\x9f]')


def written_name(text: str) -> str:
    """A request's name, or its method, as the run directory has it: no spaces in a row, nor what would end a cell."""
    text = " ".join(text.split()) or "-"
    return _UNWRITABLE.sub(lambda match: f"%{ord(match[0]):02X}", text)
