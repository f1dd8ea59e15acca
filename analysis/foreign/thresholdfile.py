"""Reads a file of thresholds for another tool's data, and checks it against that data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field, StringConstraints

from loadproof.analysis.inert import shortened
from loadproof.errors import InputError
from loadproof.scenario.scenario import ExpectationText  # noqa: TC001 - pydantic reads it
from loadproof.scenario.strict import Strict, read_document, validate
from loadproof.scenario.thresholds.expectation import Expectation, parse_expectation

if TYPE_CHECKING:
    from loadproof.scenario.mistake import Mistake

_Text = Annotated[str, StringConstraints(min_length=1, max_length=10_000)]
_Name = Annotated[str, StringConstraints(max_length=10_000)]
"""Any text, including an empty one."""
_FEW_FAILED: Final = 0.01
"""As a share of the requests that a threshold is about: with more of them, other answers say little of the target."""


class FileThreshold(Strict):
    """What must hold for requests with these names, taken together; for all requests if none is named."""

    expect: ExpectationText = Field(examples=["p(95) < 200 ms"])
    endpoint: _Name | list[_Name] | None = Field(
        None,
        description="As in the log's column name, or in Locust's column Name, there also with the method before it.",
    )
    method: _Text | None = Field(None, description="As in Locust's column Type; a log has none.")

    @property
    def expectation(self) -> Expectation:
        return parse_expectation(self.expect)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the endpoints; empty for all."""
        names = [self.endpoint] if isinstance(self.endpoint, str) else self.endpoint or []
        return tuple(dict.fromkeys(names))

    @property
    def scope(self) -> str:
        names = " + ".join(shortened(name) or "''" for name in self.names)
        return f"{shortened(self.method or '')} {names or 'all endpoints'}".strip()


class _ThresholdFile(Strict):
    thresholds: Annotated[list[FileThreshold], Field(min_length=1, max_length=200)]


def read_thresholds(path: Path, refusals: Callable[[FileThreshold], Iterable[Mistake]]) -> tuple[FileThreshold, ...]:
    """The file's thresholds; InputError reports everything that is wrong with it."""
    document = read_document(path)
    thresholds = validate(_ThresholdFile, document).thresholds
    problems = [
        mistake.within("thresholds", index).problem(document)
        for index, threshold in enumerate(thresholds)
        for mistake in refusals(threshold)
    ]
    if problems:
        raise InputError(problems)
    return tuple(thresholds)


def unread_text(failed: int, sent: int, *, unreadable: int = 0) -> str | None:
    """The clause on failures that no threshold reads; None if there are so few that a PASS means the target.

    `unreadable` further requests may have failed as well.
    """
    failed, sent = failed + unreadable, sent + unreadable
    if failed <= _FEW_FAILED * sent:
        return None
    how = "failed, were refused or could not be read" if unreadable else "failed or were refused"
    return f"{failed:,} of {sent:,} requests {how}, and no threshold reads that"


def unwatched_text(source: str) -> str:
    """The clause on what no file of another tool records."""
    return f"{source} can't show whether the generator kept up"
