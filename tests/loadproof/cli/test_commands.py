"""What `--help` shows: options in groups, metavars that people can fill in, and whole sentences."""

from __future__ import annotations

import re

import pytest

from tests.commands import in_process

COMMANDS = [
    *("check", "run", "gate", "compare", "duel", "capacity"),
    *("report", "history", "journal", "elle", "selftest", "worker", "ui", "schema"),
]


def help_of(*command: str) -> str:
    return in_process(*command, "--help", COLUMNS="80").stdout


def test_the_list_of_commands_cuts_no_sentence_short():
    """In 80 columns."""
    listed = re.findall(r"^  (\w+) +[A-Z].*\w\.$", help_of().partition("Commands:")[2], re.MULTILINE)
    assert listed == COMMANDS


def test_the_options_of_run_are_in_groups():
    """Except --help."""
    text = help_of("run")
    titles = ["Arguments", "Load", "Load without a scenario", "Target", "Distributed", "Output and CI", "Options"]
    assert re.findall(r"^(\S.*):$", text, re.MULTILINE) == titles
    assert re.findall(r"^  (-\S+)", text.partition("\nOptions:")[2], re.MULTILINE) == ["--help"]


@pytest.mark.parametrize("command", COMMANDS)
def test_arguments_and_options_name_their_values(command):
    """Never by the name of a Python type."""
    assert not re.findall(r"\S+ <(?:int|float|str|list|path)", help_of(command))
