"""`--release`: the name of the version under test."""

from __future__ import annotations

import pytest

from loadproof.cli.console.options import DEFAULT_LOCUSTFILES
from loadproof.cli.preparation.preparing import RunOptions, prepare_all
from loadproof.errors import InputError, Problem
from loadproof.run.assignment import new_manifest
from loadproof.run.processes.locust import CrewOptions
from loadproof.scenario.target.targetfile import TargetFile
from tests.commands import scenario_file
from tests.loadproof.cli.refusals import refused


@pytest.mark.parametrize(("command", "function"), [("run", "prepare"), ("gate", "prepare_all")])
def test_the_release_is_set_by_an_option_or_a_variable(monkeypatch, command, function):
    """The option takes precedence."""

    def preparing(_, options, **__):
        raise InputError(Problem("the release", options.release or "without a name", "none"))

    monkeypatch.setattr(f"loadproof.cli.{command}.{function}", preparing)
    assert "the release: v2;" in refused(command, "smoke", "--release", " v2 ", TARGET_RELEASE="v1")
    assert "the release: v1;" in refused(command, "smoke", TARGET_RELEASE="v1")
    assert "the release: without a name;" in refused(command, "smoke")


def test_the_release_is_in_the_manifest_of_each_run(tmp_path):
    """For `history`."""
    crew = CrewOptions(DEFAULT_LOCUSTFILES, 1)
    target = TargetFile(base_url="http://127.0.0.1:1")
    (assignment,) = prepare_all([scenario_file(tmp_path)], RunOptions(crew, target, release="v1.4.2"))
    manifest = new_manifest(assignment, "a-run", target.base_url)
    assert manifest.release == manifest.release_shown == "v1.4.2"


@pytest.mark.parametrize("name", ["v1\nv2", "v" * 81, "\x1b[31m"])
def test_a_release_that_does_not_fit_on_a_line_is_refused(name):
    """It is shown in tables."""
    assert "--release: not a name of at most 80 printable characters" in refused("run", "smoke", "--release", name)
