"""Finds the declared limits that a client of a plan would exceed; pure."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.plan.arrivals import ArrivalPlan
from loadproof.plan.clients import clients_of
from loadproof.plan.shares import apportion
from loadproof.scenario.target.limits import declared, limit_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from loadproof.plan.phases import PhaseSpan
    from loadproof.scenario.scenario import Scenario
    from loadproof.scenario.target.limits import DeclaredLimit, Written

    _OfDraws = Callable[[Iterable[int]], int]

_OFFSETS: Final = (0.0, 0.25, 0.5, 0.75, 0.999)
"""Fractions of their pace at which closed-model users start; these represent all of them."""
_LOOK_AT_LEAST: Final = 100_000
"""The fewest arrivals to process at once."""
_JITTER_S: Final = 0.05
"""The first of a user's turns in a window may be late by this much, so that one more of them falls into it."""
_MORE_TURNS: Final = 3
"""Beyond a window's length, so that one may begin at any point of the pace, and the last turn may not take place."""
_MOST_DRAWS: Final = 20
_MOST_DRAWN: Final = 20_000
"""Users, in all draws together: chance matters less, the more of them there are."""
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
    of_draws: _OfDraws = max,
) -> list[ExceededLimit]:
    """The declared limits that a client of this plan would exceed, each with its busiest window.

    Each turn sends each of its kind's requests once. A single shared address, or a limit of all clients together, makes
    all users one client. Without jitter, only limits that are exceeded even if each user sends exactly on time; with
    `min` of several draws of where users start, only those that are exceeded in each.
    """
    exceeded = []
    for endpoint, written in limits.items():
        limit = declared(written)
        plan = scenario.model_copy(update={"clients": "shared"}) if limit.key == "global" else scenario
        for period_s, most in _allowances(limit):
            longer_s = period_s + _more_s(plan, endpoint, period_s, jitter_s)
            worst = _busiest_client(plan, endpoint, spans, longer_s, seed, of_draws)
            if worst > most:
                exceeded.append(ExceededLimit(endpoint, _text_of(written, most), worst, period_s))
                break
    return exceeded


def _more_s(plan: Scenario, endpoint: str, period_s: float, jitter_s: float) -> float:
    """By how much longer to look than a limit's period, in s."""
    if plan.model == "open":
        return 0.0  # Its arrivals are planned one by one.
    paces_s = [plan.mix[kind].every or math.inf for kind in plan.spenders_of(endpoint)]
    # Many users out of step are no closer together if some are late; but of each, one more turn may fall into a period.
    is_out_of_step = plan.clients == "shared" and period_s < min(paces_s, default=math.inf)
    return -_ROUNDING_S if is_out_of_step else jitter_s - _ROUNDING_S


def _allowances(limit: DeclaredLimit) -> Iterator[tuple[float, int]]:
    """Periods in s, with the most that a client may send in any window [t, t + period).

    A bucket that holds fewer tokens than it gets in a period admits no more than these at once, and one more for each
    token that it gets meanwhile: looked at for 1, 2, 4, … tokens. One that holds more admits all of them within the
    time in which it gets as many.
    """
    most = max(limit.amount, limit.size)
    yield most * limit.period / limit.amount, most
    tokens = 1
    while limit.size + tokens <= limit.amount:
        yield tokens * limit.period / limit.amount, limit.size + tokens - 1
        tokens *= 2


def _text_of(written: Written, most: int) -> str:
    limit = declared(written)
    return limit_text(written) + (f", with no more than {limit.size} at once" if most < limit.amount else "")


def _busiest_client(
    plan: Scenario, endpoint: str, spans: Sequence[PhaseSpan], period_s: float, seed: int, of_draws: _OfDraws
) -> int:
    """The most of this request that a client sends in any window of `period_s`."""
    if plan.model == "closed" and plan.clients == "shared":
        return _busiest_together(plan, endpoint, spans, period_s, seed, of_draws)
    of_kinds = {kind: _busiest_of(kind, plan, spans, period_s, seed) for kind in plan.spenders_of(endpoint)}
    # In the closed model each client is of one kind; in the open model most are shared.
    together = [
        count
        for kind, count in of_kinds.items()
        if plan.model == "open" and (plan.clients == "shared" or plan.mix[kind].clients is None)
    ]
    return max([sum(together), *of_kinds.values()])


def _busiest_of(kind: str, scenario: Scenario, spans: Sequence[PhaseSpan], period_s: float, seed: int) -> int:
    """The most turns of this kind that a client takes in any window of `period_s`."""
    if scenario.model == "open":
        return _busiest_of_turns(ArrivalPlan(scenario, spans, seed), scenario, kind, period_s)
    every_s = scenario.mix[kind].every or math.inf
    return max(_busiest(_paced_sends(spans, every_s, offset), period_s) for offset in _OFFSETS)


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


def _busiest_together(
    plan: Scenario, endpoint: str, spans: Sequence[PhaseSpan], period_s: float, seed: int, of_draws: _OfDraws
) -> int:
    """The most of this request that all closed-model users send in any window of `period_s`.

    Each starts at random within its pace, in each run at another point: of several such draws, the busiest counts, or
    the least busy. Sooner or later the busiest windows of different paces meet.
    """
    users = apportion(plan.client_total, {name: mix.share for name, mix in plan.mix.items()})
    at_pace: Counter[float] = Counter()
    for kind in plan.spenders_of(endpoint):
        at_pace[plan.mix[kind].every or math.inf] += max(users[kind], 1)
    random = np.random.default_rng(seed)

    def busiest(every_s: float, count: int) -> int:
        # In a whole pace each sends once, whatever the draw.
        draws = min(_MOST_DRAWS, max(1, _MOST_DRAWN // count)) if period_s < every_s else 1
        return of_draws(
            _busiest(_paced(spans, every_s, random.random(count), period_s), period_s) for _ in range(draws)
        )

    return sum(busiest(every_s, count) for every_s, count in at_pace.items())


def _paced(
    spans: Sequence[PhaseSpan], every_s: float, offsets: NDArray[np.float64], period_s: float
) -> NDArray[np.float64]:
    """Sorted send times of users of one pace, who start at these fractions of it."""
    parts = [np.empty(0)]
    for span in spans:
        if span.bursts_s:
            parts.append(np.repeat(span.bursts_s, offsets.size))
        elif every_s < math.inf:
            times = span.start_s + (offsets[:, None] + _turns(span, every_s, period_s)) * every_s
            parts.append(times[times < span.end_s])
    return np.sort(np.concatenate(parts))


def _turns(span: PhaseSpan, every_s: float, period_s: float) -> NDArray[np.int64]:
    """The numbers of a user's turns in a phase, except those in the middle whose windows are like the others."""
    turns, ends = math.ceil((span.end_s - span.start_s) / every_s), math.ceil(period_s / every_s) + _MORE_TURNS
    if turns <= 2 * ends:
        return np.arange(turns)
    return np.concatenate([np.arange(ends), np.arange(turns - ends, turns)])


def _paced_sends(spans: Iterable[PhaseSpan], every_s: float, offset: float) -> NDArray[np.float64]:
    """The most that a closed-model user sends; `offset` (0-1) is the fraction of its pace at which it starts."""
    parts = [
        np.array(span.bursts_s) if span.bursts_s else np.arange(span.start_s + offset * every_s, span.end_s, every_s)
        for span in spans
    ]
    return np.concatenate(parts)
