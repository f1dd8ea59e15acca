"""The README's commands, typed one block after the other in a copy of the repository."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.commands import ROOT, words_of
from tests.other_api import SIGNING_KEY, TOKEN, running_other_api

BLOCKS = re.findall(r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
TWO_COMMANDS, *OTHERS = BLOCKS
MAKES_LOAD = re.compile(r"loadproof (run|gate) (?!.*--dry-run)", re.DOTALL).search


def test_the_first_block_is_the_two_commands():
    """Those that do all the set-up; continuous integration runs them, the tests with coverage."""
    assert [line.split("#")[0].split() for line in TWO_COMMANDS.splitlines()] == [
        ["make", "load-100"],
        ["make", "test"],
    ]


def type_in(copy: Path, block: str) -> subprocess.CompletedProcess[str]:
    """As it stands; the example's own address is replaced by a server of the tests."""
    assert len(block.splitlines()) <= 18
    with running_other_api() as url:
        target = {"TARGET_URL": url} if "fly-app" in block else {}
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=copy,
            env={**os.environ, "PAYMENTS_TOKEN": TOKEN, "STRIPE_WEBHOOK_SECRET": SIGNING_KEY, **target},
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )


def first_line(block: str) -> str:
    return block.split("\n", maxsplit=1)[0][:40]


@pytest.mark.process
@pytest.mark.parametrize("block", [block for block in OTHERS if not MAKES_LOAD(block)], ids=first_line)
def test_every_other_block_does_what_it_says(copy, block):
    """With exit code 0."""
    done = type_in(copy, block)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.process
@pytest.mark.long
@pytest.mark.parametrize("block", [block for block in OTHERS if MAKES_LOAD(block)], ids=first_line)
def test_every_block_that_makes_load_makes_a_run_whose_thresholds_hold(copy, block):
    """The run's own word, and with it the exit code, is the machine's as well."""
    before = set(copy.glob("reports/**/verdict.json"))
    done = type_in(copy, block)
    assert "Traceback" not in done.stdout + done.stderr
    new = set(copy.glob("reports/**/verdict.json")) - before
    assert len(new) == 1, done.stdout + done.stderr
    assert set(words_of(new.pop().parent).values()) == {"PASS"}, done.stdout
