"""Defines mutants: functions that replace a correct part of this process with one classic fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Replace = Callable[[object, str, object], None]
"""`setattr`, or in tests `monkeypatch.setattr`, which is undone."""


@dataclass(frozen=True)
class Mutant:
    name: str
    row: int
    """The promise that it breaks: a key of `catalogue.PROMISES`."""
    breaks: str
    """How it breaks the promise, in a sentence."""
    also: Mapping[int, str]
    """Other rows that it may break as a side effect, and why."""
    number: int | None
    """For intermittent faults: the default N in "one in N"; None for the others."""
    fault: Callable[..., None]

    def apply(self, replace: Replace, number: int | None = None) -> None:
        """Plant the fault, before the application is built; `number` overrides the default."""
        rarely = number or self.number
        self.fault(replace, *([] if rarely is None else [rarely]))


def mutant(
    row: int, *, also: Mapping[int, str] | None = None, number: int | None = None
) -> Callable[[Callable[..., None]], Mutant]:
    """Make a mutant of a function, with its name and docstring; `row` is dropped from `also` if it is in there."""
    others = {other: why for other, why in (also or {}).items() if other != row}

    def made(fault: Callable[..., None]) -> Mutant:
        return Mutant(fault.__name__.replace("_", "-"), row, fault.__doc__ or "", others, number, fault)

    return made
