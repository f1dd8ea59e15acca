"""Finds what keeps a directory of locustfiles from sending a scenario's traffic, without sending anything.

A file is valid if exactly one `ApiUser` in it has the file's name as its endpoint, and nothing in it overrides the
plan's pace, tasks or number of users.
"""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from loadproof.errors import InputError, Problem
from loadproof.generator.inspection.cast import Locustfile, Role
from loadproof.run.processes import children
from loadproof.scenario.safety import permit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadproof.scenario.scenario import Scenario

_DERIVE = "derive it from ApiUser"


def known_endpoints(path: Path) -> list[str]:
    """The kinds of traffic in a directory, one per file; for a single locustfile, its name."""
    return [path.stem] if path.is_file() else sorted(file.stem for file in path.glob("[!_]*.py"))


@functools.cache
def found_in(
    directory: Path, secret: tuple[str, ...] = (), shape_options: tuple[float | None, ...] = ()
) -> tuple[Locustfile, ...]:
    """What Locust finds in the files of a directory, or in one file; values of the variables in `secret` are masked.

    `shape_options` are the users, users per second and seconds that a load shape is given; None where unknown.
    InputError if the files can't be inspected.

    Files are loaded in a separate process, because Locust changes the process that loads them.
    """
    with children.empty_directory() as elsewhere:
        process = children.run_to_end(
            children.python(
                "loadproof.generator.inspection.casting", str(directory.resolve()), json.dumps(shape_options)
            ),
            # A plain locustfile may open files and import modules in the user's working directory.
            directory=Path.cwd() if directory.is_file() else elsewhere,
            environment=children.environment_with(permit(variables=secret)),
        )
    locustfiles = tuple(map(_found, process.stdout.splitlines()))
    if process.returncode or sorted(file.stem for file in locustfiles) != known_endpoints(directory):
        # A file that ends the process hides the files after it, and a file that wasn't inspected isn't valid.
        got = process.stderr.strip()[-200:]
        raise InputError(Problem(str(directory), "can't be inspected", "see what it printed last", got=got))
    return tuple(_with_its_words(file, process.stderr) for file in locustfiles)


def _with_its_words(file: Locustfile, printed: str) -> Locustfile:
    """Add the last line printed to the error of a file that called sys.exit: it probably says why."""
    if not file.error.startswith(SystemExit.__name__) or not printed.strip():
        return file
    return replace(file, error=f"{file.error} after {printed.strip().splitlines()[-1]}")


def _found(line: str) -> Locustfile:
    file = json.loads(line)
    return Locustfile(**file | {"roles": [Role(**role) for role in file["roles"]]})


def misfits(directory: Path, scenario: Scenario, secret: tuple[str, ...] = ()) -> Iterator[Problem]:
    """Problems with the files of the scenario's mix, and with any other file that Locust would load.

    Values of the environment variables in `secret` are masked.
    """
    first_of: dict[str, str] = {}
    """The first file that uses a name, by the name of the user class."""
    for file in found_in(directory, secret):
        where = f"{directory.name}/{file.stem}.py"
        if file.error:
            yield Problem(where, "can't be loaded", "fix it, or move it elsewhere", got=file.error)
        if file.has_shape:
            yield Problem(where, "has a shape class of its own", "remove it: the scenario's phases say how many users")
        for role in file.roles:
            if (first := first_of.setdefault(role.name, file.stem)) != file.stem:
                what = f"`{role.name}` is the name of a user in {first}.py, too"
                yield Problem(where, what, "rename one of them: Locust tells users apart by their class's name")
            if role.is_api_user and role.endpoint in scenario.mix and role.endpoint != file.stem:
                what = f"`{role.name}` sends '{role.endpoint}', which belongs to another file"
                yield Problem(where, what, f"call the file {role.endpoint}.py, or the endpoint '{file.stem}'")
        kinds = [kind for kind, mix in scenario.mix.items() if (mix.like or kind) == file.stem]
        if kinds and not file.error:
            yield from _wants(file, where)
        for kind in () if file.error else kinds:
            yield from _unknown_to_either(file, kind, scenario, where)


def _wants(file: Locustfile, where: str) -> Iterator[Problem]:
    fit = [role for role in file.roles if role.is_api_user and role.endpoint == file.stem]
    plain = [role for role in file.roles if not role.is_api_user]
    for role in plain:
        what = f"`{role.name}` is not an ApiUser: loadproof can neither plan nor judge what it sends"
        yield Problem(where, what, _DERIVE)
    named = ", ".join(f"{role.name}: {role.endpoint}" for role in file.roles if role.is_api_user)
    if not fit and not plain:
        yield Problem(
            where, f"no user whose `endpoint` is '{file.stem}'", "set a user's `endpoint` to that", got=named or "none"
        )
    if len(fit) > 1:
        names = ", ".join(role.name for role in fit)
        yield Problem(where, "several users of one endpoint", "keep one: the mix plans for one", got=names)
    for role in fit:
        yield from _out_of_hand(role, where)


def _unknown_to_either(file: Locustfile, kind: str, scenario: Scenario, where: str) -> Iterator[Problem]:
    """Requests and feeders that only the file or only the scenario has for this kind of user."""
    declared = scenario.requests_of(kind)
    if undeclared := [name for name in file.requests if name not in declared]:
        listed = ", ".join(dict.fromkeys([*(scenario.mix[kind].requests or ()), *undeclared]))
        remedy = f"add `requests: [{listed}]` to mix.{kind}"
        yield Problem(where, "a request that the scenario doesn't name", remedy, got=", ".join(undeclared))
    if unfed := [name for name in file.feeders if name not in scenario.feeders]:
        remedy = "add it to `feeders:`, with its file"
        yield Problem(where, "takes rows of a feeder that the scenario doesn't have", remedy, got=", ".join(unfed))
    unsent = [name for name in declared if name not in {*file.requests, kind}]
    if unsent and not file.has_other_requests:
        remedy = "correct the name, here or there; what on_start and on_stop send needs no name there"
        yield Problem(where, f"nothing sends what mix.{kind}.requests names", remedy, got=", ".join(unsent))


def _out_of_hand(role: Role, where: str) -> Iterator[Problem]:
    """What the user class decides although it is up to the scenario, and tasks that would not run."""
    if not role.has_tasks:
        yield Problem(where, f"`{role.name}` has no task", "decorate a method with @task")
    if role.has_task_sets:
        yield Problem(where, f"`{role.name}` has a task that is not a method", "write its tasks as methods")
    yield from never_run_problems(role, where)
    if role.has_wait_time:
        yield Problem(where, f"`{role.name}` has a wait_time", "remove it: `every` in the scenario's mix is its pace")


def never_run_problems(role: Role, where: str) -> Iterator[Problem]:
    """Methods of a user class that Locust would call without running them, such as coroutines."""
    for name, kind in role.never_run.items():
        what = f"`{role.name}.{name}` is {'an' if kind.startswith('a') else 'a'} {kind}"
        yield Problem(where, f"{what}: Locust would call it and never run it", "write it as a plain method")
