"""Gives files that root creates in a user's directory to that user: the API, not being root, couldn't use them."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def give_to_owner(path: Path) -> None:
    """Give the file the owner of its directory; does nothing unless we are root and owners can be changed."""
    if os.geteuid() == 0:
        with suppress(OSError):
            directory = path.parent.stat()
            os.chown(path, directory.st_uid, directory.st_gid)
