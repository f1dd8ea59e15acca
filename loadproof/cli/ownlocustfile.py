"""Runs of somebody's own locustfile: the scenario in which it was asked for, or the one that its options stand for."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from loadproof.cli.options import load_option
from loadproof.errors import InputError, Problem
from loadproof.run.ownlocustfile import brought, hosts_of
from loadproof.scenario.locustfile import LoadOptions, scenario_text
from loadproof.scenario.safety import check_host

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadproof.scenario.targetfile import TargetFile

_FROM_OPTIONS: Final = Path("command line")
_DEFAULT_EXPECTATION: Final = "goodput_ratio >= 99 %"
_DEFAULT_DEADLINE: Final = "5 s"

_without_scenario: Final = functools.partial(typer.Option, rich_help_panel="Load without a scenario")

OwnLocustfileOption = Annotated[
    Path | None,
    load_option(
        metavar="FILE", help="Ordinary Locust locustfile whose users run unchanged, instead of those in --locustfiles."
    ),
]
TagsOption = Annotated[
    list[str] | None, load_option(metavar="TAG", help="Run only the locustfile's tasks with this tag; repeatable.")
]
ExcludeTagsOption = Annotated[
    list[str] | None, load_option(metavar="TAG", help="Skip the locustfile's tasks with this tag; repeatable.")
]
UsersOption = Annotated[int | None, _without_scenario(metavar="N", help="Concurrent users.", min=1)]
DurationOption = Annotated[
    str | None, _without_scenario(metavar="TIME", help="How long to run with all users, like 60s.")
]
SpawnRateOption = Annotated[
    float | None, _without_scenario(metavar="N", help="Users started per second (default: ramp up over 10 % of TIME).")
]
ExpectOption = Annotated[
    list[str] | None,
    _without_scenario(
        metavar="EXPECTATION",
        help="Threshold, like 'p(95) < 300 ms' or '/cart: p(95) < 300 ms'; repeatable. Unless one begins with "
        f"goodput_ratio, '{_DEFAULT_EXPECTATION}' is added.",
    ),
]
DeadlineOption = Annotated[
    str | None,
    _without_scenario(
        metavar="TIME", help=f"Responses later than this don't count as goodput (default: {_DEFAULT_DEADLINE})."
    ),
]


@dataclass(frozen=True)
class ScenarioSource:
    """A scenario to run: a file with overrides, or a text."""

    file: Path
    """What messages call it; names in it are relative to its directory."""
    settings: dict[str, str]
    text: str | None = None


@dataclass(frozen=True)
class OwnLocustfile:
    """What the options say about somebody's own locustfile; None: nothing."""

    file: Path | None
    users: int | None
    duration: str | None
    spawn_rate: float | None
    expect: Sequence[str] | None
    deadline: str | None
    tags: Sequence[str] | None
    exclude_tags: Sequence[str] | None

    def source(self, scenario: Path | None, settings: dict[str, str], target: TargetFile | None) -> ScenarioSource:
        """The scenario to run; InputError with all options that don't go together."""
        if scenario is None:
            if self.file is None:
                raise InputError(Problem("SCENARIO", "missing", "name a scenario, or a locustfile with --locustfile"))
            return ScenarioSource(_FROM_OPTIONS, settings, self._text(self.file, target))
        problems = [
            Problem(
                f"--{name.replace('_', '-')}", "no effect with a scenario", "leave it out, or set it in the scenario"
            )
            for name in ("users", "duration", "spawn_rate", "expect", "deadline")
            if getattr(self, name)
        ]
        if problems:
            raise InputError(problems)
        changes = {"locustfile": str(self.file.resolve())} if self.file else {}
        for key in ("tags", "exclude_tags"):
            if names := getattr(self, key):
                changes[key] = json.dumps([*names], ensure_ascii=False)
        return ScenarioSource(scenario, settings | changes)

    def _text(self, file: Path, target: TargetFile | None) -> str:
        found = brought(file)
        expect = [*(self.expect or ())]
        if not any(text.startswith("goodput_ratio") for text in expect):
            expect.append(_DEFAULT_EXPECTATION)
        asked = LoadOptions(
            locustfile=str(file),
            expect=expect,
            deadline=self.deadline or _DEFAULT_DEADLINE,
            users=self.users,
            duration=self.duration,
            spawn_rate=self.spawn_rate,
            tags=self.tags or (),
            exclude_tags=self.exclude_tags or (),
        )
        stages: Sequence[dict[str, Any]] = ()
        if found.has_shape and not found.shape_error and (self.users or self.duration):
            remedy = "leave out --users and --duration: it says them"
            raise InputError(Problem(file.name, "has a shape class of its own", remedy))
        if found.has_shape and self.users is None and self.duration is None:
            if found.shape_error:
                what, remedy = (
                    f"its shape can't be turned into phases: {found.shape_error}",
                    "remove it, and give --users and --duration, or a scenario with phases",
                )
                raise InputError(Problem(file.name, what, remedy))
            stages = found.stages
        return scenario_text(asked, stages, embedded=target is None and not hosts_of(found, file.name))


def hosts_named_in(locustfile: Path, allow_host: Sequence[str] | None) -> list[str]:
    """Base URLs that its users name, each of which may be loaded; UnsafeTargetError or InputError otherwise.

    None: nothing is about to be loaded.
    """
    hosts = hosts_of(brought(locustfile), locustfile.name)
    if allow_host is not None:
        for host in hosts:
            check_host(host, allow_host)
    return hosts
