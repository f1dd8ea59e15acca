"""Trials of simulated targets with known capacity: a single server, slots with constant service time, a curve."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from loadproof.rundir.trials import GoalLoss, Search, SearchGoal, Stage, Trial

if TYPE_CHECKING:
    from simulation.traffic import Times

GOAL = "p(95) < 20 ms"
LIMIT_S, ALLOWED = 0.02, 0.05
SERVICE_RPS = 1000.0
STEADY_RPS = SERVICE_RPS - math.log(1 / ALLOWED) / LIMIT_S
"""The load at which p(95) of M/M/1's response time, exponential with rate mu − lambda, equals the limit."""


@dataclass
class SingleServer:
    """M/M/1, starting empty; the first seconds of each trial are discarded."""

    random: np.random.Generator
    warm_up_s: float = 2.0
    made: int = 0

    def measure(self, load_rps: float, duration_s: float, stage: Stage) -> Trial:
        arrivals, responses = self._served(load_rps, duration_s)
        lost, of = self._lost(arrivals, responses)
        answered = int(
            ((arrivals + responses >= self.warm_up_s) & (arrivals + responses < self.warm_up_s + duration_s)).sum()
        )
        self.made += 1
        return trial(self.made, load_rps, duration_s, stage, lost=lost, of=of, answered=answered)

    def losses(self, load_rps: float, duration_s: float) -> tuple[int, int]:
        """Numbers of lost requests and of all requests."""
        return self._lost(*self._served(load_rps, duration_s))

    def _lost(self, arrivals: Times, responses: Times) -> tuple[int, int]:
        counted = arrivals >= self.warm_up_s
        return int((responses[counted] > LIMIT_S).sum()), int(counted.sum())

    def _served(self, load_rps: float, duration_s: float) -> tuple[Times, Times]:
        """Arrival times and response times, in seconds."""
        until_s = self.warm_up_s + duration_s
        arrivals = np.sort(self.random.uniform(0, until_s, self.random.poisson(load_rps * until_s)))
        services = self.random.exponential(1 / SERVICE_RPS, len(arrivals))
        # Lindley's recursion as a running minimum: the work still ahead of each arrival.
        walk = np.concatenate([[0.0], np.cumsum(services[:-1] - np.diff(arrivals))])
        waits = walk - np.minimum.accumulate(walk)
        return arrivals, waits + services


@dataclass
class SlotServer:
    """Slots, each busy for a constant time per request, starting empty; models `bench.slotserver`."""

    random: np.random.Generator
    slots: int
    service_s: float
    limit_s: float
    warm_up_s: float

    def losses(self, load_rps: float, duration_s: float) -> tuple[int, int]:
        until_s = self.warm_up_s + duration_s
        arrivals = np.sort(self.random.uniform(0, until_s, self.random.poisson(load_rps * until_s)))
        free_s, lost, of = [0.0] * self.slots, 0, 0
        for arrival in arrivals.tolist():
            end_s = max(arrival, free_s[0]) + self.service_s
            heapq.heapreplace(free_s, end_s)
            if arrival >= self.warm_up_s:
                lost, of = lost + (end_s - arrival > self.limit_s), of + 1
        return lost, of


def half_rps(
    losses: Callable[[float, float], tuple[int, int]], duration_s: float, *, low: float, high: float, times: int = 200
) -> float:
    """The load between `low` and `high` at which half of `times` trials keep the goal."""
    for _ in range(10):
        middle = (low + high) / 2
        kept = sum(lost <= ALLOWED * of for lost, of in (losses(middle, duration_s) for _ in range(times)))
        low, high = (middle, high) if 2 * kept > times else (low, middle)
    return (low + high) / 2


@dataclass
class LogisticTarget:
    """Each trial keeps its goal with a probability that falls with the load and doesn't depend on its length."""

    random: np.random.Generator
    middle_rps: float
    slope: float
    """Slope per unit of the load's logarithm."""
    made: int = 0

    def measure(self, load_rps: float, duration_s: float, stage: Stage) -> Trial:
        self.made += 1
        chance = 1 / (1 + math.exp(min(700.0, self.slope * math.log(load_rps / self.middle_rps))))
        lost = 0.0 if self.random.random() < chance else min(1.0, 2 * ALLOWED * load_rps / self.middle_rps)
        return trial(
            self.made,
            load_rps,
            duration_s,
            stage,
            lost=round(lost * 10_000),
            of=10_000,
            answered=min(10_000, round(10_000 * self.middle_rps / load_rps)),
        )


def trial(
    number: int, load_rps: float, duration_s: float, stage: Stage, *, lost: int, of: int, answered: int | None = None
) -> Trial:
    """A trial that ended normally; `answered` is by default the number of requests that weren't lost."""
    return Trial(
        number=number,
        stage=stage,
        load_rps=load_rps,
        duration_s=duration_s,
        run=f"run-{number}",
        losses=[GoalLoss(goal=GOAL, lost=lost, of=of, allowed=ALLOWED)],
        offered=of,
        throughput_rps=(of - lost if answered is None else answered) / of * load_rps,
        goodput_rps=(of - lost) / duration_s,
    )


def search_for(from_rps: float, to_rps: float, **changes: object) -> Search:
    """Settings of a search for GOAL, in trials of 10 s."""
    goal = SearchGoal(
        goal=GOAL,
        loss_ratio=ALLOWED,
        exceed_ratio=0.5,
        final_trial_s=10.0,
        duration_sum_s=10.0,
        initial_trial_s=10.0,
        width=0.05,
    )
    search = Search(
        scenario="simulated",
        target="embedded",
        from_rps=from_rps,
        to_rps=to_rps,
        warm_up_s=2.0,
        is_quick=False,
        repeats=10,
        seed=1,
        workers=1,
        goals=[goal],
        others=[],
    )
    return search.model_copy(update=changes)
