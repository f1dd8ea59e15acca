"""A file of thresholds for what another tool left to the thresholds in it, checked against that."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Generic, TypeVar

from pydantic import Field

from loadproof.errors import InputError, Problem
from loadproof.scenario.strict import Strict, read_document, validate

_T = TypeVar("_T", bound=Strict)
Refusal = tuple[str, str, str | None, str]
"""Key, what is wrong, the value found, the remedy."""


class Thresholds(Strict, Generic[_T]):
    thresholds: Annotated[list[_T], Field(min_length=1, max_length=200)]


def read_thresholds(
    path: Path, kind: type[Thresholds[_T]], refusals: Callable[[_T], Iterable[Refusal]]
) -> tuple[_T, ...]:
    """Those of the file; InputError tells at once all that is wrong with it."""
    document = read_document(path)
    thresholds = validate(kind, document).thresholds
    problems = [
        Problem(document.where(("thresholds", index, key)), what, remedy, got=got)
        for index, threshold in enumerate(thresholds)
        for key, what, got, remedy in refusals(threshold)
    ]
    if problems:
        raise InputError(problems)
    return tuple(thresholds)
