"""Reads a run directory into data frames, whatever state a crash left it in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from loadproof.analysis.frames.failures import RaisedException, raised_in
from loadproof.analysis.frames.intervalcells import IntervalCells, no_cells
from loadproof.analysis.frames.lines import left_out, parsed
from loadproof.outcome import SETUP
from loadproof.rundir import files
from loadproof.rundir.intervals import read_intervals
from loadproof.rundir.manifest import Manifest, read_manifest
from loadproof.rundir.rows import USER_TIMES, EventRow, GeneratorRow, TargetRow

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from loadproof.plan.phases import PhaseSpan
    from loadproof.scenario.scenario import Threshold

_JITTER_S: Final = 0.1
_COUNTS: Final = frozenset({"sent", "dropped", "abandoned"})
"""Columns of the generator's rows that can be added up."""


@dataclass(frozen=True, eq=False)
class Run:
    """A run as recorded: its traffic, its manifest, and the evidence of whether its measurement can be trusted.

    Frames have the columns of rundir's row types, times in s from the start.
    """

    path: Path
    manifest: Manifest
    intervals: pd.DataFrame
    """Planned requests; equal keys are summed."""
    generator: pd.DataFrame
    target: pd.DataFrame
    events: pd.DataFrame
    damage: tuple[str, ...] = field(default=())
    """What was missing or unreadable, one sentence each."""
    raised: tuple[RaisedException, ...] = field(default=())
    """Exceptions raised by the users' own code."""
    groups: pd.DataFrame = field(default_factory=no_cells)
    """Requests of a journey that were timed as one; like `intervals`, with the group's name as endpoint."""
    setup: pd.DataFrame = field(default_factory=no_cells)
    """Requests sent by `on_start` and `on_stop`; like `intervals`."""
    user_times: pd.DataFrame = field(default_factory=no_cells)
    """How users of the closed model spent their time; like `intervals`, in ms."""
    is_of_groups: bool = False
    """`intervals` holds groups instead of requests."""

    @property
    def phases(self) -> Sequence[PhaseSpan]:
        return self.manifest.phases

    @property
    def endpoints(self) -> tuple[str, ...]:
        return tuple(self.manifest.scenario.groups) if self.is_of_groups else self.manifest.scenario.endpoints

    @cached_property
    def of_groups(self) -> Run:
        """The run with groups in place of requests."""
        return replace(self, intervals=self.groups.reset_index(drop=True), is_of_groups=True)

    def read_by(self, threshold: Threshold) -> Run:
        """The run as a threshold reads it: with groups in place of requests if it names one."""
        return self if self.manifest.scenario.group_of(threshold) is None else self.of_groups

    def deadline_of(self, endpoints: Iterable[str]) -> float:
        """In s, what goodput of these means: the scenario's deadline, or the longest of these groups' own."""
        scenario = self.manifest.scenario
        return max(scenario.groups[name].deadline for name in endpoints) if self.is_of_groups else scenario.deadline

    @property
    def start_unix_s(self) -> float:
        return self.manifest.start_unix_s

    def with_intervals(self, intervals: pd.DataFrame) -> Run:
        """The run with these as its planned requests."""
        return replace(self, intervals=intervals)

    @cached_property
    def measured_s(self) -> float:
        """When the generator's record ends, in s, ignoring jitter; 0 if there is no record."""
        if self.generator.empty:
            return 0.0
        lengths_s, seconds = (self.generator[name].to_numpy(dtype=np.float64) for name in ("length_s", "second"))
        whole_s = np.maximum(lengths_s.round(), 1.0)
        is_whole = np.abs(lengths_s - whole_s) <= _JITTER_S
        return float((seconds + np.where(is_whole, whole_s, lengths_s)).max())


def load_run(path: Path, manifest: Manifest | None = None) -> Run:
    """Read a run directory; RunDirectoryError only if its manifest can't be read and none was given."""
    manifest = manifest or read_manifest(path)
    damage: list[str] = []
    # The file only exists after a first sample, and only the embedded target is certain to have /metrics.
    may_be_missing = manifest.target.kind == "own"
    cells = _cells(path / files.INTERVALS, manifest, damage)
    intervals, groups, setup, user_times = _apart(cells, list(manifest.scenario.groups))
    if manifest.scenario.locustfile is not None:
        manifest = _naming(manifest, intervals)
    generator = _one_row_a_second(_frame(path / files.GENERATOR, GeneratorRow, damage))
    target = _frame(path / files.TARGET, TargetRow, damage, may_be_missing=may_be_missing)
    events = _frame(path / files.EVENTS, EventRow, damage)
    return Run(
        path=path,
        manifest=manifest,
        intervals=intervals,
        generator=generator,
        target=target,
        events=events,
        damage=tuple(damage),
        raised=raised_in(path),
        groups=groups,
        setup=setup,
        user_times=user_times,
    )


def _frame(path: Path, row: type[Any], damage: list[str], *, may_be_missing: bool = False) -> pd.DataFrame:
    """The rows of a file; anything wrong with it is added to `damage`."""
    try:
        text = files.read_lines_text(path)
    except OSError:
        if not may_be_missing:
            damage.append(f"{path.name} is missing")
        text = ""
    rows, skipped = parsed(text, row._fields, row._field_defaults)
    if skipped:
        damage.append(f"{path.name}: {left_out(skipped)}")
    return rows


def _cells(path: Path, manifest: Manifest, damage: list[str]) -> pd.DataFrame:
    """Like `_frame`, block by block."""
    cells, blocks = IntervalCells(manifest.phases, manifest.scenario), read_intervals(path)
    try:
        for block in blocks:
            cells.add(block)
    except OSError:
        damage.append(f"{path.name} is missing")
    if blocks.is_torn:
        damage.append(f"{path.name} is damaged: everything after its last complete row is lost")
    if cells.skipped:
        damage.append(f"{path.name}: {left_out(cells.skipped)}")
    return cells.frame()


def _apart(cells: pd.DataFrame, groups: list[str]) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Planned requests, groups, setup requests and users' time; not copied if there are only planned requests."""
    is_setup, is_time, is_group = (
        cells["phase"] == SETUP,
        cells["series"].isin(USER_TIMES),
        cells["endpoint"].isin(groups),
    )
    if not (is_setup | is_time | is_group).any():
        return cells, cells[:0], no_cells(), no_cells()
    planned = cells[~(is_setup | is_time | is_group)].reset_index(drop=True)
    return planned, cells[is_group], cells[is_setup], cells[is_time]


def _naming(manifest: Manifest, intervals: pd.DataFrame) -> Manifest:
    """With the names of the requests that a locustfile sent."""
    sent = map(str, intervals["endpoint"].unique())
    return manifest.model_copy(update={"scenario": manifest.scenario.with_requests(sent)})


def _one_row_a_second(generator: pd.DataFrame) -> pd.DataFrame:
    """One row per worker and second.

    If the shutdown is a second row of the last second, only that row's counts are kept.
    """
    keys = ["worker", "second"]
    if not generator.duplicated(keys).any():
        return generator
    how = {name: "sum" if name in _COUNTS else "first" for name in generator.columns if name not in keys}
    return generator.groupby(keys, sort=False, as_index=False).agg(how)[list(generator.columns)]
