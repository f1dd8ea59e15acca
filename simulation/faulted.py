"""Faults within a phase of constant load, and the target's recovery from them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from loadproof.plan.faultspans import fault_spans
from loadproof.plan.phases import plan_phases
from loadproof.rundir.rows import FAULT_BEGUN, FAULT_ENDED
from simulation.rundirs import open_scenario
from simulation.traffic import Times, poisson, run_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from loadproof.analysis.frames.run import Run
    from loadproof.scenario.scenario import Scenario

BEGINS_S: Final = 20
ENDS_S: Final = 23
RECOVERY: Final = {"phase": "steady", "expect": "recovery <= 5 s"}
PAUSE: Final = {"fault": "pause", "phase": "steady", "at": f"{BEGINS_S} s", "lasts": f"{ENDS_S - BEGINS_S} s"}


def faulted_plan(**changes: Any) -> Scenario:
    """50 arrivals per second for 60 s, and a pause of 3 s."""
    content = {
        "phases": [{"name": "steady", "duration": "60 s", "rate": "50 rps"}],
        "faults": [PAUSE],
        "thresholds": [RECOVERY, {"expect": "goodput_ratio >= 1 %"}],
    }
    return open_scenario(**content | changes)


def faulted(*, hurt_until_s: float, seed: int = 3, error: str = "timeout", plan: Scenario | None = None) -> Run:
    """Median 20 ms; from the fault until `hurt_until_s` half of the requests fail, and the median is 200 ms."""
    random = np.random.default_rng(seed)
    plan = plan or faulted_plan()
    at_s = poisson(random, plan)
    hurt = (at_s >= BEGINS_S) & (at_s < hurt_until_s)
    response_s = random.lognormal(np.log(np.where(hurt, 0.2, 0.02)), 0.4)
    return happened(plan, at_s, response_s, np.where(hurt & (random.uniform(size=at_s.size) < 0.5), error, "ok"))


def happened(plan: Scenario, at_s: Times, response_s: Times, outcomes: NDArray[np.str_]) -> Run:
    """A run of these requests, with the plan's faults as events."""
    run = run_of(plan, at_s, response_s, outcomes)
    return replace(run, events=fault_events(plan))


def fault_events(plan: Scenario) -> pd.DataFrame:
    """Events of the plan's faults: each begins and ends 10 ms later than planned."""
    rows = [
        (at_s + 0.01, kind, json.dumps({"number": span.number, "fault": span.fault.fault, "of": span.fault.of}))
        for span in fault_spans(plan.faults, plan_phases(plan))
        for at_s, kind in ((span.start_s, FAULT_BEGUN), (span.end_s, FAULT_ENDED))
    ]
    return pd.DataFrame(rows, columns=["time_s", "kind", "detail"])
