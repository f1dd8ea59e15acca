"""Turns a scenario into a run directory, and that into a verdict and a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loadproof.httpuser.user import HttpUser as HttpUser

__version__ = "0.3.0"


def __getattr__(name: str) -> object:
    """`HttpUser`, imported on first use: a plain `import loadproof` must not load Locust."""
    if name != "HttpUser":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from loadproof.httpuser.user import HttpUser

    return HttpUser
