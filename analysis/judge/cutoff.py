"""What the end of a run or of a phase cuts off: load that was never sent, and answers still on their way."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from loadproof.analysis.estimates.metrics import counted_in, rows_read
from loadproof.analysis.estimates.scope import answered_in_time, rows_of
from loadproof.analysis.frames.traffic import PlainTraffic
from loadproof.scenario.thresholds.metrics import OFFERED
from loadproof.units import Dimension

if TYPE_CHECKING:
    from loadproof.analysis.estimates.scope import Scope
    from loadproof.analysis.frames.run import Run
    from loadproof.scenario.thresholds.expectation import Expectation

CUT_SHORT: Final = frozenset({"interrupted", "terminated", "aborted", "running"})
"""Endings after which few requests, or none, are to be expected, and that are not the target's fault."""


def lacks_load(run: Run, expectation: Expectation, scope: Scope) -> bool:
    """Whether a run was cut off before a total was known: the rate of one phase of constant load soon is."""
    read = [span for span in run.phases if span.name in scope.phases]
    if run.manifest.ending not in CUT_SHORT or run.measured_s >= max(span.end_s for span in read):
        return False
    is_even = len(read) == 1 and not read[0].ramp_s and not read[0].bursts_s
    return not (is_even and expectation.metric.dimension is Dimension.RATE)


def without_answers_to_come(run: Run, expectation: Expectation, scope: Scope) -> PlainTraffic | None:
    """A rate's requests, each in the second in which it was due, without those whose answers may have been to come.

    A run that is cut off loses its last answers. `throughput` counts answers where they arrive: the first ones of a
    phase, or of a window, come after its first requests, and as many after its end. None if nothing of this concerns
    the metric.
    """
    is_by_arrival, was_cut = expectation.metric.kind.is_by_arrival, run.manifest.ending in CUT_SHORT
    if expectation.metric.dimension is not Dimension.RATE or not (was_cut or is_by_arrival):
        return None
    rows, until_s = rows_read(expectation.metric, run.intervals, scope), run.measured_s
    if is_by_arrival:
        rows = answered_in_time(rows_of(run, scope), run.deadline_of(scope.endpoints))
    if was_cut:
        until_s = _answered_until_s(run, scope)
        rows = rows[rows["second"] < until_s]
    return PlainTraffic(
        phases=tuple(run.phases),
        endpoints=run.endpoints,
        start_unix_s=run.start_unix_s,
        measured_s=until_s,
        intervals=rows,
        events=run.events,
    )


def _answered_until_s(run: Run, scope: Scope) -> int:
    """Up to which second all requests have ended, as far as can be told: until fewer have than in seconds before.

    Answers are only to come to the last requests: to those that are not yet beyond their deadline.
    """
    end_s = math.floor(run.measured_s)
    from_s = max(0, math.floor(run.measured_s - run.deadline_of(scope.endpoints)))
    ended = counted_in(rows_of(run, scope), OFFERED).groupby("second")["count"].sum()
    before = ended[ended.index < from_s]
    if before.empty:
        return from_s
    # At a few requests per second none at all is the only sign.
    least = max(1.0, before.mean() - 3 * math.sqrt(before.mean()))
    return next((second for second in range(from_s, end_s) if ended.get(second, 0) < least), end_s)
