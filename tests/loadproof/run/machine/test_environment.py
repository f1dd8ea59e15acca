"""The revision of loadproof's own source, and the hash of users' code."""

from __future__ import annotations

import re
import subprocess

import pytest

from loadproof.run.machine import environment
from tests.commands import ROOT

pytestmark = pytest.mark.process


def test_the_revision_is_a_commit_of_this_source():
    """Marked when files differ from it."""
    commit = subprocess.check_output(["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, text=True).strip()
    assert re.fullmatch(rf"{commit}( \(modified\))?", environment.revision())


def test_an_installation_inside_another_repository_has_no_revision(tmp_path, monkeypatch):
    """In a virtual environment of another project, the commit would be that project's."""
    package = tmp_path / ".venv/site-packages/loadproof"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (tmp_path / "theirs.txt").touch()
    for command in (
        ("init", "-q"),
        ("add", "theirs.txt"),
        ("-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-qm", "theirs"),
    ):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    monkeypatch.setattr(environment, "_ROOT", package)
    assert environment.revision() == "unknown"


def test_changed_files_of_users_change_the_hash(tmp_path):
    """Files of kinds that aren't in the mix don't count; shared files do."""
    for name in ("items.py", "other.py", "_shared.py"):
        (tmp_path / name).write_text("first")
    told = [environment.users_code(tmp_path, ["items"])]
    for name in ("other.py", "items.py", "_shared.py"):
        (tmp_path / name).write_text("second")
        told.append(environment.users_code(tmp_path, ["items"]))
    assert told[0] == told[1]
    assert len(set(told)) == 3
    own = environment.users_code(tmp_path / "items.py", [])
    (tmp_path / "items.py").write_text("third")
    assert environment.users_code(tmp_path / "items.py", []) != own
    assert len(environment.users_code(tmp_path, ["gone"])) == 12
