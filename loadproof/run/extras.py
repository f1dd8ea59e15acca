"""Optional dependencies, and what is missing for which part of the work."""

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
"""By extra of pyproject.toml, the modules that its distributions provide."""
_WORK: Final = {API: "start the reference API", JUDGE: "judge a run or write a report"}


def require(extra: str) -> None:
    """InputError if any of it is missing: detected before anything starts."""
    if problems := list(missing_extra(extra)):
        raise InputError(problems)


def missing_extra(extra: str) -> Iterator[Problem]:
    """At most one problem; nothing is imported to find it."""
    missing = [module for module in MODULES[extra] if find_spec(module) is None]
    if missing:
        what = f"can't {_WORK[extra]} without {', '.join(missing)}"
        yield Problem("loadproof", what, f"install loadproof again with the extra {extra}, or all: loadproof[all]")
