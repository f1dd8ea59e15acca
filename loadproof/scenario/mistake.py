"""What is wrong with a document, by its place in it; who has the document makes a problem of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from loadproof.errors import Problem

if TYPE_CHECKING:
    from loadproof.scenario.document import Document, YamlPath


class Mistake(NamedTuple):
    place: YamlPath
    """Path in the YAML, perhaps only the end of it."""
    what: str
    got: str | None
    """The value found; None if it says no more than `what`, or may be secret."""
    remedy: str

    def within(self, *outer: str | int) -> Mistake:
        """The same mistake, whose place is below this one."""
        return self._replace(place=(*outer, *self.place))

    def problem(self, document: Document) -> Problem:
        return Problem(document.where(self.place), self.what, self.remedy, got=self.got)
