"""Scenarios and users that ship with loadproof, by name."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from loadproof.errors import InputError
from loadproof.run.machine.shipped import DIRECTORY, LOCUSTFILES, SCENARIOS, scenario_file
from tests.commands import ROOT


def test_shipped_folders_are_the_top_level_ones_of_the_repository():
    """As links, which a wheel replaces by their files."""
    assert {link.name for link in DIRECTORY.iterdir()} == {"locustfiles", "payments_api", "scenarios"}
    for link in DIRECTORY.iterdir():
        assert link.is_symlink()
        assert not link.readlink().is_absolute()
        assert link.resolve() == ROOT / link.name


def test_a_bare_name_is_a_shipped_scenario_unless_there_is_a_file(tmp_path):
    """A path stays as it is, even a wrong one."""
    with contextlib.chdir(tmp_path):
        assert scenario_file(Path("smoke")) == SCENARIOS / "smoke.yaml"
        assert scenario_file(Path("smoke.yaml")) == Path("smoke.yaml")
        assert scenario_file(Path("scenarios/smoke")) == Path("scenarios/smoke")
        Path("smoke").touch()
        assert scenario_file(Path("smoke")) == Path("smoke")


def test_an_unknown_name_is_refused_with_the_nearest_one(tmp_path):
    """From the shipped scenarios."""
    with contextlib.chdir(tmp_path), pytest.raises(InputError, match=r"smok: no such file .* did you mean 'smoke'"):
        scenario_file(Path("smok"))


def test_shipped_users_are_the_default():
    """One kind of traffic per file; the directory may contain others, too."""
    assert {file.stem for file in LOCUSTFILES.glob("[!_]*.py")} >= {"balance", "health", "transactions", "webhooks"}
