"""A run's most frequent failures, and the exceptions that users' own code raised, as Locust counted them."""

from __future__ import annotations

import ast
import csv
import io
import json
import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from loadproof.rundir import files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pandas as pd

_REPR: Final = re.compile(r"""[A-Za-z_][\w.]*\((?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"),?\)""", re.DOTALL)
"""The repr of an exception whose only argument is a string, as Locust writes it."""
_FRAME: Final = re.compile(r'File "(?P<file>[^"]*)", line (?P<line>\d+), in (?P<name>[^\s\\]+)')
_OF_LIBRARIES: Final = re.compile(
    r"[/\\](?:(?:site|dist)-packages|lib[/\\]python3\.\d+|loadproof[/\\](?:generator|http|httpuser|internals))[/\\]|^<"
)
"""Paths of code that users' code calls: installed packages, the standard library, and ours."""


class Failure(NamedTuple):
    """One kind of failure of one endpoint; counts include warm-up."""

    times: int
    endpoint: str
    message: str
    request: str = ""
    """Method and path of an example; empty if none was kept."""
    answer: str = ""
    """Status and beginning of the body of the example's answer."""


class RaisedException(NamedTuple):
    """An exception raised by a user's own code, outside the checks of its requests; counts include warm-up."""

    times: int
    message: str
    place: str
    """'pay.py, line 12, in transfer'; empty if there is no traceback."""


def failures(path: Path, most: int, events: pd.DataFrame | None = None) -> list[Failure]:
    """The most frequent failures of a run directory, with examples from its events; none if the file can't be read."""
    examples = {} if events is None else _examples_in(events)
    counted = [
        (times, row.get("Name") or "", reason_of(row.get("Error") or ""))
        for times, row in _counted(path / files.LOCUST_FAILURES, "Occurrences")
    ]
    return [
        Failure(*failure, *examples.get((failure[1], failure[2]), ()))
        for failure in sorted(counted, reverse=True)[:most]
    ]


def _examples_in(events: pd.DataFrame) -> dict[tuple[str, str], tuple[str, str]]:
    """An example's request and answer, by endpoint and error; unreadable ones are left out."""
    examples = {}
    for detail in events.loc[events["kind"] == "failure", "detail"].tolist():
        try:
            fields: dict[str, Any] = json.loads(detail)
            answer = "no answer" if fields["status"] is None else f"{fields['status']} {fields['body']}".strip()
            examples[str(fields["endpoint"]), str(fields["error"])] = (str(fields["request"]), answer)
        except (ValueError, KeyError, TypeError):
            continue
    return examples


def raised_in(path: Path) -> tuple[RaisedException, ...]:
    """The exceptions of a run directory, most frequent first; none if the file can't be read."""
    exceptions = [
        RaisedException(times, row.get("Message") or "", _place(row.get("Traceback") or ""))
        for times, row in _counted(path / files.LOCUST_EXCEPTIONS, "Count")
    ]
    return tuple(sorted(exceptions, reverse=True))


def reason_of(error: str) -> str:
    """The message without the exception around it: "AnyError('status 500')" becomes 'status 500'."""
    match = _REPR.fullmatch(error)
    try:
        return str(ast.literal_eval(match["text"])) if match else error
    except (ValueError, SyntaxError):
        return error


def _counted(file: Path, column: str) -> Iterator[tuple[int, dict[str, str | None]]]:
    """Rows with a number in this column, after that number."""
    try:
        for row in csv.DictReader(io.StringIO(files.read_lines_text(file))):
            times = row.get(column) or ""
            if times.isascii() and times.isdecimal():
                yield int(times), row
    except (OSError, csv.Error):
        return


def _place(traceback: str) -> str:
    """Where it was raised: the last frame in users' own code, or the last frame if there is none."""
    frames = list(_FRAME.finditer(traceback))
    if not frames:
        return ""
    own = [frame for frame in frames if not _OF_LIBRARIES.search(frame["file"])]
    last = (own or frames)[-1]
    return f"{PurePath(last['file']).name}, line {last['line']}, in {last['name']}"
