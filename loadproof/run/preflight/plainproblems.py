"""Finds what prevents a plain locustfile from running unchanged, and the hosts that it names."""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from loadproof.errors import InputError, Problem
from loadproof.run.preflight.locustfiles import found_in, never_run_problems
from loadproof.scenario.safety import check_base_url
from loadproof.scenario.strict import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from loadproof.generator.inspection.cast import Locustfile, Role
    from loadproof.scenario.scenario import Scenario

_OF_AN_OLDER_LOCUST: Final = re.compile(
    r"in version 1\.0|cannot import name '\w+' from 'locust\b|'Events' object has no"
)
"""Source: locust 2.47, locust/util/deprecation.py."""


def inspect_locustfile(
    path: Path, secret: tuple[str, ...] = (), shape_options: tuple[float | None, ...] = ()
) -> Locustfile:
    """What Locust finds in the file, as `found_in` does; InputError if it can't be loaded."""
    if not path.is_file() or path.suffix != ".py":
        what = "not a Python file" if path.exists() else "no such file"
        raise InputError(Problem("locustfile", what, "give the path of a locustfile", got=str(path)))
    # Resolved, so that a file is inspected only once however its path is written.
    (file,) = found_in(path.resolve(), secret, shape_options)
    if file.error:
        raise InputError(Problem(path.name, "can't be loaded", _remedy_for(file.error), got=file.error))
    return file


def _remedy_for(error: str) -> str:
    if error.startswith(ModuleNotFoundError.__name__):
        return "install that where loadproof runs, or run in the directory that it is in"
    if _OF_AN_OLDER_LOCUST.search(error):
        return f"port it to Locust {version('locust')}, which is the one that runs here"
    return "fix it: nothing was sent"


def hosts_of(file: Locustfile, where: str) -> list[str]:
    """The base URLs that its user classes name; InputError if one isn't a base URL."""
    hosts = list(dict.fromkeys(role.host.rstrip("/") for role in file.roles if role.host))
    for host in hosts:
        check_base_url(host, where)
    return hosts


def plain_locustfile_problems(file: Locustfile, scenario: Scenario, where: str) -> Iterator[Problem]:
    """What would keep the locustfile from doing what the scenario says."""
    if not file.roles:
        yield Problem(where, "no user class in it", "derive one from HttpUser, and give it a @task")
    if file.has_shape and not _is_shaped_by(scenario, file):
        what, remedy = "has a shape class of its own", "remove it: the scenario's phases say how many users there are"
        yield Problem(where, what, remedy)
    yield from _tag_problems(file, scenario, where)
    for role in file.roles:
        if role.is_api_user:
            remedy = "pass its directory with --locustfiles, and add it to the scenario's mix"
            yield Problem(where, f"`{role.name}` is an ApiUser", remedy)
        elif not role.has_tasks:
            remedy = "decorate a method with @task, or set `abstract = True` if others are derived from it"
            yield Problem(where, f"`{role.name}` has no task", remedy)
        for loop in role.replaced_loops:
            what = f"`{loop}` replaces Locust's: loadproof can't know what it runs as a task"
            yield Problem(where, what, "remove it, and write what it sends as tasks")
        yield from never_run_problems(role, where)
    fixed, fewest = sum(role.fixed_count for role in file.roles), min(phase.users or 0 for phase in scenario.phases)
    if fixed > fewest:
        what = "more users with a fixed_count than a phase has users"
        yield Problem(where, what, "plan more users, or lower fixed_count", got=f"{fixed} of {fewest}")
    if not file.has_other_requests:
        yield from _never_sent(file, scenario)


def _tag_problems(file: Locustfile, scenario: Scenario, where: str) -> Iterator[Problem]:
    """Tags that no task has; if there are none, user classes that the tags leave without a task."""
    tags, excluded = scenario.tags or [], scenario.exclude_tags or []
    named, known = {"tags": tags, "exclude_tags": excluded}, _tags_of(*file.roles)
    unknown = [(key, tag) for key, those in named.items() for tag in those if tag not in known]
    for key, tag in unknown:
        remedy = nearest(tag, known) if known else "leave it out: its tasks have no tags"
        yield Problem(key, f"no task of {where} has this tag", remedy, got=tag)
    if unknown or not (tags or excluded):
        return
    got = "; ".join(f"{key}: {', '.join(those)}" for key, those in named.items() if those)
    for role in file.roles:
        if role.has_tasks and not any(_is_left(own, tags, excluded) for own in role.tags):
            its = ", ".join(_tags_of(role)) or "none"
            what = f"the scenario's tags leave no task of `{role.name}`"
            yield Problem(where, what, f"choose among its tasks' tags ({its}), or set its `weight` to 0", got=got)


def _tags_of(*roles: Role) -> list[str]:
    return sorted({tag for role in roles for own in role.tags for tag in own or ()})


def _is_left(own: list[str] | None, tags: list[str], excluded: list[str]) -> bool:
    """Whether Locust runs a task with these tags."""
    return own is None or ((not tags or not {*own}.isdisjoint(tags)) and {*own}.isdisjoint(excluded))


def _is_shaped_by(scenario: Scenario, file: Locustfile) -> bool:
    """Whether the scenario's phases come from the file's load shape, judged by their names."""
    names = [phase.name for phase in scenario.phases]
    if file.shape_takes_options:
        return names == [f"stage-{number}" for number in range(1, len(names) + 1)]
    return bool(file.stages) and names == [stage["name"] for stage in file.stages]


def _never_sent(file: Locustfile, scenario: Scenario) -> Iterator[Problem]:
    """Names in thresholds that no request of the file has.

    For files whose request names are all literals; only the path of a base URL may precede them.
    """
    known = scenario.with_requests(file.requests)
    names = [*known.mix, *known.endpoints]
    paths = tuple(path for _, _, path in (name.partition(" ") for name in names) if path.startswith("/"))
    for index, threshold in scenario.numbered_thresholds():
        for name in known.endpoints_of(threshold):
            if name not in names and not name.endswith(paths):
                yield Problem(f"thresholds[{index}].endpoint", "no such request", nearest(name, names), got=name)
