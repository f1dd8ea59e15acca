"""selftest.json: what a self-test found out about a machine; later runs carry a copy of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from loadproof.rundir.files import SELFTEST
from loadproof.scenario.strict import Strict

if TYPE_CHECKING:
    from pathlib import Path

FORMAT: Final = 1


class MeasuredChange(Strict):
    """A relative change with its 95 % interval, from `runs` runs a side."""

    ratio: float
    low: float
    high: float
    runs: int


class HitRate(Strict):
    """How often the answer was right."""

    name: str
    expected: str
    right: int
    n: int


class Accuracy(Strict):
    """One quantile: what the server's own log says, and what was reported, in s."""

    quantile: float
    true_s: float
    reported_s: float
    n: int
    """Requests."""


class Size(Strict):
    """A shipped scenario, and whether this machine's generator can sustain its load."""

    scenario: str
    peak_rps: float
    fits: bool


class SelfTest(Strict):
    format: int = FORMAT
    measured_unix_s: float
    took_s: float
    thorough: bool
    loadproof: str
    """Its version."""
    host: dict[str, str]
    """As in a manifest."""
    ceiling_rps: float
    """The highest rate that one process of the generator sustained; 0 if none."""
    is_ceiling: bool
    """It failed at the next higher rate; otherwise no higher rate was tried."""
    lag_rps: float
    lag_p50_s: float
    lag_p99_s: float
    """Of requests at `lag_rps`."""
    accuracy: list[Accuracy]
    rates: list[HitRate]
    same: MeasuredChange | None
    """The difference in p(95) between two groups of runs of the same server."""
    planted: MeasuredChange | None
    """The same, compared with a server that takes `planted_ratio` longer."""
    planted_ratio: float
    sizes: list[Size]


def read_selftest(directory: Path) -> SelfTest | None:
    """None if there is none, or none that can be read: nothing depends on it."""
    try:
        return SelfTest.model_validate(json.loads((directory / SELFTEST).read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError):
        return None
