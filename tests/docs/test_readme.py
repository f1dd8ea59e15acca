"""The README's commands, typed one block after the other in a copy of the repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.commands import ROOT
from tests.other_api import SIGNING_KEY, TOKEN, running_other_api

BLOCKS = re.findall(r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
TWO_COMMANDS, *OTHERS = BLOCKS


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """What git knows, with the virtual environment's programs but its own source."""
    path = tmp_path_factory.mktemp("copy") / "loadproof"
    listed = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True)
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).exists():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, path / name)
    (path / ".venv/bin").mkdir(parents=True)
    program = path / ".venv/bin/loadproof"
    python = ROOT / ".venv/bin/python"
    program.write_text(f'#!/bin/sh\nexport PYTHONPATH="{path}"\nexec "{python}" -m loadproof "$@"\n')
    program.chmod(0o755)
    return path


def test_the_first_block_is_the_two_commands():
    """Those that do all the set-up; continuous integration runs them as they stand."""
    assert [line.split("#")[0].split() for line in TWO_COMMANDS.splitlines()] == [
        ["make", "load-100"],
        ["make", "test"],
    ]


@pytest.mark.process
@pytest.mark.parametrize("block", OTHERS, ids=lambda block: block.split("\n")[0][:40])
def test_every_other_block_does_what_it_says(copy, block):
    """With exit code 0; the example's own address is replaced by a server of the tests."""
    assert len(block.splitlines()) <= 18
    with running_other_api() as url:
        target = {"TARGET_URL": url} if "fly-app" in block else {}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=copy,
            env={**os.environ, "PAYMENTS_TOKEN": TOKEN, "STRIPE_WEBHOOK_SECRET": SIGNING_KEY, **target},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
