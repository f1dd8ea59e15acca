"""Writes run directories with a known truth, using the same functions as for real ones."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from loadproof.plan.phases import PhaseSpan, plan_phases
from loadproof.rundir import files
from loadproof.rundir.intervals import append_intervals
from loadproof.rundir.manifest import Ending, Manifest, TargetFacts, write_manifest
from loadproof.rundir.rows import EventRow, GeneratorRow, TargetRow
from loadproof.scenario.scenario import Scenario
from simulation.plannedcells import OutcomesOf, cells_of

START_UNIX_S = 1_795_413_600.0


def scenario(**changes: Any) -> Scenario:
    """A short closed-model scenario: warm-up 5 s, steady 30 s, two bursts."""
    content: dict[str, Any] = {
        "name": "synthetic",
        "model": "closed",
        "deadline": "500 ms",
        "phases": [
            {"name": "warm-up", "warm_up": True, "duration": "5 s", "users": 100},
            {"name": "steady", "duration": "30 s", "users": 100},
            {"name": "bursts", "users": 100, "burst": {"times": 2, "every": "5 s"}},
        ],
        "thresholds": [
            {"endpoint": "balance", "phase": "steady", "expect": "p(95) < 200 ms"},
            {"phase": "bursts", "expect": "spread <= 50 ms"},
            {"expect": "error_ratio < 1 %"},
            {"expect": "goodput_ratio >= 98 %"},
        ],
    }
    return Scenario.model_validate(content | changes)


def open_scenario(**changes: Any) -> Scenario:
    """A short open-model scenario: calm, a spike with a ramp, calm again; 1,340 arrivals."""
    phases = [
        {"name": "calm", "duration": "10 s", "rate": "20 rps"},
        {"name": "spike", "duration": "10 s", "rate": "100 rps", "ramp": "4 s"},
        {"name": "after", "duration": "5 s", "rate": "20 rps", "ramp": "5 s"},
    ]
    content = {"model": "open", "client_count": 50, "phases": phases, "thresholds": [{"expect": "goodput > 1 rps"}]}
    return scenario(**content | changes)


def outcomes(**ratios: float) -> OutcomesOf:
    """Random outcomes in these ratios, the rest ok; the same for every phase and endpoint."""

    def choose(random: np.random.Generator, _: str, n: int) -> list[str]:
        names = [*ratios, "ok"]
        return list(random.choice(names, n, p=[*ratios.values(), 1 - sum(ratios.values())]))

    return choose


_ALL_OK = outcomes()


@dataclass(frozen=True)
class GeneratorTruth:
    """The state of the generator.

    `cpu`, `waits` and `loop_delay_s` apply to the `disturbed` seconds, or to all if that is None.
    """

    cpu: float = 0.3
    waits: float = 0.01
    loop_delay_s: float = 0.001
    disturbed: range | None = None
    steal: float = 0.0
    skew_s: float = 0.0
    step_s: float = 0.0
    """How far the wall clock is set forward in second 10."""
    asleep_s: float = 0.0
    """How long the machine sleeps in second 10."""
    frozen: range = range(0)
    """Seconds in which it stalls; their requests are sent afterwards."""
    lost: int = 0
    """Requests counted as sent in second 0 but missing from the intervals."""

    def rows(self, sent_in: Mapping[int, int], *, seconds: int, lag_ms: float) -> list[GeneratorRow]:
        """A row for each second in which it doesn't stall; `sent_in` has the number of requests by second."""
        stored = sum(sent_in.get(second, 0) for second in self.frozen)
        return [
            self._row(
                second,
                sent=sent_in.get(second, 0)
                + (self.lost if second == 0 else 0)
                + (stored if second == self.frozen.stop else 0),
                lag_ms=lag_ms,
            )
            for second in range(seconds)
            if second not in self.frozen
        ]

    def _row(self, second: int, *, sent: int, lag_ms: float) -> GeneratorRow:
        is_disturbed = self.disturbed is None or second in self.disturbed
        return GeneratorRow(
            second=second,
            worker="local",
            cpu_ratio=self.cpu if is_disturbed else 0.3,
            wait_ratio=self.waits if is_disturbed else 0.01,
            steal_ratio=self.steal,
            loop_delay_s=self.loop_delay_s if is_disturbed else 0.001,
            clock_step_s=self.step_s if second == 10 else 0.0,
            asleep_s=self.asleep_s if second == 10 else 0.0,
            clock_skew_s=self.skew_s,
            lag_p99_s=lag_ms / 1000,
            users=100,
            in_flight=3,
            sent=sent,
            dropped=0,
            abandoned=0,
        )


def write_run(
    path: Path,
    *,
    plan: Scenario | None = None,
    median_ms: dict[str, float] | None = None,
    outcomes_of: OutcomesOf = _ALL_OK,
    lag_ms: float = 0.3,
    spread_s: float = 0.004,
    late: int = 0,
    dropped: int = 0,
    lived_s: float = math.inf,
    ending: Ending = "completed",
    seed: int = 1,
    **generator: Any,
) -> Path:
    """Write a run with lognormal response times, `median_ms` per endpoint (default 20 ms), sigma 0.4; returns `path`.

    `generator` are fields of GeneratorTruth.
    """
    path.mkdir(parents=True, exist_ok=True)
    plan = plan or scenario()
    spans = plan_phases(plan)
    lived_s = min(lived_s, spans[-1].end_s)
    cells, sent_in = cells_of(
        plan,
        np.random.default_rng(seed),
        median_ms=median_ms or {},
        outcomes_of=outcomes_of,
        lag_ms=lag_ms,
        lived_s=lived_s,
    )
    for number in range(dropped):
        endpoint = list(plan.mix)[number % len(plan.mix)]
        cells[int(spans[-1].start_s), spans[-1].name, endpoint, "dropped", "dropped", 0] += 1
    if cells:
        rows = [(*key, count) for key, count in sorted(cells.items())]
        append_intervals(path / files.INTERVALS, rows)
    truth = GeneratorTruth(**generator)
    files.append_rows(path / files.GENERATOR, truth.rows(sent_in, seconds=math.ceil(lived_s), lag_ms=lag_ms))
    files.append_rows(path / files.TARGET, _target_rows(int(lived_s)))
    files.append_rows(path / files.EVENTS, _event_rows(spans, lived_s=lived_s, spread_s=spread_s, late=late))
    write_manifest(path, manifest(plan, ending=ending, end_unix_s=START_UNIX_S + lived_s))
    return path


def _target_rows(seconds: int) -> list[TargetRow]:
    """Memory that grows a little, CPU time, and a varying number of descriptors."""
    return [
        row
        for second in range(seconds)
        for row in (
            TargetRow(second + 0.5, "process_resident_memory_bytes", 60e6 + 1e4 * second),
            TargetRow(second + 0.5, "process_cpu_seconds_total", 0.2 * second),
            TargetRow(second + 0.5, "process_open_fds", 40 + second % 7),
        )
    ]


def _event_rows(spans: Sequence[PhaseSpan], *, lived_s: float, spread_s: float, late: int) -> list[EventRow]:
    """Events of phases and bursts, as far as the run got."""
    events = [EventRow(span.start_s, "phase", span.name) for span in spans if span.start_s < lived_s]
    bursts_s = [at_s for span in spans for at_s in span.bursts_s if at_s < lived_s]
    for number, at_s in enumerate(bursts_s, start=1):
        detail = {"burst": number, "sent": 100, "spread_s": spread_s, "peak_in_flight": 97, "late": late}
        events.append(EventRow(at_s, "burst", json.dumps(detail)))
    return events


def manifest(plan: Scenario, *, ending: Ending = "completed", end_unix_s: float = START_UNIX_S) -> Manifest:
    return Manifest(
        run_id="20261123T060000Z-synthetic",
        scenario=plan,
        scenario_file="scenarios/synthetic.yaml",
        seed=1,
        command="loadproof run scenarios/synthetic.yaml",
        target=TargetFacts(kind="embedded", base_url="http://127.0.0.1:8000", limits={"health": "60/min"}),
        phases=plan_phases(plan),
        workers=1,
        revision="0123456789ab",
        versions={"loadproof": "0.1.0"},
        host={"system": "Linux", "cores": "2"},
        start_unix_s=START_UNIX_S,
        end_unix_s=end_unix_s,
        ending=ending,
    )
