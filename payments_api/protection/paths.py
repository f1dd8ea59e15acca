"""Maps a path, however it is written, to the endpoint whose limit it counts against."""

from __future__ import annotations

import posixpath
from collections.abc import Collection
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

if TYPE_CHECKING:
    from starlette.types import Scope

_REMEMBERED: Final = 4096
_MOST_DECODINGS: Final = 3
_LONGEST: Final = 4096


def path_of(scope: Scope) -> str:
    """The path as the router sees it: without what a proxy or a mount has put before it.

    Source: ASGI 3.0, 'HTTP connection scope'; Starlette 0.50, `get_route_path`.
    """
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root and path.startswith(root) and path[len(root) : len(root) + 1] in {"", "/"}:
        return path[len(root) :]
    return path


class Places:
    """Endpoints are first segments of paths, after the prefix; everything else shares the one called `other`."""

    def __init__(
        self, endpoints: Collection[str], *, monitoring: Collection[str] = (), other: str = "other", prefix: str = ""
    ) -> None:
        self._endpoints = frozenset(endpoints) - {other}
        self._start = f"{prefix}/"
        self._monitoring = frozenset(monitoring)
        self._other = other
        self._of_odd_path = lru_cache(_REMEMBERED)(self._resolved)

    def is_monitoring(self, path: str, method: str) -> bool:
        """Literally: a path that only resembles a monitoring path counts as what it looks like."""
        return path in self._monitoring and method in {"GET", "HEAD"}

    def endpoint_of(self, path: str) -> str:
        """Whatever the router does with it: a path that it refuses is still counted.

        `path` has been decoded once, as ASGI servers pass it.
        """
        first = path.removeprefix(self._start).partition("/")[0]
        if first in self._endpoints and "/." not in path:
            return first
        return self._of_odd_path(path[:_LONGEST])

    def _resolved(self, path: str) -> str:
        for _ in range(_MOST_DECODINGS):
            path = unquote(path)
        resolved = posixpath.normpath("/" + path.replace("\\", "/").lstrip("/")).casefold()
        first = resolved.removeprefix(self._start.casefold()).lstrip("/").partition("/")[0].partition(";")[0].strip()
        return first if first in self._endpoints else self._other
