"""Runs of 100 requests a second, so many of which failed in each."""

from __future__ import annotations

import numpy as np

from simulation.rundirs import open_scenario
from simulation.traffic import run_of_seconds

RPS = 100
BOTH = {"balance": {"share": "50 %"}, "health": {"share": "50 %"}}
GOODPUT = {"expect": "goodput_ratio >= 50 %"}


def run_with(failed, expect: str = "error_ratio < 1 %", *, outcome: str = "server_error", health: int = 0, mix=None):
    """So many of the 100 requests of `balance` in each second failed; all of `health` are good."""
    failed = np.array(failed)
    phases = [{"name": "steady", "duration": f"{failed.size} s", "rate": "100 rps"}]
    plan = open_scenario(phases=phases, mix=mix or BOTH, thresholds=[{"expect": expect}, GOODPUT])
    counted = {("balance", "ok"): RPS - failed, ("balance", outcome): failed}
    return run_of_seconds(plan, counted | ({("health", "ok"): np.full(failed.size, health)} if health else {}))
