"""A copy of the repository: tracked files, and new ones that aren't ignored."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.commands import ROOT


def copy_repository(path: Path) -> None:
    """Copy into a directory that doesn't exist yet; links stay links."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    for name in filter(None, subprocess.check_output(command, cwd=ROOT, text=True).split("\0")):
        if (ROOT / name).exists():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, path / name, follow_symlinks=False)
