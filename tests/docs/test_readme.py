"""The README's commands, run block by block in a copy of the repository."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import ROOT, code_of, words_of
from tests.copying import copy_repository
from tests.other_api import SIGNING_KEY, TOKEN, running_other_api

BLOCKS = re.findall(r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
TWO_COMMANDS, *OTHERS = BLOCKS
WRITTEN = dict(re.findall(r"^cat > (\S+) <<'EOF'\n(.*?)^EOF$", "".join(OTHERS), re.DOTALL | re.MULTILINE))
"""Files that one block writes and later ones read, because another process may run that block."""
MAKES_LOAD = re.compile(r"loadproof (run|gate) (?!.*--dry-run)", re.DOTALL).search
FIT = "fit for release"
"""What a block says after a command with exit code 0, when its last command is another."""


def test_the_first_block_is_the_two_commands():
    """They do all the set-up; continuous integration runs them, the tests with coverage."""
    assert [line.split("#")[0].split() for line in TWO_COMMANDS.splitlines()] == [
        ["make", "load-100"],
        ["make", "test"],
    ]


def type_in(copy: Path, block: str) -> subprocess.CompletedProcess[str]:
    """Run a block unchanged, except that the example's address is replaced by a test server."""
    assert len(block.splitlines()) <= 18
    for name, content in WRITTEN.items():
        if name in block and f"cat > {name}" not in block:
            (copy / name).write_text(content, encoding="utf-8")
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


@pytest.mark.process
@pytest.mark.long
def test_your_own_scenario_and_user_break_no_tests(tmp_path):
    """The tests that look into these two folders, in a copy of the repository."""
    own = tmp_path / "loadproof"
    copy_repository(own)
    (added,) = (block for block in OTHERS if block.startswith("cat > locustfiles/"))
    subprocess.run(["bash", "-euc", added.partition("\nEOF\n")[0] + "\nEOF\n"], cwd=own, check=True)
    text = (own / "scenarios/smoke.yaml").read_text(encoding="utf-8").replace("name: smoke", "name: own", 1)
    (own / "scenarios/own.yaml").write_text(text.partition("\n")[2], encoding="utf-8")
    looking = [
        *("tests/test_architecture.py", "tests/docs/test_docs.py", "tests/loadproof/internals/test_others.py"),
        *("tests/loadproof/run/preflight/test_locustfiles.py", "tests/loadproof/run/machine/test_shipped.py"),
        *("tests/loadproof/scenario/test_scenario.py", "tests/loadproof/cli/test_check.py"),
    ]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not long", *looking]
    # Simulations don't look into these folders, however many of them the tests around this one run.
    few = os.environ | {"LOADPROOF_SIMULATIONS": ""}
    done = subprocess.run(command, cwd=own, env=few, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout


def first_line(block: str) -> str:
    return block.split("\n", maxsplit=1)[0][:40]


def marked(block: str):
    """The block with its marks: drawing a report takes seconds, and so does a dry run."""
    takes_seconds = re.search("loadproof report|--dry-run", block)
    return pytest.param(block, marks=[pytest.mark.long] if takes_seconds else [], id=first_line(block))


@pytest.mark.process
@pytest.mark.parametrize("block", [marked(block) for block in OTHERS if not MAKES_LOAD(block)])
def test_every_other_block_works(copy, block):
    """With exit code 0."""
    done = type_in(copy, block)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.process
@pytest.mark.long
@pytest.mark.parametrize("block", [block for block in OTHERS if MAKES_LOAD(block)], ids=first_line)
def test_every_block_that_generates_load_makes_a_run_that_meets_its_thresholds(copy, block):
    """It exits with the verdict's code; the verdict also depends on the machine."""
    before = set(copy.glob("reports/**/verdict.json"))
    done = type_in(copy, block)
    new = set(copy.glob("reports/**/verdict.json")) - before
    assert len(new) == 1, done.stdout + done.stderr
    run = new.pop().parent
    assert set(words_of(run).values()) == {"PASS"}, done.stdout
    if FIT in block:
        assert (FIT in done.stdout) == (code_of(run) == 0), done.stdout + done.stderr
    else:
        assert done.returncode == code_of(run), done.stdout + done.stderr
