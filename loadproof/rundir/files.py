"""The run directory: names and formats of its files, and how they are written so that they stay readable after a crash.

manifest.json      what was run, against what, where, and how it ended        written whole
scenario.yaml      the scenario as given                                      written whole
intervals.csv.gz   sparse interval histograms and counters                    appended, a gzip member per flush
journal.csv.gz     a row per request, if the scenario records them            appended, a gzip member per flush
observations.jsonl.gz   what audits asked the target, and its answers         appended, gzip members
commands.jsonl     the target's commands that the run has executed            appended by lines
generator.csv      the generator's own health, a row per worker and second    appended by lines
target.csv         samples of the target's /metrics                           appended by lines
events.csv         phases, bursts, faults, failures and other events          appended by lines
locust_*.csv       Locust's own statistics
selftest.json      the latest self-test of this machine, if there is one       written whole
verdict.json  junit.xml  summary.md  report.html  audit.json                  the analysis adds these
"""

from __future__ import annotations

import csv
import fcntl
import io
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from loadproof.errors import OutputError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from loadproof.rundir.rows import EventRow, GeneratorRow, TargetRow

MANIFEST: Final = "manifest.json"
SCENARIO: Final = "scenario.yaml"
INTERVALS: Final = "intervals.csv.gz"
JOURNAL: Final = "journal.csv.gz"
OBSERVATIONS: Final = "observations.jsonl.gz"
COMMANDS: Final = "commands.jsonl"
GENERATOR: Final = "generator.csv"
TARGET: Final = "target.csv"
FALLBACKS: Final = "limiter_fallbacks_total"
"""The metric in TARGET that counts the queries that the reference target answered without its lost Redis."""
EVENTS: Final = "events.csv"
UNJOURNALLED: Final = "unjournalled"
"""The kind of event in EVENTS for requests missing from JOURNAL because their process could not hold them."""
LOCUST_PREFIX: Final = "locust"
LOCUST_FAILURES: Final = f"{LOCUST_PREFIX}_failures.csv"
GENERATOR_LOG: Final = "generator.log"
"""What Locust's processes on this machine print."""
LOCUST_EXCEPTIONS: Final = f"{LOCUST_PREFIX}_exceptions.csv"
VERDICT: Final = "verdict.json"
AUDIT: Final = "audit.json"
"""Evidence and offending rows of each audit, where the scenario names one."""
SELFTEST: Final = "selftest.json"
"""What the latest self-test found out about this machine, as it was when the run began."""
JUNIT: Final = "junit.xml"
SUMMARY: Final = "summary.md"
REPORT: Final = "report.html"


def create_run_directory(root: Path, scenario_name: str) -> Path:
    """`root/<UTC time>-<scenario>`, with a number if two runs start in the same second; OutputError if that fails."""
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
        raise OutputError(_unwritable(root, error)) from None
    raise OutputError(Problem(str(root), "already a hundred runs in this second", "wait a second"))


def make_directory(path: Path) -> None:
    """Create it and its parents if it doesn't exist; OutputError if that fails."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        remedy = "choose another --out"
        raise OutputError(Problem(str(path), f"can't be created: {error.strerror}", remedy)) from None


def write_whole(path: Path, text: str) -> None:
    """All or nothing: writes a temporary file in the same directory, then renames it."""
    write_all({path: text})


def write_all(texts: Mapping[Path, str]) -> None:
    """All of these files, or none if one can't be written, so that they agree; OutputError with all reasons."""
    temporaries = {path: path.with_name(f".{path.name}.{os.getpid()}") for path in texts}
    problems: list[Problem] = []
    try:
        for path, temporary in temporaries.items():
            try:
                temporary.write_text(texts[path], encoding="utf-8", newline="\n")
            except OSError as error:
                problems.append(_unwritable(path, error))
        for path, temporary in {} if problems else temporaries.items():
            try:
                temporary.replace(path)
            except OSError as error:
                problems.append(_unwritable(path, error))
    finally:
        for temporary in temporaries.values():
            # On a read-only disk nothing can be removed, whether it exists or not.
            with suppress(OSError):
                temporary.unlink()
    if problems:
        raise OutputError(problems)


def overwrite(path: Path, text: str) -> bool:
    """Overwrite a file in place, using the space that it already has on a full disk; False, unchanged, if that fails.

    A crash halfway would corrupt it: only for what can't be written otherwise.
    """
    content = text.encode()
    try:
        before = path.read_bytes()
        if len(content) > len(before):
            return False
        with path.open("rb+", buffering=0) as file:
            taken = file.write(content.ljust(len(before), b"\n"))
            if taken == len(before):
                return True
            file.seek(0)
            file.write(before[:taken])
    except OSError:
        pass
    return False


def _unwritable(path: Path, error: OSError) -> Problem:
    if isinstance(error, FileExistsError | NotADirectoryError):
        return Problem(str(path), "can't be written: not a directory", "choose another --out")
    what = f"can't be written: {error.strerror or error}"
    return Problem(str(path), what, "free space there or choose another --out")


def append_rows(path: Path, rows: Sequence[GeneratorRow | TargetRow | EventRow]) -> None:
    """Append CSV lines, with a header if the file is new; OSError if they can't be written."""
    if not rows:
        return
    lines = [[f"{cell:.6g}" if isinstance(cell, float) else cell for cell in row] for row in rows]
    append(path, _csv(lines), header=_csv([rows[0]._fields]))


def _csv(lines: Iterable[Sequence[object]]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(lines)
    return buffer.getvalue().encode()


def append(path: Path, chunk: bytes, *, header: bytes = b"") -> None:
    """Append all of it or nothing, even while another process appends; the header only to an empty file.

    OSError if it can't be written; the file then ends where it did before.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        # Some file systems have no locks; there, two processes hardly ever append to one file.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        size = os.fstat(descriptor).st_size
        left = memoryview(chunk if size else header + chunk)
        try:
            # A single write may only accept a part, repeatedly: on a disk that fills up, or if a signal arrives.
            while left:
                left = left[os.write(descriptor, left) :]
        except OSError:
            # Half a row, or half a gzip member, would make everything after it unreadable.
            with suppress(OSError):
                os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)


def why_unreadable(path: Path, error: OSError) -> str:
    """Why the file that defines a directory, such as its manifest, can't be read; in a few words."""
    if not path.parent.is_dir():
        return "not a directory" if path.parent.exists() else "no such directory"
    return (
        f"no {path.name} in it" if isinstance(error, FileNotFoundError) else f"{path.name}: {error.strerror or error}"
    )


def read_lines_text(path: Path) -> str:
    """A CSV's complete lines; a last one without its newline was cut off and is left out."""
    text = path.read_text(encoding="utf-8", errors="replace")
    return text[: text.rfind("\n") + 1]
