"""Optional dependencies, and which of them are missing."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Final

from loadproof.errors import InputError, Problem

API: Final = "api"
JUDGE: Final = "judge"
MODULES: Final = {
    API: ("fastapi", "limits", "obstore", "redis", "sentry_sdk", "slowapi", "uvicorn"),
    JUDGE: ("jinja2", "matplotlib", "pandas", "scipy"),
}
"""Modules provided by each extra in pyproject.toml."""
_WORK: Final = {API: "start the reference API", JUDGE: "judge a run or write a report"}


def require(extra: str) -> None:
    """InputError if a module of this extra is missing, so that it is detected before anything starts."""
    if problems := list(missing_extra(extra)):
        raise InputError(problems)


def missing_extra(extra: str) -> Iterator[Problem]:
    """At most one problem; found without importing anything."""
    missing = [module for module in MODULES[extra] if find_spec(module) is None]
    if missing:
        what = f"can't {_WORK[extra]} without {', '.join(missing)}"
        yield Problem("loadproof", what, f"install loadproof again with the extra {extra}, or all: loadproof[all]")
