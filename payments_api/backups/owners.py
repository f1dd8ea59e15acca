"""Hands what root creates in a user's directory to that user; otherwise the API, which isn't root, couldn't use it."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def give_to_owner(path: Path) -> None:
    """Set the owner of the directory that it is in; does nothing unless we are root and owners can be changed."""
    if os.geteuid() == 0:
        with suppress(OSError):
            directory = path.parent.stat()
            os.chown(path, directory.st_uid, directory.st_gid)
