"""A run directory to data frames, whatever state a crash left it in."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import pandas as pd

from loadproof import rundir
from loadproof.histogram import BUCKETS
from loadproof.outcome import DROPPED, Outcome
from loadproof.rundir import EventRow, GeneratorRow, IntervalRow, Manifest, TargetRow

_TEXT: Final = frozenset({"phase", "endpoint", "outcome", "series", "worker", "metric", "kind", "detail"})


@dataclass(frozen=True)
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

    @cached_property
    def measured_s(self) -> float:
        """The last second that the generator lived through; 0 when there is none."""
        return 0.0 if self.generator.empty else float(self.generator["second"].max()) + 1


def load_run(path: Path) -> Run:
    """Read a run directory; RunDirectoryError only when its manifest can't be read."""
    manifest = rundir.read_manifest(path)
    damage: list[str] = []

    def frame(name: str, row: type[Any], read: Callable[[Path], str]) -> pd.DataFrame:
        try:
            text = read(path / name)
        except OSError:
            damage.append(f"{name} is missing")
            text = ""
        found, skipped = _parsed(text, row._fields, row._field_defaults)
        if skipped:
            damage.append(f"{name}: {skipped} unreadable lines were left out")
        return found

    intervals = frame(rundir.INTERVALS, IntervalRow, rundir.read_intervals_text)
    return Run(
        path=path,
        manifest=manifest,
        intervals=_summed(intervals),
        generator=frame(rundir.GENERATOR, GeneratorRow, rundir.read_lines_text),
        target=frame(rundir.TARGET, TargetRow, rundir.read_lines_text),
        events=frame(rundir.EVENTS, EventRow, rundir.read_lines_text),
        damage=tuple(damage),
    )


def interval_frame(text: str) -> pd.DataFrame:
    """The rows of a part of intervals.csv.gz, with or without its header."""
    return _summed(_parsed(text, IntervalRow._fields, {})[0])


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


def _summed(intervals: pd.DataFrame) -> pd.DataFrame:
    """Cells that make sense, equal keys added up."""
    keys = list(IntervalRow._fields[:-1])
    known = intervals["series"].isin([*rundir.HISTOGRAMS, *rundir.COUNTERS]) & intervals["outcome"].isin(
        [*Outcome, DROPPED, ""]
    )
    sound = intervals[known & intervals["bucket"].between(0, BUCKETS - 1) & (intervals["count"] > 0)]
    whole = sound.astype({"second": "int64", "bucket": "int64", "count": "int64"})
    for name in ("phase", "endpoint", "outcome", "series"):
        whole[name] = whole[name].astype("category")
    return whole.groupby(keys, observed=True, sort=True)["count"].sum().reset_index()
