"""Turns a self-test's runs into what they show: whether numbers are true, the generator keeps up, a change is found."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.analysis.compare.comparedrow import ChangeWord
from loadproof.analysis.compare.comparison import compare
from loadproof.analysis.compare.replicates import replicates
from loadproof.analysis.estimates.scope import Scope, rows_of
from loadproof.analysis.frames.cellsums import histogram
from loadproof.analysis.frames.run import load_run
from loadproof.analysis.judge.verdict import verdict_on_run
from loadproof.analysis.word import Word
from loadproof.histogram import value_at_rank
from loadproof.outcome import Outcome
from loadproof.rundir.selftest import Accuracy, MeasuredChange

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from loadproof.analysis.compare.comparedrow import ComparedRow
    from loadproof.analysis.compare.comparison import Comparison
    from loadproof.analysis.frames.run import Run

QUANTILES: Final = (0.5, 0.95, 0.99)
MOST_LAG_S: Final = 0.01
"""For the 99th percentile of start lag: a generator later than this doesn't keep up."""
_DECIDING: Final = "p(95)"


def verdict_word(path: Path) -> Word:
    """The verdict of a run."""
    return verdict_on_run(load_run(path)).word


def lag_of(path: Path) -> tuple[float, float, bool]:
    """Median and p99 of start lag in s after warm-up, NaN without lags; and whether the generator kept up."""
    run = load_run(path)
    counts = histogram(_measured(run), "lag")
    if not counts.any():
        return math.nan, math.nan, False
    p50, p99 = (_quantile(counts, quantile) for quantile in (0.5, 0.99))
    return p50, p99, p99 <= MOST_LAG_S and verdict_on_run(run).word is not Word.INVALID


def accuracy_of(runs: Sequence[tuple[Path, NDArray[np.float64]]]) -> list[Accuracy]:
    """Quantiles of service times as reported and as logged by the server, over all runs.

    Each log has a request's Unix times of reading and writing in s, shape (requests, 2).
    """
    if not runs:
        return []
    loaded = [(load_run(path), log) for path, log in runs]
    counts = sum(histogram(_measured(run), "service", Outcome.OK) for run, _ in loaded)
    true_s = np.sort(np.concatenate([_logged_s(run, log) for run, log in loaded]))
    if not isinstance(counts, np.ndarray) or not counts.any() or not true_s.size:
        return []
    return [
        Accuracy(
            quantile=quantile,
            true_s=float(true_s[max(0, math.ceil(quantile * true_s.size) - 1)]),
            reported_s=_quantile(counts, quantile),
            n=int(true_s.size),
        )
        for quantile in QUANTILES
    ]


def _quantile(counts: NDArray[np.int64], quantile: float) -> float:
    return value_at_rank(counts, max(1, math.ceil(quantile * int(counts.sum())))) * 1e-6


def _measured(run: Run) -> pd.DataFrame:
    phases = tuple(span.name for span in run.phases if not span.warm_up)
    return rows_of(run, Scope(phases, run.endpoints))


def _logged_s(run: Run, log: NDArray[np.float64]) -> NDArray[np.float64]:
    """The server's time in s for each request that it read after the warm-up."""
    begins_s = run.start_unix_s + next(span.start_s for span in run.phases if not span.warm_up)
    read_s, written_s = log[log[:, 0] >= begins_s].T
    return np.asarray(written_s - read_s)


def compared_runs(baseline: Sequence[Path], candidate: Sequence[Path]) -> Comparison:
    """Compare runs as `loadproof compare` does; LoadproofError if they can't be compared."""
    return compare(replicates(baseline), replicates(candidate))


def p95_of(comparison: Comparison) -> ComparedRow | None:
    return next((row for row in comparison.rows if row.row.metric == _DECIDING), None)


def p95_change(comparison: Comparison) -> MeasuredChange | None:
    """The change of p(95); None if it has no interval."""
    row = p95_of(comparison)
    if row is None or row.change is None or not math.isfinite(row.change.low):
        return None
    change = row.change
    return MeasuredChange(ratio=change.ratio, low=change.low, high=change.high, runs=change.candidate_n)


def calls_it_slower(comparison: Comparison) -> bool:
    """Whether the comparison says that p(95) regressed."""
    row = p95_of(comparison)
    return row is not None and row.word is ChangeWord.REGRESSED


def calls_it_changed(comparison: Comparison) -> bool:
    """Whether the comparison says that any row changed: between two groups of equal runs, a false alarm."""
    return any(row.word in {ChangeWord.REGRESSED, ChangeWord.IMPROVED} for row in comparison.rows)
