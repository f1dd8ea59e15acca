"""A copy of the repository, in which tests may do what a reader does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands import ROOT
from tests.copying import copy_repository


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """Tracked and new files, with the programs of the virtual environment but the copy's own source."""
    path = tmp_path_factory.mktemp("copy") / "loadproof"
    copy_repository(path)
    (path / ".venv/bin").mkdir(parents=True)
    program = path / ".venv/bin/loadproof"
    python = ROOT / ".venv/bin/python"
    program.write_text(f'#!/bin/sh\nexport PYTHONPATH="{path}"\nexec "{python}" -m loadproof "$@"\n')
    program.chmod(0o755)
    # As after an installation, so that make doesn't install again.
    (path / ".venv/installed").touch()
    return path
