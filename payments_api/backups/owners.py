"""What root makes in somebody's directory, to that somebody: or the API, which isn't root, couldn't use it any more."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def give_to_owner(path: Path) -> None:
    """The owner of the directory that it is in; nothing unless we are root, or where owners can't be changed."""
    if os.geteuid() == 0:
        with suppress(OSError):
            directory = path.parent.stat()
            os.chown(path, directory.st_uid, directory.st_gid)
