"""What a mutant is: a function that puts one classic fault into this process, in place of a part that is right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Replace = Callable[[object, str, object], None]
"""`setattr`, or in tests one that is undone."""


@dataclass(frozen=True)
class Mutant:
    name: str
    row: int
    """Of `catalogue.PROMISES`: the one that it breaks."""
    breaks: str
    """How, in a sentence."""
    also: Mapping[int, str]
    """Further rows that it may break by its nature, and why."""
    number: int | None
    """Of those that occur now and then: how rarely, unless somebody says otherwise."""
    fault: Callable[..., None]

    def apply(self, replace: Replace, number: int | None = None) -> None:
        """Before the application is assembled; `number` in place of its own."""
        rarely = number or self.number
        self.fault(replace, *([] if rarely is None else [rarely]))


def mutant(
    row: int, *, also: Mapping[int, str] | None = None, number: int | None = None
) -> Callable[[Callable[..., None]], Mutant]:
    """Makes one of a function, whose name and docstring it takes; `also` may have its own row, as of others like it."""
    others = {other: why for other, why in (also or {}).items() if other != row}

    def made(fault: Callable[..., None]) -> Mutant:
        return Mutant(fault.__name__.replace("_", "-"), row, fault.__doc__ or "", others, number, fault)

    return made
