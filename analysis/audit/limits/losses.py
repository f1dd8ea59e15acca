"""Splits a limit's requests by who counted them: Redis, or each process by itself while it could not reach Redis.

Each stretch of the run is judged separately, as if its clients had been different before: a killed Redis has forgotten
them, a paused one has not, and each process begins with what it counted the last time. A request that may have been
decided on either side of an edge explains refusals on both sides, and breaks no quota.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import numpy as np
import pandas as pd

from loadproof.analysis.audit.limits.timeline import SINCE
from loadproof.analysis.frames.faults import faults_in
from loadproof.plan.faultspans import fault_spans
from loadproof.rundir.files import FALLBACKS
from loadproof.scenario.faults import Kill, Pause, Restart, Timeout

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from loadproof.analysis.frames.run import Run
    from loadproof.plan.faultspans import FaultSpan
    from loadproof.scenario.target.limits import DeclaredLimit

_EDGE_S: Final = 0.1
"""How far the times of events and requests may be off."""
_SAMPLED_S: Final = 2.0
"""A sample has the time when its answer had arrived; it may have been counted this much earlier."""
_BACK_S: Final = 3.0
"""Processes notice within this time that Redis is back; until then, some count there and some don't."""
_US: Final = 1e6


@dataclass(frozen=True)
class Loss:
    """A loss of Redis, in seconds of the run: Redis counts until `from_s`, and again from `back_s` on.

    From `gone_s` to `until_s` each process counts by itself; in between, either may count.
    """

    from_s: float
    gone_s: float
    until_s: float
    back_s: float
    is_planned: bool = True
    shared: Literal["redis", "process"] = "redis"
    """Which limits it affects: those counted in Redis, or in processes, whose counts a restart loses."""

    def joined(self, other: Loss) -> Loss:
        """One loss for two that overlap: it is only certain that Redis counts outside both."""
        from_s, back_s = min(self.from_s, other.from_s), max(self.back_s, other.back_s)
        is_planned = self.is_planned and other.is_planned
        return Loss(from_s, back_s, back_s, back_s, is_planned=is_planned, shared=self.shared)


class CounterShare(NamedTuple):
    """Requests of one name counted by the same counters, with the limit as those enforced it."""

    name: str
    rows: pd.DataFrame
    limit: DeclaredLimit


def losses_of(run: Run) -> list[Loss]:
    """Losses of Redis, and of what the target's processes had counted when they were killed or restarted."""
    return [*redis_losses(run), *_apart(_restarts(run))]


def _restarts(run: Run) -> Iterator[Loss]:
    for span, began_s, ended_s in _faults_of(run, "target"):
        if isinstance(span.fault, Kill | Restart):
            from_s, back_s = min(span.start_s, began_s) - _EDGE_S, ended_s + _EDGE_S
            yield Loss(from_s, back_s, back_s, back_s, is_planned=False, shared="process")


def redis_losses(run: Run) -> list[Loss]:
    """Losses in a run's events, and others that its target counted; in order, without overlaps."""
    planned = _apart(_planned(run))
    return _apart([*planned, *_unplanned(run, planned)])


def _apart(losses: Iterable[Loss]) -> list[Loss]:
    apart: list[Loss] = []
    for loss in sorted(losses, key=lambda loss: loss.from_s):
        overlaps = apart and loss.from_s < apart[-1].back_s
        apart.append(apart.pop().joined(loss) if overlaps else loss)
    return apart


def _planned(run: Run) -> Iterator[Loss]:
    for span, began_s, ended_s in _faults_of(run, "redis"):
        back_s = ended_s + _BACK_S
        gone_s = began_s + _EDGE_S if _takes_it_all(span) else back_s
        yield Loss(span.start_s - _EDGE_S, gone_s, max(span.end_s - _EDGE_S, gone_s), back_s)


def _faults_of(run: Run, of: str) -> Iterator[tuple[FaultSpan, float, float]]:
    """Faults that happened to `of`, with begin and end in s; the end is infinite if there was none."""
    spans = {span.number: span for span in fault_spans(run.manifest.scenario.faults, run.manifest.phases)}
    for happened in faults_in(run):
        span = spans.get(happened.number)
        if span is not None and span.fault.of == of and happened.began_s is not None:
            yield span, happened.began_s, math.inf if happened.ended_s is None else happened.ended_s


def _unplanned(run: Run, planned: list[Loss]) -> Iterator[Loss]:
    """Losses without a fault, as on a busy machine; not those that follow a fault, which are the target's own doing."""
    samples = run.target[run.target["metric"] == FALLBACKS].sort_values("time_s")
    times_s, values = [-math.inf, *samples["time_s"]], [0.0, *samples["value"]]
    blamed_s: float | None = None
    for at in range(1, len(values)):
        from_s, to_s = times_s[at - 1], times_s[at]
        # A restarted target counts from 0.
        if values[at] <= (values[at - 1] if values[at] >= values[at - 1] else 0):
            continue
        if from_s == blamed_s or any(loss.from_s < to_s and from_s < loss.back_s for loss in planned):
            blamed_s = to_s
        else:
            back_s = to_s + _BACK_S
            yield Loss(from_s - _SAMPLED_S - _EDGE_S, back_s, back_s, back_s, is_planned=False)


def _takes_it_all(span: FaultSpan) -> bool:
    """Whether nothing is counted in Redis meanwhile; a slow network may let some requests through."""
    fault = span.fault
    return isinstance(fault, Kill | Pause | Restart) or (isinstance(fault, Timeout) and fault.toxicity >= 1)


def counter_shares(
    name: str, rows: pd.DataFrame, limit: DeclaredLimit, losses: Sequence[Loss], processes: int
) -> Iterator[CounterShare]:
    """The requests counted by Redis, as declared; by each process alone; and by either of them, when unknown."""
    losses = [loss for loss in losses if loss.shared == limit.shared]
    if not losses:
        yield CounterShare(name, rows, limit)
        return
    edges = [-math.inf, *(edge for loss in losses for edge in (loss.from_s, loss.back_s)), math.inf]
    yield CounterShare(name, _within(rows, limit, list(zip(edges[::2], edges[1::2], strict=True))), limit)
    for kind, stretches, counters in (
        ("without Redis", [(loss.gone_s, loss.until_s) for loss in losses], processes),
        (
            "as Redis fails",
            [(loss.from_s, loss.back_s) for loss in losses if loss.is_planned and loss.gone_s >= loss.until_s],
            processes + 1,
        ),
    ):
        own = [(from_s, to_s) for from_s, to_s in stretches if from_s < to_s]
        if own:
            alone = {"shared": "process", "processes": counters, "retry_after": False}
            yield CounterShare(f"{name} {kind}", _within(rows, limit, own), limit.model_copy(update=alone))


def _within(rows: pd.DataFrame, limit: DeclaredLimit, stretches: Sequence[tuple[float, float]]) -> pd.DataFrame:
    """The rows of each stretch; rows that only may belong to it have status 0: unknown whether they count."""
    doubt = rows["doubt_us"].to_numpy(np.float64)
    sent = rows["sent_us"].to_numpy(np.float64) - doubt
    ended = np.where(rows["status"] == 0, np.inf, rows["ended_us"].to_numpy(np.float64) + doubt)
    parts: list[pd.DataFrame] = []
    for from_s, to_s in stretches:
        is_inside = (sent >= from_s * _US) & (ended < to_s * _US)
        may_be = ~is_inside & (sent < to_s * _US) & (ended >= from_s * _US)
        kept = is_inside | (may_be & (rows["status"] != limit.status).to_numpy())
        part = rows[kept].copy()
        part[SINCE] = 0 if math.isinf(from_s) else round(from_s * _US)
        part["status"] = np.where(may_be, 0, rows["status"])[kept]
        parts.append(part)
    return pd.concat(parts)
