"""Finds fields of a request's body whose paths would collide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def collisions(sent: Sequence[str], constants: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Pairs of paths that can't both be in one body: the same place, or one inside the other's value.

    A constant that is an object may contain other fields. `sent` are the paths of what users fill in.
    """
    paths = [*constants, *sent]
    for index, path in enumerate(paths):
        for other in paths[index + 1 :]:
            if path == other or _is_below(other, path, constants) or _is_below(path, other, constants):
                yield path, other


def _is_below(path: str, holder: str, constants: Mapping[str, Any]) -> bool:
    """Whether there is a value where `path` needs an object."""
    return path.startswith(f"{holder}.") and _value_at(path.removeprefix(f"{holder}."), constants.get(holder))


def _value_at(path: str, holder: Any) -> bool:
    """Whether `holder` has a value at `path`, or a value that isn't an object on the way to it."""
    for key in path.split("."):
        if not isinstance(holder, dict):
            return True
        if key not in holder:
            return False
        holder = holder[key]
    return True
