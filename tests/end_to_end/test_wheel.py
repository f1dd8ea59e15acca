"""A wheel, installed without the sources, does what a checkout does."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from loadproof import __version__
from loadproof.analysis.judge.verdict import EXIT_CODES
from loadproof.analysis.word import Word
from loadproof.rundir import files
from loadproof.rundir.manifest import read_manifest
from tests.commands import ROOT, only_run, verdict_of
from tests.copying import copy_repository
from tests.missing import missing

pytestmark = [pytest.mark.process, pytest.mark.long]

NAMES = {"loadproof"}
"""Our top-level names in site-packages."""


@dataclass(frozen=True)
class Installed:
    wheel: Path
    environment: Path
    elsewhere: Path
    """A working directory outside the repository."""

    def run(self, program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        unset = {"PYTHONPATH", "VIRTUAL_ENV"}
        return subprocess.run(
            [self.environment / "bin" / program, *map(str, arguments)],
            cwd=self.elsewhere,
            env={**{name: value for name, value in os.environ.items() if name not in unset}, "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )


def pip(*arguments: object, timeout_s: float = 150) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout_s)


def run_pip(*arguments: object, timeout_s: float = 150) -> None:
    done = pip(*arguments, timeout_s=timeout_s)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A wheel built from tracked and new files, in an environment that finds our dependencies in the current one."""
    path = tmp_path_factory.mktemp("wheel")
    copy_repository(path / "source")
    run_pip("wheel", "--no-deps", "--wheel-dir", path, path / "source")
    (wheel,) = path.glob("*.whl")
    environment, elsewhere = path / "environment", path / "elsewhere"
    venv.create(environment, symlinks=True)
    run_pip("--python", environment / "bin/python", "install", "--no-deps", wheel)
    (site,) = environment.glob("lib/python*/site-packages")
    # Only for modules not found earlier: the installation under test must not come from here.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    elsewhere.mkdir()
    return Installed(wheel, environment, elsewhere)


def test_a_wheel_contains_what_a_checkout_contains(installed):
    """All modules, templates and lists, the shipped folders instead of links, and no other top-level names."""
    names = zipfile.ZipFile(installed.wheel).namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info" not in name} == NAMES
    packages = {"analysis": "loadproof/analysis", "loadproof": "loadproof"}
    packages |= {folder: f"loadproof/shipped/{folder}" for folder in ("locustfiles", "payments_api")}
    for folder, place in packages.items():
        sources = [file for kind in ("*.py", "*.txt") for file in (ROOT / folder).rglob(kind)]
        assert {f"{place}/{file.relative_to(ROOT / folder)}" for file in sources} <= set(names)
    assert "loadproof/py.typed" in names
    shipped = {Path(name).name for name in names if name.startswith("loadproof/shipped/scenarios/")}
    assert shipped == {file.name for file in (ROOT / "scenarios").glob("*.yaml")}


def test_the_command_works_outside_the_repository(installed):
    """With the installed files only."""
    done = installed.run("loadproof", "--version")
    assert (done.returncode, done.stdout) == (0, f"loadproof {__version__}\n"), done.stderr
    done = installed.run("python", "-c", "import loadproof; print(loadproof.__file__)")
    assert Path(done.stdout.strip()).is_relative_to(installed.environment)
    done = installed.run("loadproof", "check", "smoke")
    assert (done.returncode, done.stderr) == (0, "")
    done = installed.run("loadproof", "schema", "verdict")
    assert done.stdout == (ROOT / "reports/verdict.schema.json").read_text()


def assert_runs_smoke(installed: Installed) -> None:
    """With its verdict and report, on the reference API and with the users inside."""
    done = installed.run("loadproof", "run", "smoke", "--out", "out")
    assert done.returncode != 2, done.stderr
    run = only_run(installed.elsewhere / "out")
    verdict = verdict_of(run)
    word = Word(verdict["verdict"])
    assert done.returncode == EXIT_CODES[word], done.stdout + done.stderr
    assert {one["expect"]: one["word"] for one in verdict["thresholds"]}["error_ratio < 10 %"] == Word.PASS, done.stdout
    manifest = read_manifest(run)
    assert (manifest.ending, manifest.revision, manifest.scenario_file) == ("completed", "unknown", "smoke")
    assert (run / files.SCENARIO).read_text() == (ROOT / "scenarios/smoke.yaml").read_text()
    assert word in (run / files.REPORT).read_text()
    assert (run / files.GENERATOR).exists()


def test_a_run_from_the_wheel_ends_with_its_verdict_and_report(installed):
    assert_runs_smoke(installed)


def test_the_wheel_and_its_extras_are_all_that_a_run_needs(installed, tmp_path):
    """In an environment that was empty, with the versions of the lock; only its package index is somewhere else."""
    if pip("download", "--no-deps", "--dest", tmp_path / "reachable", "idna").returncode:
        missing("index", "no package index can be reached")
    environment, elsewhere = tmp_path / "environment", tmp_path / "elsewhere"
    elsewhere.mkdir()
    venv.create(environment, symlinks=True)
    where = ("--python", environment / "bin/python", "install")
    run_pip(*where, f"{installed.wheel}[all]", "--constraint", ROOT / "requirements.lock", timeout_s=600)
    assert_runs_smoke(Installed(installed.wheel, environment, elsewhere))
