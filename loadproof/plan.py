"""Scenario and seed to phases and intended start times; pure, and the same on every machine."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from loadproof.rundir import PhaseSpan

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from loadproof.scenario import Scenario

_PERIODS_S: Final = {"s": 1.0, "min": 60.0, "h": 3600.0}
_OFFSETS: Final = (0.0, 0.25, 0.5, 0.75, 0.999)


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


@dataclass(frozen=True)
class Arrivals:
    """Intended starts of the open model in order: times in s, endpoint numbers and client numbers, shape (n,)."""

    endpoints: tuple[str, ...]
    time_s: NDArray[np.float64]
    endpoint: NDArray[np.int64]
    client: NDArray[np.int64]


def plan_arrivals(scenario: Scenario, spans: Sequence[PhaseSpan], seed: int) -> Arrivals:
    """All arrivals, with the exact planned count per phase and endpoint, so that two runs compare.

    Given its count, a Poisson process is as many independent uniform times. Each endpoint's arrivals go
    to the clients in turn, which keeps each client's rate as even as the arrivals are.
    Source: Ross, Introduction to Probability Models, conditional distribution of the arrival times.
    """
    random = np.random.default_rng(seed)
    endpoints = tuple(scenario.mix)
    times: list[list[NDArray[np.float64]]] = [[] for _ in endpoints]
    level = 0.0
    for span in spans:
        total = _expected_arrivals(span, level)
        counts = apportion(round(total), {name: mix.share for name, mix in scenario.mix.items()})
        for number, name in enumerate(endpoints):
            if scenario.arrivals == "poisson":
                fractions = np.sort(random.random(counts[name]))
            else:
                fractions = (np.arange(counts[name]) + random.random()) / max(counts[name], 1)
            times[number].append(_times_at(span, level, fractions))
        level = span.rate_rps or 0.0
    return _merged(endpoints, [np.concatenate(parts) for parts in times], scenario.client_total)


def _merged(endpoints: tuple[str, ...], times: list[NDArray[np.float64]], clients: int) -> Arrivals:
    time_s = np.concatenate(times)
    endpoint = np.repeat(np.arange(len(times)), [part.size for part in times])
    # Endpoints begin their turns at different clients, or client 0 would get the first of each.
    client = np.concatenate(
        [(np.arange(part.size) + number * clients // len(times)) % clients for number, part in enumerate(times)]
    )
    order = np.argsort(time_s, kind="stable")
    return Arrivals(endpoints, time_s[order], endpoint[order], client[order])


def _expected_arrivals(span: PhaseSpan, level_rps: float) -> float:
    """The area under the rate: a ramp from the level before, then flat."""
    rate_rps = span.rate_rps or 0.0
    return rate_rps * (span.end_s - span.start_s) - (rate_rps - level_rps) * span.ramp_s / 2


def _times_at(span: PhaseSpan, level_rps: float, fractions: NDArray[np.float64]) -> NDArray[np.float64]:
    """The times by which these fractions (0-1) of the phase's arrivals have come."""
    rate_rps = span.rate_rps or 0.0
    area = fractions * _expected_arrivals(span, level_rps)
    on_ramp = (level_rps + rate_rps) * span.ramp_s / 2
    flat = span.start_s + span.ramp_s + (area - on_ramp) / rate_rps
    slope = (rate_rps - level_rps) / span.ramp_s if span.ramp_s else 0.0
    if slope == 0.0:
        return span.start_s + area / rate_rps
    speed = np.sqrt(np.maximum(level_rps**2 + 2 * slope * area, 0.0))
    return np.where(area < on_ramp, span.start_s + (speed - level_rps) / slope, flat)


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
                count = _expected_arrivals(span, level) * mix.share
            elif span.bursts_s:
                count = float(users[name] * len(span.bursts_s))
            else:
                count = users[name] * (span.end_s - span.start_s) / (mix.every or math.inf)
            expected[span.name, name] = count
        level = span.rate_rps or 0.0
    return expected


@dataclass(frozen=True)
class Excess:
    """A client that the plan lets exceed a declared limit; `sent` requests in the limit's period."""

    endpoint: str
    limit: str
    sent: int


def exceeded_limits(
    scenario: Scenario, spans: Sequence[PhaseSpan], limits: Mapping[str, str], seed: int
) -> list[Excess]:
    """The declared limits ('60/min') that a client of this plan would exceed, each with its worst window.

    One shared address makes one client of all.
    """
    excesses = []
    sends = _sends_per_client(scenario, spans, seed)
    for endpoint, limit in limits.items():
        allowed_text, _, period = limit.partition("/")
        allowed, period_s = int(allowed_text), _PERIODS_S[period]
        worst = max((_busiest(times, period_s) for times in sends.get(endpoint, ())), default=0)
        if worst > allowed:
            excesses.append(Excess(endpoint, limit, worst))
    return excesses


def _busiest(times: NDArray[np.float64], period_s: float) -> int:
    """The most of these sorted times in any window [t, t + period)."""
    if times.size == 0:
        return 0
    return int((np.searchsorted(times, times + period_s, side="left") - np.arange(times.size)).max())


def _sends_per_client(
    scenario: Scenario, spans: Sequence[PhaseSpan], seed: int
) -> dict[str, list[NDArray[np.float64]]]:
    """Sorted send times of each client per endpoint, or in the closed model of clients that stand for all."""
    shared = scenario.clients == "shared"
    if scenario.model == "open":
        arrivals = plan_arrivals(scenario, spans, seed)
        client = np.zeros_like(arrivals.client) if shared else arrivals.client
        return {
            name: _by_client(arrivals.time_s[arrivals.endpoint == number], client[arrivals.endpoint == number])
            for number, name in enumerate(arrivals.endpoints)
        }
    sends = {
        name: [_paced_sends(spans, mix.every or math.inf, offset) for offset in _OFFSETS]
        for name, mix in scenario.mix.items()
    }
    if not shared:
        return sends
    users = apportion(scenario.client_total, {name: mix.share for name, mix in scenario.mix.items()})
    return {name: [np.sort(np.tile(times[0], max(users[name], 1)))] for name, times in sends.items()}


def _by_client(time_s: NDArray[np.float64], client: NDArray[np.int64]) -> list[NDArray[np.float64]]:
    order = np.argsort(client, kind="stable")
    return np.split(time_s[order], np.flatnonzero(np.diff(client[order])) + 1)


def _paced_sends(spans: Iterable[PhaseSpan], every_s: float, offset: float) -> NDArray[np.float64]:
    """What a closed-model user sends at most; `offset` (0-1) is the part of its pace that it starts with."""
    parts = [
        np.array(span.bursts_s) if span.bursts_s else np.arange(span.start_s + offset * every_s, span.end_s, every_s)
        for span in spans
    ]
    return np.concatenate(parts)
