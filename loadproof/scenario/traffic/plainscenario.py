"""Makes the YAML of a scenario for a plain locustfile from command-line options."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

from loadproof.errors import InputError, Problem
from loadproof.scenario.thresholds.expectation import parse_expectation
from loadproof.units import Dimension, parse_quantity

OF_LOCUSTFILES: Final = ("tags", "exclude_tags")
"""Keys that need a locustfile."""
_SHORTEST_WARM_UP_S, _LONGEST_WARM_UP_S = 1.0, 30.0
_WARM_UP_SHARE: Final = 0.1
_SLOWEST: Final = 0.01
"""Users per second."""


@dataclass(frozen=True)
class LoadOptions:
    """Command-line options that replace a scenario; texts are as typed."""

    locustfile: str
    expect: Sequence[str]
    """Each an expectation, or a request's name, a colon and an expectation."""
    deadline: str
    users: int | None = None
    duration: str | None = None
    spawn_rate: float | None = None
    tags: Sequence[str] = ()
    exclude_tags: Sequence[str] = ()


def scenario_text(load: LoadOptions, stages: Sequence[Mapping[str, Any]], *, embedded: bool) -> str:
    """The YAML of a scenario for these options; `stages` are the phases of the locustfile's own load shape, if any.

    InputError if an option is missing or not understood.
    """
    document: dict[str, Any] = {
        "name": _name_of(load.locustfile),
        "model": "closed",
        "locustfile": load.locustfile,
        "deadline": load.deadline,
        "phases": list(stages) or _phases(load),
        "thresholds": [_threshold(text) for text in load.expect],
    }
    for key in OF_LOCUSTFILES:
        if names := getattr(load, key):
            document[key] = list(names)
    if embedded:
        # All users share one address, so limits per client would refuse them.
        document["settings"] = {"limiter": "off"}
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def _name_of(locustfile: str) -> str:
    stem = locustfile.rpartition("/")[2].lower().removesuffix(".py")
    return re.sub(r"[^a-z0-9]+", "-", stem).strip("-") or "locustfile"


def _phases(load: LoadOptions) -> list[dict[str, Any]]:
    """A ramp as warm-up, then all users."""
    problems = [
        Problem(f"--{name}", "missing", f"add it, like --{name} {example}; or give a scenario")
        for name, value, example in (("users", load.users, "100"), ("duration", load.duration, "60s"))
        if value is None
    ]
    if problems:
        raise InputError(problems)
    duration_s = seconds_of(str(load.duration))
    if load.spawn_rate is not None and not _SLOWEST <= load.spawn_rate < math.inf:
        what = "not a number of users per second"
        raise InputError(Problem("--spawn-rate", what, f"write at least {_SLOWEST:g}", got=f"{load.spawn_rate:g}"))
    warm_up_s = min(max(_WARM_UP_SHARE * duration_s, _SHORTEST_WARM_UP_S), _LONGEST_WARM_UP_S)
    if load.spawn_rate:
        warm_up_s = max(_SHORTEST_WARM_UP_S, (load.users or 0) / load.spawn_rate)
    ramp = f"{warm_up_s:g} s"
    return [
        {"name": "warm-up", "warm_up": True, "duration": ramp, "users": load.users, "ramp": ramp},
        {"name": "steady", "duration": f"{duration_s:g} s", "users": load.users},
    ]


def seconds_of(duration: str) -> float:
    """`--duration` in seconds; InputError if it is not a duration."""
    try:
        return parse_quantity(duration, Dimension.DURATION)
    except ValueError as error:
        raise InputError(Problem("--duration", "not understood", str(error), got=duration)) from None


def _threshold(text: str) -> dict[str, str]:
    name, separator, expectation = text.rpartition(": ")
    try:
        parse_expectation(expectation)
    except ValueError as error:
        raise InputError(Problem("--expect", "not understood", str(error), got=text)) from None
    return {"endpoint": name, "expect": expectation} if separator else {"expect": expectation}
