"""Finds the declared limits that a client of a plan would exceed; pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.plan.arrivals import ArrivalPlan
from loadproof.plan.clients import clients_of
from loadproof.plan.shares import apportion
from loadproof.scenario.target.limits import declared, limit_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from loadproof.plan.phases import PhaseSpan
    from loadproof.scenario.scenario import Scenario
    from loadproof.scenario.target.limits import DeclaredLimit, Written

_OFFSETS: Final = (0.0, 0.25, 0.5, 0.75, 0.999)
"""Fractions of their pace at which closed-model users start; these represent all of them."""
_LOOK_AT_LEAST: Final = 100_000
"""The fewest arrivals to process at once."""
_JITTER_S: Final = 0.05
"""The first of a user's turns in a window may be late by this much, so that one more of them falls into it."""
_ROUNDING_S: Final = 1e-6
"""Turns exactly a period apart may seem closer by less than this."""


@dataclass(frozen=True)
class ExceededLimit:
    """A client that the plan lets exceed a declared limit."""

    endpoint: str
    limit: str
    """As text."""
    sent: int
    """Requests within the limit's period, or within the time in which a bucket has only some tokens."""
    within_s: float


def exceeded_limits(
    scenario: Scenario,
    spans: Sequence[PhaseSpan],
    limits: Mapping[str, Written],
    seed: int,
    *,
    jitter_s: float = _JITTER_S,
) -> list[ExceededLimit]:
    """The declared limits that a client of this plan would exceed, each with its busiest window.

    Each turn sends each of its kind's requests once. A single shared address, or a limit of all clients together, makes
    all users one client. Without jitter, only limits that are exceeded even if each user sends exactly on time.
    """
    exceeded = []
    # The open model's arrivals are planned one by one.
    more_s = jitter_s - _ROUNDING_S if scenario.model == "closed" else 0.0
    for endpoint, written in limits.items():
        limit = declared(written)
        plan = scenario.model_copy(update={"clients": "shared"}) if limit.key == "global" else scenario
        for period_s, most in _allowances(limit):
            worst = _busiest_client(plan, endpoint, spans, period_s + more_s, seed)
            if worst > most:
                exceeded.append(ExceededLimit(endpoint, _text_of(written, most), worst, period_s))
                break
    return exceeded


def _allowances(limit: DeclaredLimit) -> Iterator[tuple[float, int]]:
    """Periods in s, with the most that a client may send in any window [t, t + period).

    A bucket that holds fewer tokens than it gets in a period admits no more than these at once, and one more for each
    token that it gets meanwhile: looked at for 1, 2, 4, … tokens.
    """
    yield limit.period, limit.amount
    tokens = 1
    while limit.size + tokens <= limit.amount:
        yield tokens * limit.period / limit.amount, limit.size + tokens - 1
        tokens *= 2


def _text_of(written: Written, most: int) -> str:
    limit = declared(written)
    return limit_text(written) + (f", with no more than {limit.size} at once" if most < limit.amount else "")


def _busiest_client(plan: Scenario, endpoint: str, spans: Sequence[PhaseSpan], period_s: float, seed: int) -> int:
    """The most of this request that a client sends in any window of `period_s`."""
    of_kinds = {kind: _busiest_of(kind, plan, spans, period_s, seed) for kind in plan.spenders_of(endpoint)}
    # In the closed model each client is of one kind, unless all look like one; in the open model most are shared.
    together = [
        count
        for kind, count in of_kinds.items()
        if plan.clients == "shared" or (plan.model == "open" and plan.mix[kind].clients is None)
    ]
    return max([sum(together), *of_kinds.values()])


def _busiest_of(kind: str, scenario: Scenario, spans: Sequence[PhaseSpan], period_s: float, seed: int) -> int:
    """The most turns of this kind that a client takes in any window of `period_s`."""
    if scenario.model == "open":
        return _busiest_of_turns(ArrivalPlan(scenario, spans, seed), scenario, kind, period_s)
    return max((_busiest(times, period_s) for times in _paced(scenario, spans, kind)), default=0)


def _busiest_of_turns(plan: ArrivalPlan, scenario: Scenario, endpoint: str, period_s: float) -> int:
    """The most arrivals of one client in any window of `period_s`.

    Clients take turns: of n arrivals in a row, the client of the last one has ⌊(n - 1) / clients⌋ + 1.
    """
    clients = 1 if scenario.clients == "shared" else len(clients_of(endpoint, scenario))
    number = plan.endpoints.index(endpoint)
    known, most = np.empty(0), 0
    for times in _gathered(block.time_s[block.endpoint == number] for block in plan):
        known = np.concatenate([known, times])
        most = max(most, _busiest(known, period_s))
        known = known[known > known[-1] - period_s]
    return math.ceil(most / clients)


def _gathered(parts: Iterable[NDArray[np.float64]]) -> Iterator[NDArray[np.float64]]:
    """The same numbers in fewer, longer arrays."""
    gathered: list[NDArray[np.float64]] = []
    for part in parts:
        gathered.append(part)
        if sum(map(len, gathered)) >= _LOOK_AT_LEAST:
            yield np.concatenate(gathered)
            gathered.clear()
    if any(map(len, gathered)):
        yield np.concatenate(gathered)


def _busiest(times: NDArray[np.float64], period_s: float) -> int:
    """The most of these sorted times in any window [t, t + period)."""
    if times.size == 0:
        return 0
    return int((np.searchsorted(times, times + period_s, side="left") - np.arange(times.size)).max())


def _paced(scenario: Scenario, spans: Sequence[PhaseSpan], endpoint: str) -> list[NDArray[np.float64]]:
    """Sorted send times of clients that represent all of the closed model's."""
    every_s = scenario.mix[endpoint].every or math.inf
    times = [_paced_sends(spans, every_s, offset) for offset in _OFFSETS]
    if scenario.clients != "shared":
        return times
    users = apportion(scenario.client_total, {name: mix.share for name, mix in scenario.mix.items()})
    return [np.sort(np.tile(times[0], max(users[endpoint], 1)))]


def _paced_sends(spans: Iterable[PhaseSpan], every_s: float, offset: float) -> NDArray[np.float64]:
    """The most that a closed-model user sends; `offset` (0-1) is the fraction of its pace at which it starts."""
    parts = [
        np.array(span.bursts_s) if span.bursts_s else np.arange(span.start_s + offset * every_s, span.end_s, every_s)
        for span in spans
    ]
    return np.concatenate(parts)
