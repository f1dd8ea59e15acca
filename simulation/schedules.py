"""Turns a seed into a schedule: the plan of a short run, and the faults in it; pure."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from simulation.rundirs import scenario

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from loadproof.scenario.scenario import Scenario

LEADER: Final = 0
"""The process that writes the run directory; workers are numbered from 1. A single process is both."""
_FAULTS: Final = {
    "pause": "a process stands still for so long, and wakes up late",
    "lateness": "each wake-up of a process is late by up to so long",
    "lost": "so many of the messages are lost",
    "doubled": "so many of the messages come twice",
    "late": "each message takes up to so long",
    "join": "a worker comes when the run goes on",
    "death": "a process dies",
    "quit": "somebody stops a process by itself, in order",
    "interrupt": "somebody stops the run",
    "disk": "the run directory takes no more bytes",
    "slow": "the target takes so long for an answer",
    "standing": "the target stands still for so long",
    "failing": "so many of the target's answers are errors",
    "target": "the target dies",
}
OF_THE_TARGET: Final = frozenset({"slow", "standing", "failing", "target"})
_BETWEEN_PROCESSES: Final = frozenset({"lost", "doubled", "late", "join"})


@dataclass(frozen=True)
class Fault:
    """One of `_FAULTS`; `size` is in seconds or a ratio, depending on the fault."""

    kind: str
    at_s: float
    process: int = LEADER
    size: float = 0.0

    def __str__(self) -> str:
        return f"at {self.at_s:.2f} s {_FAULTS[self.kind]} (process {self.process}, {self.size:.3g})"


@dataclass(frozen=True)
class Schedule:
    """A run's plan and faults. Times are in seconds from the start of the simulation, before second 0 of the run."""

    seed: int
    plan: Scenario
    workers: int
    faults: tuple[Fault, ...] = field(default=())

    def of(self, *kinds: str) -> tuple[Fault, ...]:
        return tuple(fault for fault in self.faults if fault.kind in kinds)

    def only(self, kinds: Collection[str]) -> Schedule:
        """The same run with only these kinds of faults."""
        return replace(self, faults=self.of(*kinds))

    def awake_s(self, process: int, at_s: float) -> float:
        """When the process gets to something that is due at `at_s`; inf if it is dead."""
        for fault in self._of_processes.get(process, ()):
            if at_s < fault.at_s:
                continue
            if fault.kind == "death":
                return math.inf
            if fault.kind == "lateness":
                # Seeded so that the same moment always gets the same delay.
                at_s += fault.size * random.Random(f"{self.seed}/{process}/{at_s!r}").random()
            else:
                at_s = max(at_s, fault.at_s + fault.size)
        return at_s

    @cached_property
    def _of_processes(self) -> dict[int, tuple[Fault, ...]]:
        """Faults that affect when a process wakes up, by process."""
        concerning = self.of("pause", "lateness", "death")
        return {
            number: tuple(fault for fault in concerning if fault.process == number)
            for number in range(self.workers + 1)
        }

    def __str__(self) -> str:
        told = "; ".join(map(str, self.faults)) or "nothing goes wrong"
        return f"seed {self.seed}: {self.plan.model} model, {self.workers} processes with users; {told}"


def schedule(seed: int) -> Schedule:
    """The schedule for a seed: no fault in one of five, up to three in the others."""
    dice = random.Random(f"schedule {seed}")
    workers = dice.choice([1, 1, 2, 2, 3])
    plan = _plan(dice, record=None if seed % 5 else "requests")
    number = dice.choice([0, 1, 1, 2, 3])
    kinds = [kind for kind in _FAULTS if workers > 1 or kind not in _BETWEEN_PROCESSES]
    faults = (_fault(dice, kind, workers, plan) for kind in dice.sample(kinds, number))
    return Schedule(seed, plan, workers, tuple(sorted(faults, key=lambda fault: fault.at_s)))


def _plan(dice: random.Random, **more: Any) -> Scenario:
    phases = list(_open_phases(dice) if dice.random() < 0.5 else _closed_phases(dice))
    changes: dict[str, Any] = {
        "model": "open" if "rate" in phases[0] else "closed",
        "phases": phases,
        "mix": {"health": {"share": "60 %"}, "balance": {"share": "40 %"}},
        "timeouts": {"connect": "1 s", "total": "1 s"},
        "thresholds": [{"expect": "goodput_ratio >= 90 %"}],
        **more,
    }
    if changes["model"] == "closed":
        for endpoint in changes["mix"].values():
            endpoint["every"] = dice.choice(["100 ms", "250 ms", "500 ms"])
    else:
        changes |= {"client_count": 20, "max_in_flight": dice.choice([5, 50]), "arrivals": _arrivals(dice)}
    return scenario(**changes)


def _arrivals(dice: random.Random) -> str:
    return dice.choice(["poisson", "uniform"])


def _open_phases(dice: random.Random) -> Iterator[dict[str, Any]]:
    if dice.random() < 0.5:
        yield {"name": "warm-up", "warm_up": True, "duration": "1 s", "rate": "10 rps"}
    yield {"name": "steady", "duration": f"{dice.choice([2, 3])} s", "rate": f"{dice.choice([20, 40])} rps"}
    if dice.random() < 0.3:
        yield {"name": "after", "duration": "1500 ms", "rate": "10 rps", "ramp": "500 ms"}


def _closed_phases(dice: random.Random) -> Iterator[dict[str, Any]]:
    users = dice.choice([3, 6, 10])
    if dice.random() < 0.5:
        yield {"name": "warm-up", "warm_up": True, "duration": "1 s", "users": users}
    yield {"name": "steady", "duration": f"{dice.choice([2, 3])} s", "users": users}
    if dice.random() < 0.3:
        yield {"name": "after", "duration": "1500 ms", "users": max(1, users // 2)}


_SIZES: Final = {
    "pause": [0.05, 0.5, 1.5, 8.0],
    "lateness": [0.001, 0.02, 0.3],
    "lost": [0.02, 0.2, 1.0],
    "doubled": [0.05, 0.5, 1.0],
    "late": [0.01, 0.3, 3.0],
    "slow": [0.2, 0.9, 3.0],
    "standing": [0.2, 1.0, 10.0],
    "failing": [0.05, 0.5, 1.0],
}


def _fault(dice: random.Random, kind: str, workers: int, plan: Scenario) -> Fault:
    """A fault at a random time, from before the run's second 0 to after its end."""
    at_s = round(dice.uniform(0, 2.5 + sum(phase.duration_s for phase in plan.phases)), 3)
    process = dice.randrange(workers + 1) if workers > 1 else LEADER
    return Fault(kind, at_s, process, dice.choice(_SIZES.get(kind, [0.0])))
