"""Determines how soon a run recovered after a spike, or after any phase that hurt.

It has recovered at the first moment from which, for ten seconds in a row, the goodput ratio is at least 99 % of the one
before the trigger, allowing for chance, and p95 is within the range of the seconds before, or so close that nobody
notices. Recovery from a fault within a phase is in loadproof.analysis.estimates.faultrecovery.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from loadproof.analysis.estimates.calm import FEWEST_GOOD, Calm, goodput_ratio, seconds_between
from loadproof.analysis.estimates.scope import Scope, in_scope
from loadproof.analysis.frames.cellsums import among, series_counts
from loadproof.plan.evidence import CALM_SECONDS
from loadproof.plan.phases import calm_before
from loadproof.rundir.rows import RETRIED
from loadproof.units import Dimension, format_quantity

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from loadproof.analysis.frames.run import Run
    from loadproof.plan.phases import PhaseSpan

_UNTOUCHED: Final = 0.005
"""A smaller share of retries isn't worth mentioning."""


@dataclass(frozen=True)
class Aftermath:
    """The last CALM_SECONDS searched for a recovery, if there was none."""

    goodput_before_rps: float
    goodput_rps: float
    retried_ratio: float
    """Share of the requests sent that were retries."""

    def __str__(self) -> str:
        before, now = (format_quantity(rps, Dimension.RATE) for rps in (self.goodput_before_rps, self.goodput_rps))
        text = f"goodput was {before} before, and is {now} now that the trigger is gone"
        if self.retried_ratio < _UNTOUCHED:
            return text
        return f"{text}; {format_quantity(self.retried_ratio, Dimension.RATIO)} of the requests sent are retries"

    @staticmethod
    def of(rows: pd.DataFrame, before: pd.DataFrame, after: pd.DataFrame) -> Aftermath:
        """`rows` are a run's intervals, the others tables of `seconds_between`."""
        end = after.tail(CALM_SECONDS)
        sums = series_counts(rows[rows["second"].isin(end.index)])
        return Aftermath(
            goodput_before_rps=float(before["good"].mean()),
            goodput_rps=float(end["good"].mean()),
            retried_ratio=float(sums.get(RETRIED, 0) / max(sums.get("response", 0), 1)),
        )


@dataclass(frozen=True)
class Recovery:
    before: str
    """The phase compared with; the same as `phase` if the trigger was a fault within it."""
    trigger: str
    phase: str
    """The phase in which recovery was looked for: after the trigger, with the same load as before."""
    began_s: float
    """When the trigger began."""
    ended_s: float
    """When the trigger ended."""
    took_s: float | None
    """Seconds from the trigger's end to the first of the calm seconds; None if there were none in `looked_s`."""
    looked_s: int
    p95_bound_s: float
    """The highest p95 that a recovered second may have, in s."""
    drained_s: float | None
    """Seconds from the trigger's end until every request started in it had ended or been given up."""
    lost: int
    """Requests offered from the trigger's start until recovery that did not become goodput."""
    was_hurt: bool
    """Most of the trigger's last seconds were worse than before."""
    aftermath: Aftermath | None = None
    """None if it recovered."""


def recovery_in(run: Run, phase: str, endpoints: tuple[str, ...]) -> Recovery | None:
    """How soon this phase was as calm as before the trigger.

    None if there is nothing to compare with, or the phase is shorter than CALM_SECONDS.
    """
    spans = run.phases
    place = next(number for number, span in enumerate(spans) if span.name == phase)
    compared = calm_before(spans, place)
    if compared is None:
        return None
    before, after = spans[compared], spans[place]
    rows = run.intervals[among(run.intervals["endpoint"], endpoints)]
    was, became = _seconds(run, rows, before), _seconds(run, rows, after)
    calm = Calm.of(was, deadline_s=run.deadline_of(endpoints), may_be_idle=before.rate_rps is not None)
    if calm is None or len(became) < CALM_SECONDS:
        return None
    first = calm.first_in(became)
    end_s = int(became.index[-1]) + 1 if first is None else int(became.index[first])
    last_of_trigger = _seconds(run, rows, spans[place - 1]).tail(CALM_SECONDS)
    return Recovery(
        before=before.name,
        trigger=" … ".join(dict.fromkeys((spans[compared + 1].name, spans[place - 1].name))),
        phase=phase,
        began_s=before.end_s,
        ended_s=after.start_s,
        # Only whole seconds are compared, and the phase may begin within one.
        took_s=None if first is None else end_s - after.start_s,
        looked_s=len(became),
        p95_bound_s=calm.p95_bound_s,
        drained_s=_drained_s(run, spans[compared + 1 : place], endpoints),
        lost=lost_in(rows, before.end_s, end_s),
        was_hurt=2 * int(calm.alike(last_of_trigger).sum()) < len(last_of_trigger),
        aftermath=Aftermath.of(rows, was, became) if first is None else None,
    )


def unrest_before(run: Run, phase: str, endpoints: tuple[str, ...]) -> str | None:
    """Why the phase compared with, though measured, can't show a recovery: it was not calm; otherwise None."""
    spans = run.phases
    place = next(number for number, span in enumerate(spans) if span.name == phase)
    compared = calm_before(spans, place)
    if compared is None:
        return None
    rows = run.intervals[among(run.intervals["endpoint"], endpoints)]
    return unrest_in(_seconds(run, rows, spans[compared]), f"{spans[compared].name} before it")


def unrest_in(seconds: pd.DataFrame, what: str) -> str | None:
    """A clause if these seconds were measured but not calm; None if they were calm, or empty."""
    ratio = goodput_ratio(seconds)
    if not seconds["offered"].sum() or ratio >= FEWEST_GOOD:
        return None
    return f"{what} was not calm (goodput ratio {format_quantity(ratio, Dimension.RATIO)})"


def lost_in(rows: pd.DataFrame, start_s: float, end_s: float) -> int:
    """How many requests offered from `start_s` until before `end_s` did not become goodput."""
    sums = series_counts(rows[rows["second"].between(start_s, end_s - 1)])
    return int(sums.get("response", 0) + sums.get("dropped", 0) - sums.get("good", 0))


def _drained_s(run: Run, triggers: Sequence[PhaseSpan], endpoints: tuple[str, ...]) -> float | None:
    """See `Recovery.drained_s`; to the second in which the last answer arrived."""
    names = [span.name for span in triggers]
    rows = in_scope(run.intervals, Scope(tuple(names), endpoints))
    ended = rows.loc[among(rows["series"], ("completed",)), "second"]
    return None if ended.empty else max(0.0, float(ended.max()) + 1 - triggers[-1].end_s)


def seconds_around(run: Run, recovery: Recovery, endpoints: tuple[str, ...]) -> pd.DataFrame:
    """The table of `seconds_between`, from the calm before the trigger to well after recovery."""
    rows = run.intervals[among(run.intervals["endpoint"], endpoints)]
    before = next(span for span in run.phases if span.name == recovery.before)
    last_s = recovery.ended_s + (recovery.looked_s if recovery.took_s is None else recovery.took_s + 2 * CALM_SECONDS)
    return seconds_between(run, rows, before.start_s, run.measured_s).loc[: int(last_s)]


def _seconds(run: Run, rows: pd.DataFrame, span: PhaseSpan) -> pd.DataFrame:
    return seconds_between(run, rows, span.start_s, span.end_s)
