"""Scenario to phases, and what they ask of users and of whole runs; pure, and the same on every machine."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from loadproof.rundir.files import PhaseSpan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loadproof.scenario.scenario import Scenario


def plan_phases(scenario: Scenario) -> list[PhaseSpan]:
    """The phases one after the other, in seconds from the run's start; bursts in the middle of their intervals."""
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
    """The last measured phase of at most the same load ahead of this one, with another in between; None: no such."""
    for number in range(place - 2, -1, -1):
        if not spans[number].warm_up and level(spans[number]) <= level(spans[place]):
            return number
    return None


def level(span: PhaseSpan) -> float:
    """Its arrivals per second, or its users."""
    return float(span.rate_rps or span.users or 0)


def phase_at(spans: Sequence[PhaseSpan], time_s: float) -> PhaseSpan:
    """The phase of an intended start; the first and the last one reach beyond their ends."""
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


class Due(NamedTuple):
    """When a closed-model user sends next, and in which burst (from 1), `late` if it was busy at its instant."""

    at_s: float
    burst: int | None = None
    late: bool = False


NEVER: Final = Due(math.inf)


def next_due(spans: Sequence[PhaseSpan], *, previous_s: float, now_s: float, every_s: float, offset_s: float) -> Due:
    """When a user who last was due at `previous_s` and is free at `now_s` sends next.

    At most once in `every_s`; once at each burst, late if busy until then; not between bursts. After
    a phase of bursts users go on at their own `offset_s`, so that they don't stay in step.
    """
    due_s = max(previous_s + every_s, now_s)
    number = 0
    for span in spans:
        first, number = number, number + len(span.bursts_s)
        if not span.bursts_s or now_s >= span.end_s or due_s < span.start_s:
            continue
        ahead = [index for index, at_s in enumerate(span.bursts_s) if at_s > previous_s]
        if ahead:
            reached = [index for index in ahead if span.bursts_s[index] <= now_s]
            index = reached[-1] if reached else ahead[0]
            return Due(max(span.bursts_s[index], now_s), burst=first + index + 1, late=bool(reached))
        due_s = max(due_s, span.end_s + offset_s)
    return Due(due_s) if due_s < spans[-1].end_s else NEVER


def expected_arrivals(span: PhaseSpan, level_rps: float) -> float:
    """The area under a phase's rate: a ramp from the level before, then flat."""
    rate_rps = span.rate_rps or 0.0
    return rate_rps * (span.end_s - span.start_s) - (rate_rps - level_rps) * span.ramp_s / 2


def apportion(total: int, shares: Mapping[str, float]) -> dict[str, int]:
    """`total` split by shares into whole numbers that add up to it, by largest remainder."""
    exact = {name: total * share for name, share in shares.items()}
    counts = {name: int(value) for name, value in exact.items()}
    left = total - sum(counts.values())
    for name in sorted(exact, key=lambda name: counts[name] - exact[name])[:left]:
        counts[name] += 1
    return counts


def allot(counts: Mapping[str, int], worker_ids: Sequence[str]) -> dict[str, dict[str, int]]:
    """Users per worker and class; worker k of W gets numbers k, k + W, k + 2 W, … of each class."""
    workers = len(worker_ids)
    return {
        worker: {name: (count - rank + workers - 1) // workers for name, count in counts.items()}
        for rank, worker in enumerate(worker_ids)
    }


def expected_requests(scenario: Scenario, spans: Sequence[PhaseSpan]) -> dict[tuple[str, str], float]:
    """Requests to expect per (phase, endpoint) from a target that answers at once."""
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
            expected[span.name, name] = count
        level = span.rate_rps or 0.0
    return expected
