"""Maps a path, however it is written, to the endpoint whose limit it counts against."""

from __future__ import annotations

import posixpath
from collections.abc import Collection
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

_REMEMBERED: Final = 4096
_MOST_DECODINGS: Final = 3
_LONGEST: Final = 4096


class Places:
    """Endpoints are first segments of paths; everything else shares the one called `other`."""

    def __init__(self, endpoints: Collection[str], *, monitoring: Collection[str] = (), other: str = "other") -> None:
        self._endpoints = frozenset(endpoints) - {other}
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
        first = path[1:].partition("/")[0]
        if first in self._endpoints and "/." not in path:
            return first
        return self._of_odd_path(path[:_LONGEST])

    def _resolved(self, path: str) -> str:
        for _ in range(_MOST_DECODINGS):
            path = unquote(path)
        resolved = posixpath.normpath("/" + path.replace("\\", "/").lstrip("/"))
        first = resolved[1:].partition("/")[0].partition(";")[0].strip().casefold()
        return first if first in self._endpoints else self._other
