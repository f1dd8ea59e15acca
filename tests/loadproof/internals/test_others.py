"""gevent is as we expect, and private parts of other libraries are used in one file each."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import textwrap
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gevent
import pytest
from gevent.exceptions import BlockingSwitchOutError
from greenlet import GreenletExit, greenlet

from tests.sources import tree_of

from tests.unpatched import locust  # isort: skip

from tests.commands import ROOT

assert locust
PRODUCT = ("analysis", "loadproof", "locustfiles", "payments_api")


@contextmanager
def unchanged(library: str, what: str, used_in: str) -> Iterator[None]:
    """Anything that fails inside is a change in that library."""
    try:
        yield
    except Exception as error:
        raise AssertionError(f"{library} changed: {what}; used in {used_in} ({error!r})") from error


def test_watchers_call_on_the_hub():
    """For a readable descriptor, repeatedly until stopped."""
    hub, seen = gevent.get_hub(), []
    reader, writer = os.pipe()
    with unchanged(
        "gevent", "loop.io(fd, 1).start(callback) calls on the hub", "http/connection.py, generator/dispatch/alarm.py"
    ):
        watcher = hub.loop.io(reader, 1)
        watcher.start(lambda: seen.append(gevent.getcurrent()))
        os.write(writer, b"x")
        with gevent.Timeout(20):
            while len(seen) < 2:
                gevent.sleep(0.01)
        watcher.stop()
        calls = len(seen)
        gevent.sleep(0.02)
        assert calls == len(seen) > 1
        assert set(seen) == {hub}
        watcher.close()
    os.close(reader)
    os.close(writer)


def test_timers_call_on_the_hub_and_need_not_keep_the_loop_running():
    """Once or repeatedly."""
    hub, once, again = gevent.get_hub(), [], []
    with unchanged(
        "gevent", "loop.timer(after, repeat, ref=), start(callback, update=)", "dispatch/alarm.py, http/deadlines.py"
    ):
        timers = [hub.loop.timer(0.001), hub.loop.timer(0.001, repeat=0.001, ref=False)]
        timers[0].start(lambda: once.append(gevent.getcurrent()), update=True)
        timers[1].start(lambda: again.append(gevent.getcurrent()))
        with gevent.Timeout(20):
            while len(again) < 3 or not once:
                gevent.sleep(0.001)
        assert once == [hub]
        assert set(again) == {hub}
        for timer in timers:
            timer.close()


def test_callbacks_switch_and_throw_but_never_wait():
    """The executor's users are plain greenlets below the hub, which callbacks switch to and kill."""
    hub, seen = gevent.get_hub(), []

    def live(first: int) -> None:
        seen.append(first)
        try:
            seen.append(hub.switch())
        except GreenletExit:
            seen.append("ended")

    def wait() -> None:
        try:
            gevent.sleep(0.001)
        except BlockingSwitchOutError:
            seen.append("must not wait")

    with unchanged("gevent", "run_callback, hub.switch and greenlets below the hub", "dispatch/executor.py, http/"):
        users = [greenlet(live, hub), greenlet(live, hub)]
        for call, *arguments in (
            (users[0].switch, 1),
            (users[0].switch, 2),
            (users[1].switch, 3),
            (users[1].throw,),
            (wait,),
        ):
            hub.loop.run_callback(call, *arguments)
        gevent.sleep(0)
        assert seen == [1, 2, 3, "ended", "must not wait"]


def test_a_killed_greenlet_has_no_arguments_any_more():
    """Though it still runs."""
    seen = []

    def live(_: int) -> None:
        try:
            gevent.sleep(5)
        except GreenletExit:
            gevent.sleep(0.01)
            seen.append("ended")

    with unchanged("gevent", "Greenlet.args is empty after a kill", "internals/locustusers.py _bring_back"):
        life = gevent.spawn(live, 1)
        gevent.sleep(0)
        assert life.args == (1,)
        life.kill(block=False)
        gevent.sleep(0)
        assert not life.ready()
        assert life.args == ()
        life.join()
        assert seen == ["ended"]


@pytest.mark.slow
def test_private_parts_of_others_are_used_in_one_package():
    """Ruff's SLF001 finds them, also with mangled names, and is not silenced anywhere else.

    The mutants only change private parts of their own package.
    """
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    allowed = {place for place, rules in lint["per-file-ignores"].items() if "SLF001" in rules}
    assert allowed == {"tests/**", "loadproof/internals/**", "payments_api/mutants/*"}
    assert lint["select"] == ["ALL"]
    assert "SLF001" not in lint["ignore"]
    found = {
        str(file.relative_to(ROOT))
        for package in (*PRODUCT, "bench", "docs", "drills", "simulation")
        for file in (ROOT / package).rglob("*.py")
        if re.search(r"noqa: *[A-Z0-9, ]*SLF001|# ruff: noqa|\b_[A-Z]\w*__[a-z]", file.read_text())
    }
    assert found == set()


@pytest.mark.parametrize(
    "name", ["gevent", "limits", "locust", "pytest", "pytest-xdist", "requests", "slowapi", "uvicorn[standard]"]
)
def test_libraries_used_beyond_their_promises_have_an_upper_bound(name):
    """For private parts, and for behaviour that a new version may change."""
    assert re.search(
        rf'^    "{re.escape(name)}>=[\d.]+,<[\d.]+",$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE
    )


LIBRARIES = {"gevent", "greenlet", "limits", "locust", "slowapi", "uvicorn", "zmq"}
PRIVATE = re.compile(r"(?:\w+\.)*_[A-Za-z]\w*(?:\.\w+)*(?<!\.csv)")
"""A private name, or a path with one, as `getattr` and the like take them; dunders are public, file names excluded."""
ABOUT_TEXT = {"TypeVar", "endswith", "removeprefix", "removesuffix", "startswith"}
"""Calls whose strings don't name attributes."""


def private_imports(tree: ast.AST) -> Iterator[str]:
    """Private parts of these libraries, imported anywhere under any name."""
    for node in ast.walk(tree):
        paths = []
        if isinstance(node, ast.Import):
            paths = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            paths = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from (path for path in paths if path.partition(".")[0] in LIBRARIES and PRIVATE.fullmatch(path))


def private_texts(tree: ast.AST) -> Iterator[str]:
    """Strings that are a private name, or begin like one, wherever used: in `getattr`, in `vars(…)[…]`, in a table."""
    harmless: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", None)) in ABOUT_TEXT:
            harmless.update(part for argument in node.args for part in ast.walk(argument))
        elif isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__slots__"]:
            harmless.update(ast.walk(node.value))
        elif isinstance(node, ast.JoinedStr):
            harmless.update(node.values)
            if PRIVATE.fullmatch(begun := re.sub(r"{.*", "x", ast.unparse(node)[2:-1])):
                yield begun
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in harmless:
            yield from [node.value] if PRIVATE.fullmatch(node.value) else []


FOR_PRIVATE_PARTS = ("loadproof/internals/", "payments_api/mutants/")
"""Private names of other libraries, and those of the reference API that its mutants break."""


def found_by(rule: Callable[[ast.AST], Iterator[str]], *packages: str) -> dict[str, list[str]]:
    """Findings by file, without the packages that are meant for them."""
    files = (file for package in packages for file in (ROOT / package).rglob("*.py"))
    trees = {str(file.relative_to(ROOT)): tree_of(file) for file in files}
    outside = {name: tree for name, tree in trees.items() if not name.startswith(FOR_PRIVATE_PARTS)}
    return {name: found for name, tree in outside.items() if (found := list(rule(tree)))}


@pytest.mark.slow
def test_no_private_parts_of_others_are_imported():
    """Neither modules nor names."""
    assert found_by(private_imports, *PRODUCT, "bench", "docs", "drills", "simulation") == {}


@pytest.mark.slow
def test_no_string_reaches_them_by_name():
    """Neither through `getattr` with a name, nor through an object's dict."""
    assert found_by(private_texts, *PRODUCT) == {}


PREPARES_SOCKETS = ROOT / "loadproof/generator/locustfile.py"
"""Not imported: it would act on this process; and its classes contain no code."""


def heirs() -> Iterator[type]:
    """Our classes that extend one of these libraries' classes, directly or indirectly."""
    extends = re.compile(rf"^from ({'|'.join(LIBRARIES)})\b.*^class ", re.MULTILINE | re.DOTALL)
    files = (file for package in PRODUCT for file in (ROOT / package).rglob("*.py"))
    for file in files:
        if file != PREPARES_SOCKETS and extends.search(file.read_text(encoding="utf-8")):
            module = importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
            own = (held for held in vars(module).values() if getattr(held, "__module__", None) == module.__name__)
            yield from (held for held in own if inspect.isclass(held) and inherited_by(held))


def inherited_by(heir: type) -> list[type]:
    return [base for base in heir.__mro__ if base.__module__.partition(".")[0] in LIBRARIES]


@pytest.mark.slow
def test_subclasses_do_not_use_private_parts_of_their_bases():
    """Ruff takes every attribute of `self` for our own, even an inherited one."""
    found, inherited = {}, set()
    for heir in heirs():
        inherited.update(inherited_by(heir))
        source = ast.parse(textwrap.dedent(inspect.getsource(heir)))
        used = {node.attr for node in ast.walk(source) if isinstance(node, ast.Attribute)} | set(vars(heir))
        theirs = set().union(*(re.findall(r"\b_[a-z]\w*", inspect.getsource(base)) for base in inherited_by(heir)))
        found[heir.__qualname__] = used & theirs
    assert {base.__name__ for base in inherited} >= {"LoadTestShape", "Storage", "User", "UsersDispatcher"}
    assert {name: names for name, names in found.items() if names} == {}


@pytest.mark.parametrize(
    "line",
    [
        "from locust.runners import _x",
        "from limits.storage import _x as x",
        "from gevent._hub_local import get_hub",
        "import gevent._hub_local",
        "import zmq.backend.cython._zmq as z",
    ],
)
def test_the_import_rule_finds_violations(line):
    assert list(private_imports(ast.parse(f"def late():\n    {line}")))


@pytest.mark.parametrize(
    "line",
    [
        "getattr(runner, '_users_dispatcher', None)",
        "vars(runner)['_users_dispatcher']",
        "runner.__dict__.get('_users_dispatcher')",
        "setattr(runner, '_state', 1)",
        "hasattr(runner, '_state')",
        "attrgetter('environment._x.runner')",
        "getattr(runner, f'_{name}')",
        "NAMES = ('_state',)",
    ],
)
def test_the_string_rule_finds_violations(line):
    assert list(private_texts(ast.parse(line)))


@pytest.mark.parametrize(
    "line",
    [
        "import locust.runners",
        "from gevent.hub import get_hub",
        "from _thread import allocate_lock",
        "vars(self)['state']",
        "name.endswith('_total')",
        "f'{name}_s'",
        "T = TypeVar('_T')",
        "__slots__ = ('_state',)",
        "importlib = '__main__'",
    ],
)
def test_the_rules_accept_harmless_code(line):
    assert [*private_imports(ast.parse(line)), *private_texts(ast.parse(line))] == []
