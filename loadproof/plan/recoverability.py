"""Finds thresholds on recovery that a plan can't decide: no calm before the trigger, or too little time after it."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from loadproof.errors import Problem
from loadproof.plan.evidence import CALM_SECONDS, SECONDS_BEFORE
from loadproof.plan.faultspans import Incident, fault_spans, merged
from loadproof.plan.phases import calm_before, level, plan_phases

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from loadproof.plan.faultspans import FaultSpan
    from loadproof.plan.phases import PhaseSpan
    from loadproof.scenario.scenario import Scenario, Threshold

_Trouble = tuple[str, str, str]
"""What is wrong, the remedy, and the value found."""


_FEWEST: Final = 20
"""Requests needed in CALM_SECONDS; with fewer, several may fail, or be slow, by chance."""


def too_seldom(scenario: Scenario, threshold: Threshold, samples: float, *, where: str) -> Iterator[Problem]:
    """A problem if its phase has too few requests for ten seconds to tell good from half as good."""
    (phase,) = scenario.phases_of(threshold)
    duration_s = next(span.end_s - span.start_s for span in plan_phases(scenario) if span.name == phase)
    in_calm = samples / duration_s * CALM_SECONDS
    if round(in_calm, 6) < _FEWEST:
        what = f"{threshold.expect!r} can't be decided: {CALM_SECONDS} s as before need {_FEWEST} requests to show it"
        yield Problem(where, what, "plan more requests, or combine endpoints", got=f"{in_calm:.3g} expected")


def unrecoverable(scenario: Scenario, threshold: Threshold, *, where: str) -> Iterator[Problem]:
    """Problems with recovery from each fault in its phase, or if there is none, from the phase before."""
    spans = plan_phases(scenario)
    (phase,) = scenario.phases_of(threshold)
    place = next(number for number, span in enumerate(spans) if span.name == phase)
    faults = fault_spans(scenario.faults, spans)
    limit_s = threshold.expectation.limit
    if any(fault.fault.phase == phase for fault in faults):
        troubles = _after_faults(spans, place, faults, limit_s)
    else:
        troubles = _after_phase(spans, place, limit_s)
    for what, remedy, found in troubles:
        yield Problem(where, what, remedy, got=found)


def _after_phase(spans: Sequence[PhaseSpan], place: int, limit_s: float) -> Iterator[_Trouble]:
    span, needed_s = spans[place], limit_s + CALM_SECONDS
    if calm_before(spans, place) is None:
        what = "nothing to compare with: no measured phase at the same or a lower load before the overload"
        yield what, "plan a calm phase before the trigger", span.name
    elif (duration_s := span.end_s - span.start_s) < needed_s:
        remedy = f"make it last {needed_s:g} s: the limit, and {CALM_SECONDS} s as before"
        yield f"phase {span.name} is too short for it", remedy, f"{duration_s:g} s"


def _after_faults(
    spans: Sequence[PhaseSpan], place: int, faults: Sequence[FaultSpan], limit_s: float
) -> Iterator[_Trouble]:
    span, before = spans[place], spans[max(0, place - 1)]
    own = [fault for fault in faults if fault.fault.phase == span.name]
    if span.bursts_s:
        yield "recovery from a fault among bursts can't be decided", "aim it at a phase of steady load", span.name
    if level(before) > level(span):
        what = f"there are two things to recover from: the load of {before.name}, and {own[0].text}"
        yield what, "let the fault happen in a phase of its own", span.name
    for fault in faults:
        if fault not in own and fault.start_s < span.start_s < fault.end_s:
            yield f"{fault.text} of an earlier phase lasts into it", f"let it end before {span.name}", span.name
    yield from _around(span, merged(Incident(fault.text, fault.start_s, fault.end_s) for fault in own), limit_s)


def _around(span: PhaseSpan, faults: Sequence[Incident], limit_s: float) -> Iterator[_Trouble]:
    """Too few seconds before the first fault, or after any of them."""
    calm_s = faults[0].start_s - span.start_s - span.ramp_s
    if calm_s < SECONDS_BEFORE:
        remedy = f"let {faults[0].text} begin {SECONDS_BEFORE} s after the start of {span.name}, or after its ramp"
        yield "nothing to compare with before the fault", remedy, f"{calm_s:g} s"
    # A fault may end in the middle of a second, and only whole seconds are compared.
    needed_s = math.ceil(limit_s) + CALM_SECONDS + 1
    ends_s = [later.start_s for _, later in pairwise(faults)] + [span.end_s]
    for fault, end_s in zip(faults, ends_s, strict=True):
        if (left_s := end_s - fault.end_s) < needed_s:
            until = f"the end of {span.name}" if end_s == span.end_s else "the next fault"
            remedy = f"leave {needed_s:g} s: the limit, {CALM_SECONDS} s as before, and one in which it ends"
            yield f"too little time from the end of {fault.text} to {until}", remedy, f"{left_s:g} s"
