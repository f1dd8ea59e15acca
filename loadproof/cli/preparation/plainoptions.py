"""Runs of a plain locustfile: finds its scenario, or makes one from the options."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from loadproof.cli.console.options import load_option
from loadproof.errors import InputError, Problem
from loadproof.run.preflight.plainproblems import hosts_of, inspect_locustfile
from loadproof.scenario.safety import check_host
from loadproof.scenario.traffic.plainscenario import LoadOptions, scenario_text, seconds_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadproof.generator.inspection.cast import Locustfile
    from loadproof.scenario.target.targetfile import TargetFile

_FROM_OPTIONS: Final = Path("command line")
_DEFAULT_EXPECTATION: Final = "goodput_ratio >= 99 %"
_DEFAULT_DEADLINE: Final = "5 s"

_without_scenario: Final = functools.partial(typer.Option, rich_help_panel="Load without a scenario")

PlainLocustfileOption = Annotated[
    Path | None,
    load_option(
        metavar="FILE", help="Plain Locust locustfile whose users run unchanged, instead of those in --locustfiles."
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
    """Its name in messages; file names in the scenario are relative to its directory."""
    settings: dict[str, str]
    text: str | None = None


@dataclass(frozen=True)
class PlainOptions:
    """The options for a plain locustfile; None: not given."""

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
        locustfile = inspect_locustfile(file)
        expect = [*(self.expect or ())]
        if not any(text.startswith("goodput_ratio") for text in expect):
            expect.append(_DEFAULT_EXPECTATION)
        load = LoadOptions(
            locustfile=str(file),
            expect=expect,
            deadline=self.deadline or _DEFAULT_DEADLINE,
            users=self.users,
            duration=self.duration,
            spawn_rate=self.spawn_rate,
            tags=self.tags or (),
            exclude_tags=self.exclude_tags or (),
        )
        stages = self._stages(file, locustfile) if locustfile.has_shape else ()
        return scenario_text(load, stages, embedded=target is None and not hosts_of(locustfile, file.name))

    def _stages(self, file: Path, locustfile: Locustfile) -> Sequence[dict[str, Any]]:
        """The phases of its load shape; none if options are given that its inspection will refuse."""
        has_options = any(value is not None for value in (self.users, self.duration, self.spawn_rate))
        if has_options and locustfile.shape_takes_options:
            locustfile = inspect_locustfile(file, shape_options=(self.users, self.spawn_rate, self._run_time()))
        elif has_options and not locustfile.shape_error:
            remedy = "leave out --users, --duration and --spawn-rate: the shape sets them"
            raise InputError(Problem(file.name, "has a shape class of its own", remedy))
        elif has_options:
            return ()
        if locustfile.shape_error:
            what = f"its shape can't be turned into phases: {locustfile.shape_error}"
            raise InputError(Problem(file.name, what, self._way_out(locustfile)))
        return locustfile.stages

    def _run_time(self) -> int | None:
        if self.duration is None:
            return None
        seconds = seconds_of(self.duration)
        if not seconds.is_integer() or seconds < 1:
            what = "not a whole number of seconds, and shapes are called once a second"
            raise InputError(Problem("--duration", what, "round it", got=self.duration))
        return int(seconds)

    def _way_out(self, locustfile: Locustfile) -> str:
        if locustfile.shape_takes_options and (self.users is None or self.duration is None):
            return "give --users and --duration, which it uses"
        if locustfile.shape_chooses:
            return (
                "return only (users, spawn_rate) from tick(), and set the mix with `weight`; "
                "or remove it, and give each mix a file of its own"
            )
        return "remove it, and give --users and --duration, or a scenario with phases"


def hosts_named_in(locustfile: Path, allow_host: Sequence[str] | None) -> list[str]:
    """The base URLs in its user classes; UnsafeTargetError if one may not receive load, InputError if one is no URL.

    `allow_host` is None if no load will be sent: then any host will do.
    """
    hosts = hosts_of(inspect_locustfile(locustfile), locustfile.name)
    if allow_host is not None:
        for host in hosts:
            check_host(host, allow_host)
    return hosts
