"""Keeps Locust's settings in the environment and in files away from the processes that we start.

Some of them remove tasks or whole users: the traffic would match neither the scenario nor the dry run, and what isn't
sent is never found to be broken. Source: locust/argument_parser.py and locust/__init__.py, 2.47.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from loadproof import variables

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_FILES: Final = ("~/.locust.conf", "locust.conf")
_PROJECT: Final = "pyproject.toml"


def without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without Locust's settings."""
    return {name: value for name, value in environment.items() if not name.startswith(variables.LOCUSTS_OWN)}


def settings_found() -> Iterator[str]:
    """The names of Locust's variables that are set, and of settings files that Locust would read by itself."""
    yield from sorted(name for name in os.environ if name.startswith(variables.LOCUSTS_OWN))
    # Path.expanduser raises if there is no home directory.
    yield from (name for name in _FILES if os.path.lexists(os.path.expanduser(name)))  # noqa: PTH111
    if _has_section(Path(_PROJECT)):
        yield _PROJECT


def _has_section(project: Path) -> bool:
    try:
        tools = tomllib.loads(project.read_text(encoding="utf-8")).get("tool")
    except (OSError, ValueError):
        return False
    return isinstance(tools, dict) and "locust" in tools
