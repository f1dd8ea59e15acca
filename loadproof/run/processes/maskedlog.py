"""Masks secrets in a log, whichever process wrote them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from loadproof.errors import OutputError
from loadproof.rundir.files import overwrite, write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from loadproof.scenario.masking.masking import Masker


def mask_file(path: Path, mask: Masker) -> None:
    """Mask the secrets in a file that no process writes to any more; a file without secrets is left alone.

    The generator masks what Python prints, but not the output of C libraries or of child processes of users' code.
    """
    with suppress(OSError):
        text = path.read_bytes().decode(errors="replace")
        masked = mask(text)
        if masked != text:
            try:
                write_whole(path, masked)
            except OutputError:
                overwrite(path, masked)
