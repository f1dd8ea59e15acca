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
import gzip
import io
import json
import os
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from pydantic import Field, ValidationError

from loadproof.errors import OutputError, Problem, RunDirectoryError
from loadproof.scenario.scenario import Scenario  # noqa: TC001 - pydantic resolves it
from loadproof.scenario.strict import Strict
from loadproof.scenario.targetfile import Endpoints

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
SCENARIO: Final = "scenario.yaml"
INTERVALS: Final = "intervals.csv.gz"
GENERATOR: Final = "generator.csv"
TARGET: Final = "target.csv"
EVENTS: Final = "events.csv"
LOCUST_PREFIX: Final = "locust"
LOCUST_FAILURES: Final = f"{LOCUST_PREFIX}_failures.csv"
VERDICT: Final = "verdict.json"
JUNIT: Final = "junit.xml"
SUMMARY: Final = "summary.md"
REPORT: Final = "report.html"

PARTS: Final = ("connect", "first_byte", "transfer")
"""Of a request's time: connecting, if it had to; from sending to the answer's first byte; from there to its last."""
HISTOGRAMS: Final = ("response", "service", "lag", *PARTS)
"""Series with a histogram: `bucket` is an index of loadproof.histogram, of the second of the intended start."""
RETRY_KEPT, RETRY_BROKEN, RETRY_MISSING = "retry_kept", "retry_broken", "retry_missing"
COUNTERS: Final = ("good", "completed", "dropped", "abandoned", RETRY_KEPT, RETRY_BROKEN, RETRY_MISSING)
"""Series that only count, with bucket 0: correct within the deadline, and never sent, in the second of the
intended start; answers in the second in which they ended; requests that our own stop cut off; refusals, in the
second of their intended start, after whose Retry-After the client was admitted, was refused again, or that had none."""


class IntervalRow(NamedTuple):
    """One cell of an interval histogram; equal keys add up."""

    second: int
    phase: str
    endpoint: str
    outcome: str
    series: str
    bucket: int
    count: int  # type: ignore[assignment]  # the column's name; tuple.count is not used


class GeneratorRow(NamedTuple):
    """One worker in one second; ratios of one core, 0-1. Columns with a default may be missing in a file."""

    second: int
    worker: str
    cpu_ratio: float
    steal_ratio: float
    """Of all cores."""
    loop_delay_s: float
    """How late a timer of the event loop fired, the worst of the second."""
    lag_p99_s: float
    users: int
    in_flight: int
    """The most requests without an answer at any one time of the second."""
    sent: int
    dropped: int
    abandoned: int
    wait_ratio: float = 0.0
    """Ready to run, while another process ran; 0 where the system doesn't tell."""
    clock_step_s: float = 0.0
    """By how much somebody set the wall clock forward."""
    asleep_s: float = 0.0
    """How long the machine slept."""
    clock_skew_s: float = 0.0
    """How far the worker's clock is ahead of the master's, as far as it is beyond doubt; the best guess so far."""


class TargetRow(NamedTuple):
    time_s: float
    metric: str
    value: float


class EventRow(NamedTuple):
    time_s: float
    kind: str
    detail: str


class PhaseSpan(Strict):
    """A phase as it was planned, in seconds from the run's start."""

    name: str
    start_s: float
    end_s: float
    warm_up: bool
    users: int | None
    rate_rps: float | None
    ramp_s: float = 0.0
    bursts_s: list[float] = Field(default_factory=list)


class TargetFacts(Strict):
    kind: Literal["embedded", "own"]
    base_url: str
    """Empty until an embedded target is ready."""
    limits: dict[str, str]
    """Declared limits per client and endpoint, like '60/min'."""
    headers: dict[str, str] = Field(default_factory=dict)
    """As the target file has them: secrets stand as ${NAME}."""
    account_ids: list[str] | None = None
    endpoints: Endpoints = Field(default_factory=Endpoints)


Ending = Literal[
    "running", "completed", "interrupted", "terminated", "aborted", "target_died", "generator_died", "disk_full"
]


class Manifest(Strict):
    """What was run. `start_unix_s` is second 0 of every other file."""

    format: int = FORMAT
    run_id: str
    scenario: Scenario
    scenario_file: str
    seed: int
    command: str
    target: TargetFacts
    phases: list[PhaseSpan]
    workers: int
    revision: str
    versions: dict[str, str]
    host: dict[str, str]
    start_unix_s: float
    end_unix_s: float | None = None
    ending: Ending = "running"
    ending_detail: str = ""


_READ_BYTES: Final = 1 << 20
_BLOCK_BYTES: Final = 2 << 20
"""At a time, packed and unpacked."""


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


def append_intervals(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """Append one gzip member of rows with an IntervalRow's columns; OSError when the disk doesn't take it."""
    text = "".join(["%d,%s,%s,%s,%s,%d,%d\n" % tuple(row) for row in rows])  # noqa: UP031 - half the time of an f-string
    if not path.exists():
        text = ",".join(IntervalRow._fields) + "\n" + text
    _append(path, gzip.compress(text.encode(), compresslevel=1, mtime=0))


def append_rows(path: Path, rows: Sequence[GeneratorRow | TargetRow | EventRow]) -> None:
    """Append CSV lines, under a header where the file is new; OSError when the disk doesn't take them."""
    if not rows:
        return
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    if not path.exists():
        writer.writerow(rows[0]._fields)
    writer.writerows([[f"{cell:.6g}" if isinstance(cell, float) else cell for cell in row] for row in rows])
    _append(path, buffer.getvalue().encode())


def _append(path: Path, chunk: bytes) -> None:
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


def read_intervals(path: Path) -> Iterator[bytes]:
    """The CSV in blocks of whole lines, of all whole gzip members; a torn last one gives what of it is whole lines."""
    parts: list[bytes] = []
    size = 0
    for chunk in _decompressed(path):
        parts.append(chunk)
        size += len(chunk)
        if size >= _BLOCK_BYTES:
            lines, newline, rest = b"".join(parts).rpartition(b"\n")
            yield lines + newline
            parts, size = [rest], len(rest)
    lines, newline, _ = b"".join(parts).rpartition(b"\n")
    yield lines + newline


def _decompressed(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        member = zlib.decompressobj(wbits=31)
        packed = file.read(_READ_BYTES)
        while packed:
            try:
                chunk = member.decompress(packed)
            except zlib.error:
                return
            yield chunk
            packed = member.unused_data
            if member.eof:
                member = zlib.decompressobj(wbits=31)
            packed = packed or file.read(_READ_BYTES)


class IntervalsTail:
    """Reads an intervals.csv.gz that is being written, each whole gzip member once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0

    def read(self) -> bytes:
        """The lines of the members that became whole since the last time; none while there is no file."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                packed = file.read()
        except FileNotFoundError:
            return b""
        parts = []
        while packed:
            member = zlib.decompressobj(wbits=31)
            parts.append(member.decompress(packed))
            if not member.eof:
                parts.pop()
                break
            self._at += len(packed) - len(member.unused_data)
            packed = member.unused_data
        return b"".join(parts)


def write_manifest(run: Path, manifest: Manifest) -> None:
    write_whole(run / MANIFEST, manifest.model_dump_json(indent=2) + "\n")


def read_manifest(run: Path) -> Manifest:
    path = run / MANIFEST
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        remedy = "give the path of a directory that `loadproof run` made"
        raise RunDirectoryError(Problem(str(path), f"no readable manifest: {error}", remedy)) from None
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        remedy = f"read it with the loadproof that wrote it (this one reads format {FORMAT})"
        raise RunDirectoryError(Problem(str(path), "another format version", remedy, got=str(found)))
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = f"{path} {'.'.join(map(str, first['loc']))}"
        raise RunDirectoryError(Problem(where, first["msg"].lower(), "restore the file as it was written")) from None
