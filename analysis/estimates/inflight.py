"""Derives from a run's service times how many requests were in flight."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from loadproof.histogram import MIDPOINT_US

if TYPE_CHECKING:
    from loadproof.analysis.frames.run import Run
    from loadproof.plan.phases import PhaseSpan


def in_flight(run: Run, span: PhaseSpan, flat: range) -> float:
    """The mean number of requests in flight during these seconds, whatever their phase.

    By Little's law, counting only the part of each service time within these seconds: in a growing queue, full service
    times would add up to more requests than there were users.
    """
    rows = run.intervals[(run.intervals["series"] == "service") & (run.intervals["second"] < flat.stop)]
    began_s = rows["second"].to_numpy() + 0.5
    ended_s = np.minimum(began_s + MIDPOINT_US[rows["bucket"]] * 1e-6, flat.stop)
    inside_s = np.maximum(ended_s - np.maximum(began_s, flat.start), 0)
    # A second's requests begin throughout it, not all at its middle.
    return min(float((inside_s * rows["count"]).sum()) / len(flat), _most_in_flight(run, span))


def _most_in_flight(run: Run, span: PhaseSpan) -> float:
    if span.users is None:
        return float(run.manifest.scenario.max_in_flight)
    return float(max(other.users or 0 for other in run.phases))
