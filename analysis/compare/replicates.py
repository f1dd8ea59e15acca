"""Turns run directories into replicates: one value per run for each row of a comparison."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from loadproof.analysis.estimates.metrics import estimates_of
from loadproof.analysis.estimates.scope import Scope, rows_of
from loadproof.analysis.frames.cellsums import histogram
from loadproof.analysis.frames.run import load_run
from loadproof.analysis.judge.health import why_invalid
from loadproof.errors import InvalidRunError, LoadproofError, Problem
from loadproof.outcome import Outcome
from loadproof.scenario.thresholds.expectation import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from loadproof.analysis.estimates.estimate import Estimate
    from loadproof.analysis.frames.run import Run
    from loadproof.rundir.manifest import Manifest
    from loadproof.scenario.scenario import Scenario, Threshold

COMPARED: Final = (
    *(Metric("p", quantile=quantile) for quantile in (0.5, 0.9, 0.95, 0.99)),
    *(Metric(name) for name in ("error_ratio", "goodput_ratio", "throughput")),
)
"""The metrics compared for each endpoint and phase; thresholds may add more."""
ALL_ENDPOINTS: Final = "all endpoints"
ALL_PHASES: Final = "all phases"
BROKE: Final = frozenset({"target_died", "aborted"})
"""Endings that are the target's fault: such a run has no values, but must not be left out silently."""
_CUT_SHORT: Final = frozenset({"interrupted", "terminated", "running"})
_MOST_PLACES: Final = 60
"""The most endpoints and phases with histograms: a scenario may have thousands of endpoints."""


class Row(NamedTuple):
    """A row of a comparison, named as it is shown."""

    endpoint: str
    phase: str
    metric: str

    @property
    def text(self) -> str:
        return f"{self.metric} of {self.endpoint} in {self.phase}"


@dataclass(frozen=True)
class RowSource:
    """How a row's values are estimated."""

    metric: Metric
    scope: Scope
    is_of_groups: bool = False


@dataclass(frozen=True)
class Replicate:
    """What a comparison needs of a run."""

    path: Path
    manifest: Manifest
    estimates: Mapping[Row, Estimate]
    """Estimates of the rows that it has requests for; the intervals only cover sampling within the run."""
    histograms: Mapping[tuple[str, str], NDArray[np.int64]] = field(default_factory=dict)
    """Counts of `ok` response times by bucket, shape (BUCKETS,), by endpoint and phase."""
    block: int | None = None
    """Runs with the same number were made next to each other; None if not recorded."""

    @property
    def started(self) -> datetime:
        return datetime.fromtimestamp(self.manifest.start_unix_s, UTC)

    @property
    def values(self) -> Mapping[Row, float]:
        """Values in SI units."""
        return {row: estimate.value for row, estimate in self.estimates.items()}

    @property
    def broke(self) -> bool:
        """Whether the target ended the run."""
        return self.manifest.ending in BROKE


def replicates(paths: Sequence[Path], blocks: Sequence[int] | None = None) -> list[Replicate]:
    """One replicate per run directory; `blocks`, if given, are the runs' block numbers.

    InvalidRunError names all runs that are no measurement; RunDirectoryError also unreadable ones.
    """
    usable, errors = usable_replicates(paths)
    if errors:
        kind = next((type(error) for error in errors if not isinstance(error, InvalidRunError)), InvalidRunError)
        raise kind([problem for error in errors for problem in error.problems])
    if blocks is None:
        return usable
    return [replace(run, block=block) for run, block in zip(usable, blocks, strict=True)]


def usable_replicates(paths: Sequence[Path]) -> tuple[list[Replicate], list[LoadproofError]]:
    """Replicates of the runs that can be compared, and the errors of those that can't."""
    usable: list[Replicate] = []
    errors: list[LoadproofError] = []
    for path in paths:
        try:
            usable.append(replicate(path))
        except LoadproofError as error:
            errors.append(error)
    return usable, errors


def replicate(path: Path) -> Replicate:
    """Read a run; InvalidRunError if it is INVALID or was cut short, RunDirectoryError if it can't be read."""
    run = load_run(path)
    why = why_invalid(run)
    if why is not None:
        remedy = "leave it out, or repeat it: it measured the generator"
        raise InvalidRunError(Problem(str(path), "the run is INVALID", remedy, got=why))
    ending = run.manifest.ending
    if ending in _CUT_SHORT:
        what = "the run was cut short"
        raise InvalidRunError(Problem(str(path), what, "leave it out, or repeat it to its end", got=ending))
    return replicate_of(run)


def replicate_of(run: Run) -> Replicate:
    """The replicate of a run that is known to be a valid measurement."""
    if run.manifest.ending in BROKE:
        return Replicate(run.path, run.manifest, {})
    sources = sources_of(run.manifest.scenario)
    places = {row: source for row, source in sources.items() if row.metric == str(COMPARED[0])}
    return Replicate(
        run.path,
        run.manifest,
        _estimates(run, sources),
        {
            (row.endpoint, row.phase): histogram(rows_of(run, source.scope), "response", Outcome.OK)
            for row, source in islice(places.items(), _MOST_PLACES)
        },
    )


def _estimates(run: Run, sources: Mapping[Row, RowSource]) -> dict[Row, Estimate]:
    """Estimates of the rows that the run has requests for, in order; rows of one scope are read together."""
    scopes = defaultdict[tuple[Scope, bool], list[Row]](list)
    for row, source in sources.items():
        scopes[source.scope, source.is_of_groups].append(row)
    estimates: dict[Row, Estimate | None] = {}
    for (scope, is_of_groups), rows in scopes.items():
        metrics = [sources[row].metric for row in rows]
        estimates |= zip(rows, estimates_of(metrics, run.of_groups if is_of_groups else run, scope), strict=True)
    return {row: estimate for row in sources if (estimate := estimates[row]) is not None}


def sources_of(scenario: Scenario) -> dict[Row, RowSource]:
    """Rows of each measured phase, all endpoints together and then each, by all metrics; then rows of thresholds."""
    phases = [phase.name for phase in scenario.phases if not phase.warm_up]
    places = {} if len(scenario.endpoints) == 1 else {ALL_ENDPOINTS: scenario.endpoints}
    places |= {name: (name,) for name in scenario.endpoints}
    rows = {
        Row(name, phase, str(metric)): RowSource(metric, Scope((phase,), endpoints))
        for phase in phases
        for name, endpoints in places.items()
        for metric in COMPARED
    }
    for threshold in scenario.thresholds:
        if threshold.expectation.metric.kind.beside_baseline:
            is_of_groups = scenario.group_of(threshold) is not None
            source = RowSource(threshold.expectation.metric, Scope.of(threshold, scenario), is_of_groups)
            rows.setdefault(row_of(threshold, scenario), source)
    return rows


def directions_of(scenario: Scenario) -> dict[Row, bool]:
    """Whether a higher value is better, for the rows whose thresholds agree on it; for others, their metric says so."""
    wanted = defaultdict[Row, set[bool]](set)
    for threshold in scenario.thresholds:
        if threshold.expectation.metric.kind.beside_baseline:
            wanted[row_of(threshold, scenario)].add(not threshold.expectation.wants_low)
    return {row: True in either for row, either in wanted.items() if len(either) == 1}


def row_of(threshold: Threshold, scenario: Scenario) -> Row:
    """The row that a threshold reads, with the same name as the table's row if it is one of those."""
    scope = Scope.of(threshold, scenario)
    measured = tuple(phase.name for phase in scenario.phases if not phase.warm_up)
    is_everything = scenario.group_of(threshold) is None and set(scope.endpoints) == set(scenario.endpoints)
    endpoint = ALL_ENDPOINTS if is_everything and len(scope.endpoints) != 1 else " + ".join(scope.endpoints)
    phase = ALL_PHASES if scope.phases == measured and len(measured) > 1 else " + ".join(scope.phases)
    metric = threshold.expectation.metric
    of_what = "" if scope.series == "response" or not metric.kind.reads_times else f" of {scope.series}"
    told = "" if scope.outcome is Outcome.OK or not metric.kind.reads_times else f" of {scope.outcome}"
    return Row(endpoint, phase, f"{metric}{of_what}{told}")
