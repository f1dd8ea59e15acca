"""A run directory to data frames, whatever state a crash left it in."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from analysis.frames.failures import Raised, raised_in
from loadproof.histogram import BUCKETS
from loadproof.outcome import DROPPED, Outcome
from loadproof.rundir import files
from loadproof.rundir.intervals import read_intervals
from loadproof.rundir.manifest import Manifest, read_manifest
from loadproof.rundir.rows import COUNTERS, HISTOGRAMS, EventRow, GeneratorRow, IntervalRow, TargetRow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from loadproof.plan.phases import PhaseSpan
    from loadproof.scenario.scenario import Scenario

_INTERVALS_HEADER: Final = f"{','.join(IntervalRow._fields)}\n".encode()
_NONE: Final = np.zeros(0, dtype=np.int64)
_MOST_SECONDS: Final = 10**9
_TEXT: Final = frozenset({"phase", "endpoint", "outcome", "series", "worker", "metric", "kind", "detail"})


@dataclass(frozen=True, eq=False)
class Run:
    """One run as it was recorded; frames have the columns of rundir's row types, times in s from the start."""

    path: Path
    manifest: Manifest
    intervals: pd.DataFrame
    """Equal keys summed."""
    generator: pd.DataFrame
    target: pd.DataFrame
    events: pd.DataFrame
    damage: tuple[str, ...] = field(default=())
    """What was missing or unreadable, a sentence each."""
    raised: tuple[Raised, ...] = field(default=())
    """By the users' own code."""

    @cached_property
    def measured_s(self) -> float:
        """The last second that the generator lived through; 0 when there is none."""
        return 0.0 if self.generator.empty else float(self.generator["second"].max()) + 1


def load_run(path: Path, manifest: Manifest | None = None) -> Run:
    """Read a run directory; RunDirectoryError only when its manifest can't be read, and none was given for it."""
    manifest = manifest or read_manifest(path)
    damage: list[str] = []
    # Without a first sample there is no such file, and only the embedded target surely has /metrics.
    may_be_missing = {files.TARGET} if manifest.target.kind == "own" else set()

    def frame(name: str, row: type[Any], read: Callable[[Path], str]) -> pd.DataFrame:
        try:
            text = read(path / name)
        except OSError:
            if name not in may_be_missing:
                damage.append(f"{name} is missing")
            text = ""
        found, skipped = _parsed(text, row._fields, row._field_defaults)
        if skipped:
            damage.append(f"{name}: {skipped} unreadable lines were left out")
        return found

    cells = IntervalCells(manifest.phases, manifest.scenario)
    try:
        for block in read_intervals(path / files.INTERVALS):
            cells.add(block)
    except OSError:
        damage.append(f"{files.INTERVALS} is missing")
    if cells.skipped:
        damage.append(f"{files.INTERVALS}: {cells.skipped} unreadable lines were left out")
    return Run(
        path=path,
        manifest=manifest,
        intervals=cells.frame(),
        generator=frame(files.GENERATOR, GeneratorRow, files.read_lines_text),
        target=frame(files.TARGET, TargetRow, files.read_lines_text),
        events=frame(files.EVENTS, EventRow, files.read_lines_text),
        damage=tuple(damage),
        raised=raised_in(path),
    )


class IntervalCells:
    """Lines of intervals.csv.gz, block by block, to cells with equal keys added up; what can't be is left out."""

    def __init__(self, phases: Sequence[PhaseSpan], scenario: Scenario) -> None:
        self.skipped = 0
        """Lines that are none."""
        self._kinds = {
            "phase": pd.Index([span.name for span in phases]),
            "endpoint": pd.Index(list(scenario.mix)),
            "outcome": pd.Index(["", *map(str, Outcome), DROPPED]),
            "series": pd.Index([*HISTOGRAMS, *COUNTERS]),
        }
        self._keys: list[NDArray[np.int64]] = []
        self._counts: list[NDArray[np.int32]] = []

    def add(self, block: bytes) -> None:
        """Whole lines, the first of which may be the header."""
        body = block.removeprefix(_INTERVALS_HEADER)
        rows = self._rows(body)
        self.skipped += body.count(b"\n") - len(rows)
        sound = (
            rows["bucket"].between(0, BUCKETS - 1)
            & rows["count"].between(1, 2**31 - 1)
            & rows["second"].between(0, _MOST_SECONDS)
        )
        whole = sound.to_numpy()
        keys = rows["second"].to_numpy(dtype=np.int64)
        for name, known in self._kinds.items():
            values = rows[name].cat
            # Of a value that can't be, -1.
            codes = known.get_indexer(pd.Index(values.categories))[values.codes]
            whole = whole & (codes >= 0)
            keys = keys * len(known) + codes
        self._keys.append((keys * BUCKETS + rows["bucket"].to_numpy(dtype=np.int64))[whole])
        self._counts.append(rows["count"].to_numpy(dtype=np.int32)[whole])

    def _rows(self, body: bytes) -> pd.DataFrame:
        numbers = dict.fromkeys(("second", "bucket", "count"), "int64")
        texts = dict.fromkeys(self._kinds, "category")
        try:
            found: pd.DataFrame = pd.read_csv(
                io.BytesIO(body),
                names=list(IntervalRow._fields),
                dtype={**numbers, **texts},
                keep_default_na=False,
                on_bad_lines="skip",
                quoting=csv.QUOTE_NONE,
                encoding_errors="replace",
            )
        except ValueError:
            # Some line is damaged: more slowly, line by line.
            text = body.decode("utf-8", errors="replace")
            return _parsed(text, IntervalRow._fields, {})[0].astype(texts)
        return found

    def frame(self) -> pd.DataFrame:
        """What was added since the last time, with an IntervalRow's columns, sorted by them."""
        keys, counts = np.concatenate([_NONE, *self._keys]), np.concatenate([_NONE.astype(np.int32), *self._counts])
        self._keys.clear()
        self._counts.clear()
        order = np.argsort(keys)
        keys, counts = keys[order], counts[order]
        del order
        first = np.flatnonzero(np.diff(keys, prepend=-1))
        if first.size < keys.size:
            keys, counts = keys[first], np.add.reduceat(counts, first)
        # A day has tens of millions of rows.
        columns: dict[str, Any] = {"count": counts, "bucket": (keys % BUCKETS).astype(np.int16)}
        keys //= BUCKETS
        for name, known in reversed(self._kinds.items()):
            columns[name] = pd.Categorical.from_codes((keys % len(known)).astype(np.int16), known)
            keys //= len(known)
        columns["second"] = keys.astype(np.int32)
        return pd.DataFrame(columns)[list(IntervalRow._fields)]


def _parsed(text: str, fields: tuple[str, ...], defaults: dict[str, Any]) -> tuple[pd.DataFrame, int]:
    """The lines that have these columns, numbers where they belong; and how many lines had not."""
    columns = fields[: max(text.partition("\n")[0].count(",") + 1, len(fields) - len(defaults))]
    header = ",".join(columns) + "\n"
    body = text.removeprefix(header)
    if '"' in body:
        lines = pd.DataFrame(_quoted_rows(body, len(columns)), columns=list(columns), dtype=str)
    else:
        lines = pd.read_csv(
            io.StringIO(header + body), dtype=str, keep_default_na=False, on_bad_lines="skip", quoting=csv.QUOTE_NONE
        )
    for name in columns:
        if name not in _TEXT:
            lines[name] = pd.to_numeric(lines[name], errors="coerce")
    whole = lines.dropna().reset_index(drop=True).assign(**{name: defaults[name] for name in fields[len(columns) :]})
    return whole, body.count("\n") - len(whole)


def _quoted_rows(body: str, width: int) -> Iterator[list[str]]:
    """Line by line, so that one unbalanced quote costs one line; slower, and for files with JSON in them."""
    for line in body.splitlines():
        row = next(csv.reader([line]), [])
        if len(row) == width:
            yield row
