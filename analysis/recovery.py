"""A run's seconds to how soon it was again as before: after a spike, or after any phase that hurt.

Recovered is the first moment from which, for ten seconds in a row, the goodput ratio is at least 99 % and p95 is within
what a second before the trigger could have had, or so near that nobody would notice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import stats

from analysis.estimate import Estimate
from analysis.overtime import quantiles_over_time
from loadproof.decidability import CALM_SECONDS
from loadproof.plan import calm_before

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from analysis.frames import Run
    from analysis.metrics import Scope
    from loadproof.expectation import Metric
    from loadproof.rundir import PhaseSpan

GOODPUT_SHARE: Final = 0.99
"""Of the goodput ratio before."""
FALSE_ALARM: Final = 0.05
"""How often a run that was never hurt is seen as not recovered at once, at most."""
_UNNOTICED: Final = 0.01
"""Of the deadline: a p95 that is longer by less has recovered, however sure the difference."""
_FEWEST_SECONDS: Final = 5
"""Of before, to know what a second can have."""


@dataclass(frozen=True)
class Recovery:
    before: str
    trigger: str
    phase: str
    """Of the same load as before, after more of it; in which it was looked for."""
    ended_s: float
    """When the trigger did."""
    took_s: float | None
    """From the trigger's end to the first of the calm seconds; None: there were none as long as was looked."""
    looked_s: int
    p95_bound_s: float
    """What p95 of a second may be."""
    drained_s: float | None
    """From the trigger's end until every request that was begun in it had ended, or had been given up."""
    lost: int
    """Requests offered in the trigger and until it had recovered that were no goodput."""


def recovery_in(run: Run, phase: str, endpoints: tuple[str, ...]) -> Recovery | None:
    """How soon this phase was as the calm before; None where there is nothing to compare with."""
    spans = run.manifest.phases
    place = next(number for number, span in enumerate(spans) if span.name == phase)
    compared = calm_before(spans, place)
    if compared is None:
        return None
    before, after = spans[compared], spans[place]
    rows = run.intervals[run.intervals["endpoint"].isin(endpoints)]
    was, became = _seconds(run, rows, before), _seconds(run, rows, after)
    known = was["p95"].dropna()
    if len(known) < _FEWEST_SECONDS or became.empty:
        return None
    unnoticed_s = float(known.median()) + _UNNOTICED * run.manifest.scenario.deadline
    bound_s = max(prediction_bound(known.to_numpy()), unnoticed_s)
    as_before = (became["ratio"] >= GOODPUT_SHARE * _ratio(was)) & (became["p95"] <= bound_s)
    calm = as_before | (became["offered"] == 0)
    first = first_run(calm.to_numpy(), CALM_SECONDS)
    end_s = after.start_s + (first if first is not None else len(became))
    hurt = run.intervals["second"].between(before.end_s, end_s - 1) & run.intervals["endpoint"].isin(endpoints)
    offered = _count(run.intervals[hurt], ("response", "dropped"))
    return Recovery(
        before=before.name,
        trigger=" … ".join(dict.fromkeys((spans[compared + 1].name, spans[place - 1].name))),
        phase=phase,
        ended_s=after.start_s,
        took_s=None if first is None else float(first),
        looked_s=len(became),
        p95_bound_s=bound_s,
        drained_s=_drained_s(run, spans[compared + 1 : place], endpoints),
        lost=offered - _count(run.intervals[hurt], ("good",)),
    )


def _drained_s(run: Run, triggers: Sequence[PhaseSpan], endpoints: tuple[str, ...]) -> float | None:
    """To the second, from the answers' own seconds."""
    names = [span.name for span in triggers]
    rows = run.intervals[run.intervals["phase"].isin(names) & run.intervals["endpoint"].isin(endpoints)]
    ended = rows.loc[rows["series"] == "completed", "second"]
    return None if ended.empty else max(0.0, float(ended.max()) + 1 - triggers[-1].end_s)


def prediction_bound(values: NDArray[np.float64]) -> float:
    """What the largest of CALM_SECONDS more values will exceed with a probability of at most FALSE_ALARM.

    Of log-normal values, by Bonferroni; at least the largest that was seen.
    Source: Hahn & Meeker, Statistical Intervals, section 4.8 (prediction bound for m future observations).
    """
    logs = np.log(values)
    n = logs.size
    t = float(stats.t.ppf(1 - FALSE_ALARM / CALM_SECONDS, n - 1))
    bound = float(np.exp(logs.mean() + t * logs.std(ddof=1) * math.sqrt(1 + 1 / n)))
    return max(bound, float(values.max()))


def first_run(calm: NDArray[np.bool_], length: int) -> int | None:
    """Where the first `length` in a row begin; None where there are none."""
    if calm.size < length:
        return None
    together = np.convolve(calm.astype(int), np.ones(length, dtype=int), mode="valid")
    found = np.flatnonzero(together == length)
    return int(found[0]) if found.size else None


def recovery_estimate(_: Metric, run: Run, scope: Scope) -> Estimate | None:
    """How long it took in s, known to the second; infinite, from as long as was looked, where it never came."""
    found = recovery_in(run, scope.phases[0], scope.endpoints)
    if found is None:
        return None
    if found.took_s is None:
        return Estimate(math.inf, max(0.0, found.looked_s - CALM_SECONDS), math.inf, found.looked_s)
    return Estimate(found.took_s, max(0.0, found.took_s - 1), found.took_s, found.looked_s)


def seconds_around(run: Run, recovery: Recovery, endpoints: tuple[str, ...]) -> pd.DataFrame:
    """From the calm before to well after it was calm again; index: second, columns: as of `_seconds`."""
    rows = run.intervals[run.intervals["endpoint"].isin(endpoints)]
    spans = run.manifest.phases
    before = next(span for span in spans if span.name == recovery.before)
    whole = before.model_copy(update={"end_s": run.measured_s})
    last_s = recovery.ended_s + (recovery.looked_s if recovery.took_s is None else recovery.took_s + 2 * CALM_SECONDS)
    return _seconds(run, rows, whole).loc[: int(last_s)]


def _seconds(run: Run, rows: pd.DataFrame, span: PhaseSpan) -> pd.DataFrame:
    """Each whole second of a phase that the run lived through: p95 in s (NaN without an `ok`), and counts and ratio."""
    seconds = range(math.ceil(span.start_s), math.floor(min(span.end_s, run.measured_s)))
    inside = rows[rows["second"].isin(seconds)]
    p95 = quantiles_over_time(replace(run, intervals=inside))[0.95].reindex(seconds)
    offered = inside[inside["series"].isin(["response", "dropped"])].groupby("second")["count"].sum()
    good = inside[inside["series"] == "good"].groupby("second")["count"].sum()
    table = p95.to_frame("p95")
    table["offered"] = offered.reindex(seconds, fill_value=0)
    table["good"] = good.reindex(seconds, fill_value=0)
    table["ratio"] = table["good"] / table["offered"].where(table["offered"] > 0)
    return table


def _ratio(seconds: pd.DataFrame) -> float:
    return float(seconds["good"].sum() / max(seconds["offered"].sum(), 1))


def _count(rows: pd.DataFrame, series: tuple[str, ...]) -> int:
    return int(rows.loc[rows["series"].isin(series), "count"].sum())
