"""Reads a file of thresholds for another tool's data, and checks it against that data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from loadproof.analysis.inert import shortened
from loadproof.errors import InputError, Problem
from loadproof.scenario.expectation import Expectation, parse_expectation
from loadproof.scenario.scenario import ExpectationText  # noqa: TC001 - pydantic reads it
from loadproof.scenario.strict import Strict, read_document, validate

_Text = Annotated[str, StringConstraints(min_length=1, max_length=10_000)]
_Name = Annotated[str, StringConstraints(max_length=10_000)]
"""Any text, including an empty one."""
Refusal = tuple[str, str, str | None, str]
"""Key, what is wrong, the value found, how to fix it."""


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


def read_thresholds(path: Path, refusals: Callable[[FileThreshold], Iterable[Refusal]]) -> tuple[FileThreshold, ...]:
    """The file's thresholds; InputError reports everything that is wrong with it."""
    document = read_document(path)
    thresholds = validate(_ThresholdFile, document).thresholds
    problems = [
        Problem(document.where(("thresholds", index, key)), what, remedy, got=got)
        for index, threshold in enumerate(thresholds)
        for key, what, got, remedy in refusals(threshold)
    ]
    if problems:
        raise InputError(problems)
    return tuple(thresholds)
