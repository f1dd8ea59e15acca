"""The run directory: names and formats of its files, and how they are written so that a crash leaves them readable.

manifest.json      what was run, against what, where, and how it ended        written whole
scenario.yaml      the scenario as given                                      written whole
intervals.csv.gz   sparse interval histograms and counters                    appended, a gzip member a flush
generator.csv      the generator's own health, a row a worker and second      appended by lines
target.csv         samples of the target's /metrics                           appended by lines
events.csv         phases, bursts, what came and went                         appended by lines
locust_*.csv       Locust's own statistics
verdict.json  junit.xml  summary.md  report.html                              the analysis adds these
"""

from __future__ import annotations

import csv
import io
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from loadproof.errors import OutputError, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadproof.rundir.rows import EventRow, GeneratorRow, TargetRow

MANIFEST: Final = "manifest.json"
SCENARIO: Final = "scenario.yaml"
INTERVALS: Final = "intervals.csv.gz"
GENERATOR: Final = "generator.csv"
TARGET: Final = "target.csv"
EVENTS: Final = "events.csv"
LOCUST_PREFIX: Final = "locust"
LOCUST_FAILURES: Final = f"{LOCUST_PREFIX}_failures.csv"
LOCUST_EXCEPTIONS: Final = f"{LOCUST_PREFIX}_exceptions.csv"
VERDICT: Final = "verdict.json"
JUNIT: Final = "junit.xml"
SUMMARY: Final = "summary.md"
REPORT: Final = "report.html"


def create_run_directory(root: Path, scenario_name: str) -> Path:
    """`root/<UTC time>-<scenario>`, numbered when two runs start in the same second."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    try:
        root.mkdir(parents=True, exist_ok=True)
        for number in range(1, 100):
            path = root / f"{stamp}-{scenario_name}{'' if number == 1 else f'-{number}'}"
            try:
                path.mkdir()
            except FileExistsError:
                continue
            return path
    except OSError as error:
        raise _cannot_write(root, error) from None
    raise OutputError(Problem(str(root), "a hundred runs of this second", "wait a second"))


def make_directory(path: Path) -> None:
    """With its parents, if it isn't there; OutputError when it can't be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        remedy = "choose another --out"
        raise OutputError(Problem(str(path), f"can't be made: {error.strerror}", remedy)) from None


def write_whole(path: Path, text: str) -> None:
    """All of it or nothing: a temporary file in the same directory, then a rename."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8", newline="\n")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise _cannot_write(path, error) from None


def _cannot_write(path: Path, error: OSError) -> OutputError:
    return OutputError(
        Problem(
            str(path),
            f"can't be written: {error.strerror or error}",
            "free space there or choose another --out",
        )
    )


def append_rows(path: Path, rows: Sequence[GeneratorRow | TargetRow | EventRow]) -> None:
    """Append CSV lines, under a header where the file is new; OSError when the disk doesn't take them."""
    if not rows:
        return
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    if not path.exists():
        writer.writerow(rows[0]._fields)
    writer.writerows([[f"{cell:.6g}" if isinstance(cell, float) else cell for cell in row] for row in rows])
    append(path, buffer.getvalue().encode())


def append(path: Path, chunk: bytes) -> None:
    """One write, so that two processes may append to the same file."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        written = os.write(descriptor, chunk)
        if written < len(chunk):
            os.write(descriptor, chunk[written:])
    finally:
        os.close(descriptor)


def read_lines_text(path: Path) -> str:
    """A CSV's whole lines; a last one without its newline was cut off and is left out."""
    text = path.read_text(encoding="utf-8", errors="replace")
    return text[: text.rfind("\n") + 1]
