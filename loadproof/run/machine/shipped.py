"""Finds what ships with loadproof besides its own code: users, scenarios and the reference API."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import loadproof
from loadproof.errors import InputError, Problem
from loadproof.scenario.strict import nearest

DIRECTORY: Final = Path(loadproof.__file__).parent / "shipped"
"""Links to the repository's folders in a checkout, real files in a wheel."""
LOCUSTFILES: Final = DIRECTORY / "locustfiles"
SCENARIOS: Final = DIRECTORY / "scenarios"
_SUFFIX: Final = ".yaml"


def scenario_file(named: Path) -> Path:
    """The file meant by a path or by the bare name of a shipped scenario; an existing file takes precedence.

    InputError for a bare name that is neither.
    """
    if named.suffix or len(named.parts) != 1 or named.is_file():
        return named
    shipped = SCENARIOS / f"{named}{_SUFFIX}"
    if shipped.exists():
        return shipped
    names = sorted(file.stem for file in SCENARIOS.glob(f"*{_SUFFIX}"))
    raise InputError(Problem(str(named), "no such file or built-in scenario", nearest(str(named), names)))
