"""Standard output that somebody may have stopped to read: what is written then is lost, and nothing else."""

from __future__ import annotations

import os
import sys
from typing import IO, Any


class UnreadOutput:
    """A text stream in the place of another, which it leaves for ever once writing to it fails.

    `loadproof run … | head -n 1` is no reason to cut a run off, and a full disk behind `>` is none to lose its verdict:
    the exit code is the verdict's. What was lost for another reason than a reader who went away is said on standard
    error.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._leave(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._leave(error)

    def _leave(self, error: OSError) -> None:
        # What the stream still holds goes the same way, or Python would fail on it in the end.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)
        self._stream.flush()
        if not isinstance(error, BrokenPipeError):
            sys.stderr.write(f"standard output: can't be written: {error.strerror}\n")
