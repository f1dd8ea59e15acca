"""The walls of the house."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import ROOT

PURE = {"arrivals", "cells", "chunked", "decidability", "environment", "errors", "excess", "expectation", "histogram"}
PURE |= {"httphead", "httpwire", "outcome", "plan", "rundir", "safety", "scenario", "skew", "strictmodel", "strictyaml"}
PURE |= {"targetfile", "units"}
MEETS_LOCUST = {
    "alarm",
    "allotment",
    "crew",
    "deadlines",
    "dispatcher",
    "executor",
    "locustclients",
    "locustcsv",
    "locustfile",
    "locuststats",
    "onelook",
    "origin",
    "recorder",
    "shape",
    "stream",
    "transport",
    "users",
    "workload",
}


def imports_of(file: Path) -> set[str]:
    """Modules that this file imports, those for type checking included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def top_level(modules: set[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules}


@pytest.mark.parametrize("file", sorted((ROOT / "analysis").glob("*.py")), ids=lambda file: file.stem)
def test_the_analysis_knows_no_locust_no_target_and_only_pure_modules(file):
    """It works where nothing but pandas is installed."""
    modules = imports_of(file)
    assert not top_level(modules) & {"locust", "gevent", "geventhttpclient", "target", "locustfiles"}
    ours = {module.split(".")[1] for module in modules if module.startswith("loadproof.")}
    assert ours <= PURE


@pytest.mark.parametrize("package", ["analysis", "loadproof", "locustfiles"])
def test_nothing_imports_the_target(package):
    """It is reached over HTTP."""
    for file in (ROOT / package).glob("*.py"):
        assert "target" not in top_level(imports_of(file)), file


def test_only_the_command_line_sets_both_halves_to_work():
    """The run directory is all that passes between them."""
    meeting = {file.stem for file in (ROOT / "loadproof").glob("*.py") if "analysis" in top_level(imports_of(file))}
    assert meeting == {"cli", "judging"}


def test_the_target_imports_nothing_of_ours():
    """A program of its own."""
    for file in (ROOT / "target").glob("*.py"):
        assert not top_level(imports_of(file)) & {"analysis", "loadproof", "locustfiles"}, file


def test_only_some_modules_of_the_engine_meet_locust_and_gevent():
    """Monkey-patching stays in Locust's processes."""
    meeting = {
        file.stem
        for file in (ROOT / "loadproof").glob("*.py")
        if top_level(imports_of(file)) & {"locust", "gevent", "geventhttpclient"}
    }
    assert meeting <= MEETS_LOCUST


def test_pure_modules_import_only_pure_ones():
    """Of ours."""
    for name in PURE:
        ours = {m.split(".")[1] for m in imports_of(ROOT / f"loadproof/{name}.py") if m.startswith("loadproof.")}
        assert ours - {"__version__"} <= PURE, name


@pytest.mark.parametrize(
    "module", ["analysis.report", "analysis.outputs", "analysis.locustreport", "loadproof.cli", "loadproof.runner"]
)
def test_importing_it_loads_neither_locust_nor_gevent(module):
    """Checked in a process of its own."""
    code = f"import sys, {module}; print({{'locust', 'gevent', 'target'}} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True).strip() == "set()"


def test_the_command_line_starts_without_pandas_and_matplotlib():
    """They take seconds to load, and are only needed after the run."""
    code = "import sys, loadproof.cli; print({'pandas', 'matplotlib', 'scipy'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True).strip() == "set()"


DISTRIBUTIONS = {"yaml": "pyyaml", "prometheus_client": "prometheus-client", "uvicorn": "uvicorn[standard]"}
COMES_ALONG = {"geventhttpclient", "greenlet", "markupsafe", "pydantic_core", "starlette", "typing_extensions"}
"""With locust, gevent, jinja2, pydantic and fastapi, which could not be without them."""


@pytest.mark.parametrize(
    ("role", "packages"),
    [("target", ["target"]), ("worker", ["loadproof", "locustfiles"]), ("master", ["analysis", "loadproof"])],
)
def test_images_have_what_their_role_imports(role, packages):
    """The master's image is the worker's and more."""
    roles = ["worker", "master"] if role == "master" else [role]
    listed = {
        line
        for name in roles
        for line in (ROOT / f"deploy/requirements-{name}.txt").read_text().splitlines()
        if not line.startswith("#")
    }
    imported = set().union(*(imports_of(file) for name in packages for file in (ROOT / name).glob("*.py")))
    foreign = top_level(imported) - sys.stdlib_module_names - {"analysis", "loadproof", "locustfiles", "target"}
    # The command line is on both: what only judges is imported where it judges.
    assert {DISTRIBUTIONS.get(name, name) for name in foreign} - COMES_ALONG <= listed
