"""Masks secrets in the output of the generator's processes, because what users' code prints ends up in a log."""

from __future__ import annotations

import sys
from typing import IO, TYPE_CHECKING, Any, Final

from loadproof.scenario.safety import allowed_variables
from loadproof.scenario.target.variables import masker_of

if TYPE_CHECKING:
    from loadproof.scenario.masking.masking import Masker

_LONGEST_LINE: Final = 65_536
"""Characters; a longer line is written in pieces."""


class MaskedOutput:
    """A text stream that wraps another one and masks whole lines, which are often written in several pieces."""

    def __init__(self, stream: IO[str], mask: Masker) -> None:
        self._stream = stream
        self._mask = mask
        self._line = ""
        """The current line, as far as it was written."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        lines, line_end, line = (self._line + text).rpartition("\n")
        shown = self._mask(lines) + line_end if line_end else ""
        if len(line) > _LONGEST_LINE + self._mask.reach:
            piece, line = self._mask.beginning(line, _LONGEST_LINE)
            shown += piece
        self._line = line
        if shown:
            self._stream.write(shown)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        rest, self._line = self._line, ""
        if rest:
            self._stream.write(self._mask(rest))
        self._stream.flush()


def mask_outputs() -> Masker:
    """Mask the values of variables that may be sent to the target in this process's output; returns the mask."""
    mask = masker_of(allowed_variables())
    sys.stdout, sys.stderr = MaskedOutput(sys.stdout, mask), MaskedOutput(sys.stderr, mask)
    return mask
