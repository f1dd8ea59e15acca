"""Maps a path, in any spelling, to the endpoint whose limit it counts against."""

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
    """The path as the router sees it: without the prefix of a proxy or mount.

    Source: ASGI 3.0, 'HTTP connection scope'; Starlette 0.50, `get_route_path`.
    """
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root and path.startswith(root) and path[len(root) : len(root) + 1] in {"", "/"}:
        return path[len(root) :]
    return path


class Places:
    """Endpoints are the first path segment after the prefix; all other paths share the endpoint called `other`."""

    def __init__(
        self, endpoints: Collection[str], *, monitoring: Collection[str] = (), other: str = "other", prefix: str = ""
    ) -> None:
        self._endpoints = frozenset(endpoints) - {other}
        self._start = f"{prefix}/"
        self._monitoring = frozenset(monitoring)
        self._other = other
        self._of_odd_path = lru_cache(_REMEMBERED)(self._resolved)

    def is_monitoring(self, path: str, method: str) -> bool:
        """Whether it is a monitoring path, compared literally: other spellings of one count against limits."""
        return path in self._monitoring and method in {"GET", "HEAD"}

    def endpoint_of(self, path: str) -> str:
        """The endpoint that the path counts against, even if the router answers 404.

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
