"""Waiting for the address of a child, and what happens to its other output."""

from __future__ import annotations

import subprocess
import sys

import pytest

from loadproof.errors import TargetError
from loadproof.run.servers.readiness import address
from tests.waiting import eventually

WRITES = "import os, sys; os.write(1, sys.argv[1].encode())"
pytestmark = pytest.mark.process


def address_in(tmp_path, text: str) -> str:
    """The address that a child prints with this text, which arrives in one chunk."""
    with subprocess.Popen([sys.executable, "-c", WRITES, text], stdout=subprocess.PIPE) as child:
        found = address(child, "at ", what="it", log=tmp_path / "log", stop_requested=lambda: False)
        child.wait(10)
    return found


def test_output_around_the_address_is_in_the_log(tmp_path):
    """Also what comes in the same chunk, after the address."""
    assert address_in(tmp_path, "one\nat http://x\ntwo\nthree") == "http://x"
    eventually(lambda: (tmp_path / "log").read_text() == "one\ntwo\nthree")


@pytest.mark.parametrize(("text", "last"), [("no luck", "no luck"), ("", "no output")])
def test_a_child_that_gives_no_address_is_reported_with_its_last_words(tmp_path, text, last):
    """They may not end with a newline, and there may be none."""
    with pytest.raises(TargetError, match=f"did not get ready, got {last!r}|did not get ready, got {last}"):
        address_in(tmp_path, text)
