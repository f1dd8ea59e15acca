"""Runs with a given number of requests and failures in each second."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from simulation.rundirs import open_scenario
from simulation.traffic import run_of_seconds

if TYPE_CHECKING:
    from loadproof.analysis.frames.run import Run
    from loadproof.scenario.scenario import Scenario

RPS: Final = 100
"""Requests per second to `balance`, by default."""
BOTH: Final = {"balance": {"share": "50 %"}, "health": {"share": "50 %"}}


def counted_plan(*expects: str, seconds: int, rps: int = RPS, mix: dict[str, Any] | None = None) -> Scenario:
    """A plan with one phase and these thresholds."""
    return open_scenario(
        phases=[{"name": "steady", "duration": f"{seconds} s", "rate": f"{rps} rps"}],
        mix=mix or BOTH,
        thresholds=[{"expect": expect} for expect in expects],
    )


def failing(
    failed: Sequence[int],
    *expects: str,
    outcome: str = "server_error",
    rps: int = RPS,
    health: int = 0,
    mix: dict[str, Any] | None = None,
) -> Run:
    """In each second, `failed` requests to `balance` end with `outcome`; all others, and all to `health`, are ok.

    The default threshold is `error_ratio < 1 %`.
    """
    bad = np.array(failed)
    plan = counted_plan(*expects or ["error_ratio < 1 %"], seconds=bad.size, rps=rps, mix=mix)
    counted = {("balance", "ok"): rps - bad, ("balance", outcome): bad}
    return run_of_seconds(plan, counted | ({("health", "ok"): np.full(bad.size, health)} if health else {}))


def steady_run(*expects: str, **per_second: int) -> Run:
    """Half a minute of identical seconds: this many of each outcome for `balance`, and 50 ok ones for `health`.

    The default threshold is `goodput_ratio >= 50 %`.
    """
    plan = counted_plan(*expects or ["goodput_ratio >= 50 %"], seconds=30)
    counted = {("balance", outcome): np.full(30, count) for outcome, count in per_second.items()}
    return run_of_seconds(plan, {("health", "ok"): np.full(30, 50), **counted})
