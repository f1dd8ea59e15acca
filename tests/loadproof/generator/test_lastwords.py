"""What somebody's own code ended is told with the place where it did, and nothing else is."""

from __future__ import annotations

import os
import sys
from functools import partial
from importlib import util

import pytest

from tests.unpatched import locust  # isort: skip

from loadproof.generator.lastwords import said_in, say_what_ended_it, say_who_ends_it, say_who_leaves_at_once

OWN = """
import sys

def leave():
    sys.exit(3)

def call(function):
    function()

def leave_at_once():
    import os
    os._exit(4)
"""


@pytest.fixture
def own(tmp_path):
    """A module of somebody's own."""
    (tmp_path / "own_leaving.py").write_text(OWN)
    spec = util.spec_from_file_location("own_leaving", tmp_path / "own_leaving.py")
    assert spec is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def raised_by(function) -> BaseException:
    """Without this module's own frames."""
    try:
        function()
    except BaseException as error:  # noqa: BLE001 - also SystemExit
        return error.with_traceback(error.__traceback__.tb_next)
    raise AssertionError("it raised nothing")


def test_the_innermost_place_of_somebodys_own_is_told(own, capsys, tmp_path):
    """Read from the end of a log of whatever else."""
    say_what_ended_it(raised_by(own.leave))
    log = tmp_path / "generator.log"
    log.write_text("x" * 100_000 + "\nended by another one\n" + capsys.readouterr().err + "the rest\n")
    assert said_in(log) == ", ended by own_leaving.py, line 5, in leave: SystemExit: 3"
    own.call(say_who_ends_it)
    assert capsys.readouterr().err == "\nended by own_leaving.py, line 8, in call\n"


def test_who_leaves_at_once_is_told_and_a_fork_is_not(own, capsys, monkeypatch):
    """A fork ends in this way by itself."""
    left = []
    monkeypatch.setattr(os, "_exit", left.append)
    say_who_leaves_at_once()
    own.leave_at_once()
    assert capsys.readouterr().err == "\nended by own_leaving.py, line 12, in leave_at_once: os._exit(4)\n"
    monkeypatch.setattr(os, "getpid", lambda: 0)
    own.leave_at_once()
    assert (left, capsys.readouterr().err) == ([4, 4], "")


def test_an_end_of_locusts_or_pythons_own_has_no_last_words(capsys, tmp_path):
    """It ends as it should, or the log says how."""
    say_what_ended_it(raised_by(partial(locust.events.quit.remove_listener, None)))
    say_what_ended_it(raised_by(sys.exit))
    assert capsys.readouterr().err == ""
    assert said_in(tmp_path / "gone") == ""
