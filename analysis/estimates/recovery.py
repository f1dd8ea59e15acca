"""Determines how soon a run was as before again: after a spike, or after any phase that hurt.

It has recovered at the first moment from which, for ten seconds in a row, the goodput ratio is at least 99 % of that
before the trigger, allowing for chance, and p95 is within what a second before could have had, or so close that nobody
notices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.analysis.estimates.distributions import binomial_quantile, t_quantile
from loadproof.analysis.estimates.estimate import Estimate
from loadproof.analysis.estimates.overtime import answered, quantiles_over_time
from loadproof.analysis.frames.cellsums import sums_by
from loadproof.plan.evidence import CALM_SECONDS
from loadproof.plan.phases import calm_before
from loadproof.units import Dimension, format_quantity

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from loadproof.analysis.estimates.scope import Scope
    from loadproof.analysis.frames.run import Run
    from loadproof.plan.phases import PhaseSpan
    from loadproof.scenario.expectation import Metric

GOODPUT_SHARE: Final = 0.99
"""As a share of the goodput ratio before the trigger."""
FALSE_ALARM: Final = 0.05
"""How often, at most, an undisturbed run is seen as not recovered at once; half by p95, half by goodput."""
_TAIL: Final = FALSE_ALARM / 2 / (CALM_SECONDS + 1)
"""For each of the seconds, and for all of them together."""
_UNNOTICED: Final = 0.01
"""As a fraction of the deadline: a p95 that is longer by less counts as recovered, however certain the difference."""
_FEWEST_SECONDS: Final = 5
"""Before the trigger, to know what a second can be like."""
FEWEST_GOOD: Final = 0.9
"""The lowest goodput ratio of a calm phase: being as bad as before is no recovery."""


@dataclass(frozen=True)
class Recovery:
    before: str
    trigger: str
    phase: str
    """The phase in which recovery was looked for: after the trigger, with the same load as before."""
    ended_s: float
    """When the trigger ended."""
    took_s: float | None
    """Seconds from the trigger's end to the first of the calm seconds; None if there were none in the time observed."""
    looked_s: int
    p95_bound_s: float
    """The highest p95 that a recovered second may have, in s."""
    drained_s: float | None
    """Seconds from the trigger's end until every request started in it had ended or been given up."""
    lost: int
    """Requests offered from the trigger's start until recovery that were not goodput."""
    was_hurt: bool
    """Most of the trigger's last seconds were worse than before."""


@dataclass(frozen=True)
class Calm:
    """What a second like those before the trigger can be like."""

    p95_bound_s: float
    ratio: float
    """The goodput ratio that a calm second reaches, apart from chance."""
    may_be_idle: bool
    """Nothing was offered in some seconds before, or arrivals are dealt by chance; False if users wait for answers."""

    @staticmethod
    def of(run: Run, before: PhaseSpan, seconds: pd.DataFrame) -> Calm | None:
        """None if there are too few seconds, or if the phase was not calm itself."""
        known = seconds["p95"].dropna()
        ratio = _goodput_ratio(seconds)
        if len(known) < _FEWEST_SECONDS or ratio < FEWEST_GOOD:
            return None
        unnoticed_s = float(known.median()) + _UNNOTICED * run.manifest.scenario.deadline
        return Calm(
            p95_bound_s=max(prediction_bound(known.to_numpy()), unnoticed_s),
            ratio=GOODPUT_SHARE * ratio,
            may_be_idle=before.rate_rps is not None or bool((seconds["offered"] == 0).any()),
        )

    def alike(self, seconds: pd.DataFrame) -> NDArray[np.bool_]:
        """Which of these seconds, individually, are like the calm ones."""
        idle = seconds["offered"] == 0
        fits = (seconds["p95"] <= self.p95_bound_s) & self._is_good(seconds["good"], seconds["offered"])
        return np.where(idle, self.may_be_idle, fits).astype(bool)

    def first_in(self, seconds: pd.DataFrame) -> int | None:
        """Where the first CALM_SECONDS in a row begin that are calm, individually and together.

        None if there are none.
        """
        if len(seconds) < CALM_SECONDS:
            return None
        rolled = seconds[["good", "offered"]].rolling(CALM_SECONDS).sum()[CALM_SECONDS - 1 :]
        each = np.lib.stride_tricks.sliding_window_view(self.alike(seconds), CALM_SECONDS).all(axis=1)
        found = np.flatnonzero(each & self._is_good(rolled["good"], rolled["offered"]))
        return int(found[0]) if found.size else None

    def _is_good(self, good: pd.Series, offered: pd.Series) -> NDArray[np.bool_]:
        """No fewer than chance explains."""
        fewest = binomial_quantile(_TAIL, offered.clip(lower=1), self.ratio)
        return np.asarray((good >= fewest) | (offered == 0))


def recovery_in(run: Run, phase: str, endpoints: tuple[str, ...]) -> Recovery | None:
    """How soon this phase was like the calm before; None if there is nothing to compare with."""
    spans = run.phases
    place = next(number for number, span in enumerate(spans) if span.name == phase)
    compared = calm_before(spans, place)
    if compared is None:
        return None
    before, after = spans[compared], spans[place]
    rows = run.intervals[run.intervals["endpoint"].isin(endpoints)]
    was, became = _seconds(run, rows, before), _seconds(run, rows, after)
    calm = Calm.of(run, before, was)
    if calm is None or len(became) < CALM_SECONDS:
        return None
    first = calm.first_in(became)
    end_s = after.start_s + (first if first is not None else len(became))
    last_of_trigger = _seconds(run, rows, spans[place - 1]).tail(CALM_SECONDS)
    return Recovery(
        before=before.name,
        trigger=" … ".join(dict.fromkeys((spans[compared + 1].name, spans[place - 1].name))),
        phase=phase,
        ended_s=after.start_s,
        took_s=None if first is None else float(first),
        looked_s=len(became),
        p95_bound_s=calm.p95_bound_s,
        drained_s=_drained_s(run, spans[compared + 1 : place], endpoints),
        lost=_lost(rows[rows["second"].between(before.end_s, end_s - 1)]),
        was_hurt=2 * int(calm.alike(last_of_trigger).sum()) < len(last_of_trigger),
    )


def unrest_before(run: Run, phase: str, endpoints: tuple[str, ...]) -> str | None:
    """Why the phase that this one is compared with can't show a recovery although it was measured; None if it can."""
    spans = run.phases
    place = next(number for number, span in enumerate(spans) if span.name == phase)
    compared = calm_before(spans, place)
    if compared is None:
        return None
    seconds = _seconds(run, run.intervals[run.intervals["endpoint"].isin(endpoints)], spans[compared])
    ratio = _goodput_ratio(seconds)
    if not seconds["offered"].sum() or ratio >= FEWEST_GOOD:
        return None
    return f"{spans[compared].name} before it was not calm (goodput ratio {format_quantity(ratio, Dimension.RATIO)})"


def _goodput_ratio(seconds: pd.DataFrame) -> float:
    return float(seconds["good"].sum() / max(seconds["offered"].sum(), 1))


def _lost(rows: pd.DataFrame) -> int:
    """Offered, but not goodput."""
    sums = sums_by(rows, "series")
    return int(sums.get("response", 0) + sums.get("dropped", 0) - sums.get("good", 0))


def _drained_s(run: Run, triggers: Sequence[PhaseSpan], endpoints: tuple[str, ...]) -> float | None:
    """To the nearest second, from the answers' own seconds."""
    names = [span.name for span in triggers]
    rows = run.intervals[run.intervals["phase"].isin(names) & run.intervals["endpoint"].isin(endpoints)]
    ended = rows.loc[rows["series"] == "completed", "second"]
    return None if ended.empty else max(0.0, float(ended.max()) + 1 - triggers[-1].end_s)


def prediction_bound(values: NDArray[np.float64]) -> float:
    """What the largest of CALM_SECONDS more values will exceed with a probability of at most FALSE_ALARM / 2.

    For log-normal values, by Bonferroni; at least the largest value observed.
    Source: Hahn & Meeker, Statistical Intervals, section 4.8 (prediction bound for m future observations).
    """
    logs = np.log(values)
    n = logs.size
    t = t_quantile(1 - FALSE_ALARM / 2 / CALM_SECONDS, n - 1)
    bound = float(np.exp(logs.mean() + t * logs.std(ddof=1) * math.sqrt(1 + 1 / n)))
    return max(bound, float(values.max()))


def recovery_estimate(_: Metric, run: Run, scope: Scope) -> Estimate | None:
    """How long it took in s, to the second; infinite, with the observed time as lower bound, if it never recovered."""
    recovery = recovery_in(run, scope.phases[0], scope.endpoints)
    if recovery is None:
        return None
    if recovery.took_s is None:
        fewest_s = max(0.0, recovery.looked_s - CALM_SECONDS)
        return Estimate(math.inf, fewest_s, math.inf, recovery.looked_s, confidence=1.0)
    return Estimate(recovery.took_s, max(0.0, recovery.took_s - 1), recovery.took_s, recovery.looked_s, confidence=1.0)


def seconds_around(run: Run, recovery: Recovery, endpoints: tuple[str, ...]) -> pd.DataFrame:
    """From the calm before to well after recovery; index: second, columns: those of `_seconds`."""
    rows = run.intervals[run.intervals["endpoint"].isin(endpoints)]
    spans = run.phases
    before = next(span for span in spans if span.name == recovery.before)
    whole = before.model_copy(update={"end_s": run.measured_s})
    last_s = recovery.ended_s + (recovery.looked_s if recovery.took_s is None else recovery.took_s + 2 * CALM_SECONDS)
    return _seconds(run, rows, whole).loc[: int(last_s)]


def _seconds(run: Run, rows: pd.DataFrame, span: PhaseSpan) -> pd.DataFrame:
    """Each whole second of a phase that the run lived through: p95 in s (NaN without an `ok`), counts and ratio."""
    seconds = range(math.ceil(span.start_s), math.floor(min(span.end_s, run.measured_s)))
    inside = rows[rows["second"].isin(seconds)]
    p95 = quantiles_over_time(answered(inside))[0.95].reindex(seconds)
    offered = inside[inside["series"].isin(["response", "dropped"])].groupby("second")["count"].sum()
    good = inside[inside["series"] == "good"].groupby("second")["count"].sum()
    table = p95.to_frame("p95")
    table["offered"] = offered.reindex(seconds, fill_value=0)
    table["good"] = good.reindex(seconds, fill_value=0)
    table["ratio"] = table["good"] / table["offered"].where(table["offered"] > 0)
    return table
