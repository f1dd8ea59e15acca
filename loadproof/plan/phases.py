"""Turns a scenario into phases, and phases into what they ask of users and of whole runs.

Pure, the same on every machine.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from typing import TYPE_CHECKING, Final

from pydantic import Field

from loadproof.plan.shares import apportion
from loadproof.scenario.strict import Strict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from loadproof.scenario.scenario import Scenario


MADE_AHEAD_S: Final = 0.5
"""How early users are created: it takes time, and workers have to hear about them."""


class PhaseSpan(Strict):
    """A phase as it was planned, in seconds from the run's start."""

    name: str
    start_s: float
    end_s: float
    warm_up: bool
    users: int | None
    rate_rps: float | None
    ramp_s: float = 0.0
    bursts_s: list[float] = Field(default_factory=list)


def plan_phases(scenario: Scenario) -> list[PhaseSpan]:
    """The phases in order, in seconds from the run's start; bursts are in the middle of their intervals."""
    spans: list[PhaseSpan] = []
    start_s = 0.0
    for phase in scenario.phases:
        bursts = []
        if phase.burst is not None:
            bursts = [start_s + phase.burst.every * (number + 0.5) for number in range(phase.burst.times)]
        end_s = start_s + phase.duration_s
        spans.append(
            PhaseSpan(
                name=phase.name,
                start_s=start_s,
                end_s=end_s,
                warm_up=phase.warm_up,
                users=phase.users,
                rate_rps=phase.rate,
                ramp_s=phase.ramp or 0.0,
                bursts_s=bursts,
            )
        )
        start_s = end_s
    return spans


def calm_before(spans: Sequence[PhaseSpan], place: int) -> int | None:
    """The last measured phase before this one with at most the same load and another phase in between.

    None if there is none.
    """
    for number in range(place - 2, -1, -1):
        if not spans[number].warm_up and level(spans[number]) <= level(spans[place]):
            return number
    return None


def level(span: PhaseSpan) -> float:
    """Its arrivals per second, or its number of users."""
    return float(span.rate_rps or span.users or 0)


def phase_at(spans: Sequence[PhaseSpan], time_s: float) -> PhaseSpan:
    """The phase of an intended start; the first and last phases extend beyond their ends."""
    return next((span for span in spans if time_s < span.end_s), spans[-1])


def users_at(spans: Sequence[PhaseSpan], time_s: float) -> int:
    """Concurrent users that the closed model wants at this time, ramps included."""
    before = 0
    for span in spans:
        users = span.users or 0
        if time_s < span.end_s:
            progress = min(1.0, max(0.0, time_s - span.start_s) / span.ramp_s) if span.ramp_s else 1.0
            return round(before + (users - before) * progress)
        before = users
    return before


def users_asked_at(spans: Sequence[PhaseSpan], time_s: float) -> int:
    """Users that the generator is asked to run.

    A ramp goes in one-second steps, each as high as the ramp at its middle.
    """
    span = phase_at(spans, time_s)
    ramp_end_s = span.start_s + span.ramp_s
    if time_s >= ramp_end_s:
        return users_at(spans, time_s)
    step_s = math.floor(time_s)
    return users_at(spans, (max(step_s, span.start_s) + min(step_s + 1, ramp_end_s)) / 2)


def seconds_of(span: PhaseSpan) -> Iterator[tuple[int, float]]:
    """Each second of the run that overlaps the phase, and for how long, in s."""
    for second in range(math.floor(span.start_s), math.ceil(span.end_s)):
        yield second, min(second + 1, span.end_s) - max(second, span.start_s)


def users_made_at(spans: Sequence[PhaseSpan], time_s: float) -> int:
    """Users that exist: those for a higher step are created ahead of it, and wait for it."""
    return max(users_asked_at(spans, time_s), users_asked_at(spans, time_s + MADE_AHEAD_S))


def steps_of(spans: Sequence[PhaseSpan]) -> list[float]:
    """When `users_asked_at` may change, and the end."""
    moments = {spans[-1].end_s}
    for span in spans:
        ramp_end_s = span.start_s + span.ramp_s
        moments |= {span.start_s, ramp_end_s, *map(float, range(math.ceil(span.start_s), math.ceil(ramp_end_s)))}
    return sorted(moments)


def changes_of(spans: Sequence[PhaseSpan]) -> list[float]:
    """When `users_made_at` changes, and the end."""
    steps = steps_of(spans)
    moments = sorted({*steps, *(step - MADE_AHEAD_S for step in steps)})
    return [at_s for at_s in moments if users_made_at(spans, at_s) != users_made_at(spans, at_s - 1e-6)] + steps[-1:]


def falls_of(spans: Sequence[PhaseSpan]) -> list[float]:
    """When `users_made_at` falls, in s."""
    moments = steps_of(spans)[:-1]
    return [at_s for at_s in moments if users_made_at(spans, at_s) < users_made_at(spans, at_s - 1e-6)]


def step_ahead(spans: Sequence[PhaseSpan], steps: Sequence[float], time_s: float) -> float:
    """The step, in s, that a user created now is for: the next higher one within MADE_AHEAD_S, otherwise now."""
    now = users_asked_at(spans, time_s)
    ahead = itertools.takewhile(lambda step: step <= time_s + MADE_AHEAD_S, steps[bisect_right(steps, time_s) :])
    return next((step for step in ahead if users_asked_at(spans, step) > now), time_s)


def expected_arrivals(span: PhaseSpan, level_rps: float) -> float:
    """The area under a phase's rate: a ramp from the level before, then flat."""
    rate_rps = span.rate_rps or 0.0
    return rate_rps * (span.end_s - span.start_s) - (rate_rps - level_rps) * span.ramp_s / 2


def most_requests_within(scenario: Scenario, spans: Sequence[PhaseSpan], window_s: float) -> float:
    """The most requests to expect in a window of this many seconds, each phase at its highest rate; never too few."""
    expected = expected_requests(scenario, spans)
    rates = []
    for span in spans:
        requests = sum(count for (phase, _), count in expected.items() if phase == span.name)
        rates.append(max(requests / (span.end_s - span.start_s), span.rate_rps or 0.0))

    def within(begin_s: float) -> float:
        overlaps_s = [min(span.end_s, begin_s + window_s) - max(span.start_s, begin_s) for span in spans]
        return sum(rate * max(0.0, overlap_s) for rate, overlap_s in zip(rates, overlaps_s, strict=True))

    # The maximum is where the window begins or ends with a phase.
    return max(within(begin_s) for span in spans for begin_s in (span.start_s, span.end_s - window_s))


def expected_requests(scenario: Scenario, spans: Sequence[PhaseSpan]) -> dict[tuple[str, str], float]:
    """Requests to expect per (phase, endpoint) from a target that answers immediately, each once in a journey."""
    expected: dict[tuple[str, str], float] = {}
    level = 0.0
    for span in spans:
        users = apportion(span.users or 0, {name: mix.share for name, mix in scenario.mix.items()})
        for name, mix in scenario.mix.items():
            if scenario.model == "open":
                count = expected_arrivals(span, level) * mix.share
            elif span.bursts_s:
                count = float(users[name] * len(span.bursts_s))
            else:
                count = users[name] * (span.end_s - span.start_s) / (mix.every or math.inf)
            for endpoint in scenario.requests_of(name):
                expected[span.name, endpoint] = expected.get((span.name, endpoint), 0.0) + count
        level = span.rate_rps or 0.0
    return expected


def peak_rps(scenario: Scenario) -> float:
    """Requests per second to expect in the busiest phase, on average over it."""
    spans = plan_phases(scenario)
    expected = expected_requests(scenario, spans)
    in_phase = {span.name: sum(n for (phase, _), n in expected.items() if phase == span.name) for span in spans}
    return max(in_phase[span.name] / (span.end_s - span.start_s) for span in spans)
