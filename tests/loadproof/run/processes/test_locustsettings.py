"""Locust's settings have no effect on a run: those found are listed by name, and not passed on."""

from __future__ import annotations

import pytest

from loadproof.run.processes import children
from loadproof.run.processes.locustsettings import settings_found
from loadproof.scenario.target.targetfile import load_target
from loadproof.scenario.target.variables import variable_problems
from tests.commands import in_process, scenario_file

SET = {"LOCUST_EXCLUDE_TAGS": "slow", "LOCUST_SKIP_MONKEY_PATCH": "1", "LOCUST_OF_TOMORROW": "x"}


def test_children_get_no_variables_of_locust(monkeypatch):
    """Including those that a later Locust may add; other variables are passed on."""
    for name, value in (SET | {"LOCUSTS": "x"}).items():
        monkeypatch.setenv(name, value)
    for given in (children.inherited(), children.environment_with({})):
        assert not given.keys() & SET.keys()
        assert given["LOCUSTS"] == "x"


def test_settings_in_the_environment_are_listed_in_one_line(tmp_path):
    """By name and never by value: one of them is a password."""
    told = in_process("check", scenario_file(tmp_path), **SET, LOCUST_WEB_AUTH="me:canary").stderr
    (line,) = told.splitlines()
    names = "LOCUST_EXCLUDE_TAGS, LOCUST_OF_TOMORROW, LOCUST_SKIP_MONKEY_PATCH, LOCUST_WEB_AUTH"
    assert line.startswith(f"note: {names} are ignored: ")
    assert "canary" not in told
    told = in_process("check", scenario_file(tmp_path), LOCUST_TAGS="a").stderr
    assert told.startswith("note: LOCUST_TAGS is ignored: ")


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("home/.locust.conf", "tags = fast\n", "~/.locust.conf"),
        ("locust.conf", "tags = fast\n", "locust.conf"),
        ("pyproject.toml", "[tool.locust]\ntags = ['fast']\n", "pyproject.toml"),
        ("pyproject.toml", "[tool.other]\n", ""),
        ("pyproject.toml", "tool = 1\n", ""),
        ("pyproject.toml", "no TOML", ""),
    ],
)
def test_files_that_locust_would_read_are_listed(tmp_path, monkeypatch, file, text, told):
    """If they contain any settings for it."""
    (tmp_path / "home").mkdir()
    (tmp_path / file).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert list(settings_found()) == ([told] if told else [])


def test_a_target_file_cannot_use_a_variable_of_locust(tmp_path, monkeypatch):
    """The processes that send don't have it."""
    monkeypatch.setenv("LOCUST_TOKEN", "x")
    file = tmp_path / "target.yaml"
    file.write_text("base_url: http://127.0.0.1:9\nheaders: {Authorization: 'Bearer ${LOCUST_TOKEN}'}\n")
    (problem,) = variable_problems(load_target(file), set())
    assert "variables with such names are Locust's settings" in str(problem)
