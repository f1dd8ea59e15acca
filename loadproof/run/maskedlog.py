"""A log without secrets, whoever wrote to it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from loadproof.errors import OutputError
from loadproof.rundir.files import overwrite, write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from loadproof.scenario.masking import Masker


def mask_file(path: Path, mask: Masker) -> None:
    """Rewrite a file that contains secrets, now that nobody writes to it any longer; any other stays as it is.

    The generator masks what Python prints, but not what child processes of users' own code or libraries in C print.
    """
    with suppress(OSError):
        text = path.read_bytes().decode(errors="replace")
        masked = mask(text)
        if masked != text:
            try:
                write_whole(path, masked)
            except OutputError:
                overwrite(path, masked)
