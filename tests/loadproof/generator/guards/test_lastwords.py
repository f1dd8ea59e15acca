"""When a locustfile's code ends a process, the place is reported; other ends are not."""

from __future__ import annotations

import os
import sys
from functools import partial
from importlib import util

import pytest

from tests.unpatched import locust  # isort: skip

from loadproof.generator.guards.lastwords import said_in, say_what_ended_it, say_who_ends_it, say_who_leaves_at_once

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
    """A locustfile's module."""
    (tmp_path / "own_leaving.py").write_text(OWN)
    spec = util.spec_from_file_location("own_leaving", tmp_path / "own_leaving.py")
    assert spec is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def raised_by(function) -> BaseException:
    """The exception, without this module's own frames."""
    try:
        function()
    except BaseException as error:  # noqa: BLE001 - also SystemExit
        return error.with_traceback(error.__traceback__.tb_next)
    raise AssertionError("it raised nothing")


def test_the_innermost_place_in_the_locustfile_is_reported(own, capsys, tmp_path):
    """And read from the end of a log among other lines."""
    say_what_ended_it(raised_by(own.leave))
    log = tmp_path / "generator.log"
    log.write_text("x" * 100_000 + "\nended by another one\n" + capsys.readouterr().err + "the rest\n")
    assert said_in(log) == ", ended by own_leaving.py, line 5, in leave: SystemExit: 3"
    own.call(say_who_ends_it)
    assert capsys.readouterr().err == "\nended by own_leaving.py, line 8, in call\n"


def test_os_exit_is_reported_but_not_in_a_fork(own, capsys, monkeypatch):
    """A fork normally ends like this."""
    left = []
    monkeypatch.setattr(os, "_exit", left.append)
    say_who_leaves_at_once()
    own.leave_at_once()
    assert capsys.readouterr().err == "\nended by own_leaving.py, line 12, in leave_at_once: os._exit(4)\n"
    monkeypatch.setattr(os, "getpid", lambda: 0)
    own.leave_at_once()
    assert (left, capsys.readouterr().err) == ([4, 4], "")


def test_a_regular_end_of_locust_or_python_is_not_reported(capsys, tmp_path):
    """It ends as it should, or the log says how."""
    say_what_ended_it(raised_by(partial(locust.events.quit.remove_listener, None)))
    say_what_ended_it(raised_by(sys.exit))
    assert capsys.readouterr().err == ""
    assert said_in(tmp_path / "gone") == ""
