"""A run directory to data frames, whatever state a crash left it in."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from analysis.frames.failures import Raised, raised_in
from loadproof.histogram import BUCKETS
from loadproof.outcome import SETUP, UNSENT, Outcome
from loadproof.rundir import files
from loadproof.rundir.intervals import read_intervals
from loadproof.rundir.manifest import Manifest, read_manifest
from loadproof.rundir.rows import (
    COUNTERS,
    HISTOGRAMS,
    USER_TIMES,
    EventRow,
    GeneratorRow,
    IntervalRow,
    TargetRow,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from loadproof.plan.phases import PhaseSpan
    from loadproof.scenario.scenario import Scenario

_INTERVALS_HEADER: Final = f"{','.join(IntervalRow._fields)}\n".encode()
_NONE: Final = np.zeros(0, dtype=np.int64)
_MOST_SECONDS: Final = 10**9
_JITTER_S: Final = 0.1
_COUNTS: Final = frozenset({"sent", "dropped", "abandoned"})
"""Columns of the generator that add up."""
_TEXT: Final = frozenset({"phase", "endpoint", "outcome", "series", "worker", "metric", "kind", "detail"})


def no_cells() -> pd.DataFrame:
    return pd.DataFrame({name: [] for name in IntervalRow._fields})


@dataclass(frozen=True, eq=False)
class Run:
    """One run as it was recorded: its Traffic, its manifest, and what tells whether its measurement can be trusted.

    Frames have the columns of rundir's row types, times in s from the start.
    """

    path: Path
    manifest: Manifest
    intervals: pd.DataFrame
    """Of what was planned; equal keys summed."""
    generator: pd.DataFrame
    target: pd.DataFrame
    events: pd.DataFrame
    damage: tuple[str, ...] = field(default=())
    """What was missing or unreadable, a sentence each."""
    raised: tuple[Raised, ...] = field(default=())
    """By the users' own code."""
    setup: pd.DataFrame = field(default_factory=no_cells)
    """What `on_start` and `on_stop` sent; as `intervals`."""
    user_times: pd.DataFrame = field(default_factory=no_cells)
    """The closed model's users' time; as `intervals`, in ms."""

    @property
    def phases(self) -> Sequence[PhaseSpan]:
        return self.manifest.phases

    @property
    def endpoints(self) -> tuple[str, ...]:
        return tuple(self.manifest.scenario.mix)

    @property
    def start_unix_s(self) -> float:
        return self.manifest.start_unix_s

    def with_intervals(self, intervals: pd.DataFrame) -> Run:
        """Had these been its planned requests."""
        return replace(self, intervals=intervals)

    @cached_property
    def measured_s(self) -> float:
        """Until when the generator lived, its jitter left out; 0 when it left no record."""
        if self.generator.empty:
            return 0.0
        lengths_s = self.generator["length_s"]
        whole_s = lengths_s.round().clip(lower=1)
        is_whole = (lengths_s - whole_s).abs() <= _JITTER_S
        return float((self.generator["second"] + lengths_s.where(~is_whole, whole_s)).max())


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
        rows, skipped = _parsed(text, row._fields, row._field_defaults)
        if skipped:
            damage.append(f"{name}: {skipped} unreadable lines were left out")
        return rows

    cells = IntervalCells(manifest.phases, manifest.scenario)
    try:
        for block in read_intervals(path / files.INTERVALS):
            cells.add(block)
    except OSError:
        damage.append(f"{files.INTERVALS} is missing")
    if cells.skipped:
        damage.append(f"{files.INTERVALS}: {cells.skipped} unreadable lines were left out")
    intervals, setup, user_times = _apart(cells.frame())
    return Run(
        path=path,
        manifest=manifest,
        intervals=intervals,
        generator=_one_row_a_second(frame(files.GENERATOR, GeneratorRow, files.read_lines_text)),
        target=frame(files.TARGET, TargetRow, files.read_lines_text),
        events=frame(files.EVENTS, EventRow, files.read_lines_text),
        damage=tuple(damage),
        raised=raised_in(path),
        setup=setup,
        user_times=user_times,
    )


def _apart(cells: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """What was planned, what was not, and users' time; not copied where the first is all there is."""
    is_setup, is_time = cells["phase"] == SETUP, cells["series"].isin(USER_TIMES)
    if not (is_setup | is_time).any():
        return cells, no_cells(), no_cells()
    return cells[~(is_setup | is_time)].reset_index(drop=True), cells[is_setup], cells[is_time]


def _one_row_a_second(generator: pd.DataFrame) -> pd.DataFrame:
    """Of each worker. Older records have the shutdown as another row of the last second: only its counts are kept."""
    keys = ["worker", "second"]
    if not generator.duplicated(keys).any():
        return generator
    how = {name: "sum" if name in _COUNTS else "first" for name in generator.columns if name not in keys}
    return generator.groupby(keys, sort=False, as_index=False).agg(how)[list(generator.columns)]


class IntervalCells:
    """Lines of intervals.csv.gz, block by block, to cells with equal keys added up; what can't be is left out."""

    def __init__(self, phases: Sequence[PhaseSpan], scenario: Scenario) -> None:
        self.skipped = 0
        """Lines that are none."""
        self._kinds = {
            "phase": pd.Index([*(span.name for span in phases), SETUP]),
            "endpoint": pd.Index(list(scenario.mix)),
            "outcome": pd.Index(["", *map(str, Outcome), *sorted(UNSENT)]),
            "series": pd.Index([*HISTOGRAMS, *COUNTERS, *USER_TIMES]),
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
        # What is none may be too large for any number.
        lines, rows = len(rows), rows if sound.all() else rows[sound]
        whole = np.ones(len(rows), dtype=bool)
        keys = rows["second"].to_numpy(dtype=np.int64)
        for name, known in self._kinds.items():
            values = rows[name].cat
            # Of a value that can't be, -1.
            codes = known.get_indexer(pd.Index(values.categories))[values.codes]
            whole = whole & (codes >= 0)
            keys = keys * len(known) + codes
        self.skipped += lines - int(whole.sum())
        self._keys.append((keys * BUCKETS + rows["bucket"].to_numpy(dtype=np.int64))[whole])
        self._counts.append(rows["count"].to_numpy(dtype=np.int32)[whole])

    def _rows(self, body: bytes) -> pd.DataFrame:
        numbers = dict.fromkeys(("second", "bucket", "count"), "int64")
        texts = dict.fromkeys(self._kinds, "category")
        try:
            rows: pd.DataFrame = pd.read_csv(
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
        return rows

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
