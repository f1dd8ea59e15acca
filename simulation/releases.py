"""Runs of releases with a known difference, as a comparison reads them; levels vary between runs and seconds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from loadproof.analysis.compare.replicates import ALL_ENDPOINTS, Replicate, Row
from loadproof.analysis.estimates.estimate import Estimate, quantile_estimates, ratio_estimate
from simulation.rundirs import manifest, open_scenario
from simulation.traffic import Times, autocorrelated, counts_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from loadproof.scenario.scenario import Scenario

SECONDS: Final = 30
RPS: Final = 200
"""For all endpoints together; each gets its share."""
PHASE: Final = "steady"
_MEDIANS_S: Final = {"balance": 0.02, "transactions": 0.03, "health": 0.005, "webhooks": 0.012}
_SPREAD: Final = 0.4
_WANDERS: Final = 0.05
_OWN: Final = 1 / 3
"""An endpoint's own noise between runs, as a fraction of the noise that all endpoints share."""
_QUANTILES: Final = (0.5, 0.9, 0.95, 0.99)
_FAILS: Final = 0.001
_RUN_S: Final = 60.0


@dataclass(frozen=True)
class Noise:
    """How much the runs of one release vary."""

    between: float = 0.03
    """Relative standard deviation of a run's level."""
    phi: float = 0.5
    """Correlation of the levels of neighbouring seconds within a run."""


def plan_of_releases(*more: str, **changes: Any) -> Scenario:
    """The plan; `more` are further thresholds on `balance`, like 'p(95) <= 1.10 * baseline'."""
    thresholds = [
        {"endpoint": "balance", "expect": "p(95) < 200 ms"},
        {"expect": "error_ratio < 1 %"},
        {"expect": "goodput_ratio >= 99 %"},
        *({"endpoint": "balance", "expect": expect} for expect in more),
    ]
    phases = [{"name": PHASE, "duration": f"{SECONDS} s", "rate": f"{RPS} rps"}]
    return open_scenario(**{"phases": phases, "thresholds": thresholds} | changes)


def release(
    random: np.random.Generator,
    runs: int,
    *,
    noise: Noise = Noise(),
    slower: Mapping[str, float] | float = 0.0,
    plan: Scenario | None = None,
    first: int = 0,
    step: int = 1,
) -> list[Replicate]:
    """Runs of a release, numbered in time from `first` in steps of `step`.

    `slower` is a relative slowdown, of all endpoints or by endpoint.
    """
    plan = plan or plan_of_releases()
    by_endpoint = slower if not isinstance(slower, float) else dict.fromkeys(plan.endpoints, slower)
    return [_run(random, plan, noise=noise, slower=by_endpoint, number=first + step * number) for number in range(runs)]


def _run(
    random: np.random.Generator, plan: Scenario, *, noise: Noise, slower: Mapping[str, float], number: int
) -> Replicate:
    level = random.normal(0, noise.between)
    second = _WANDERS * autocorrelated(random, SECONDS, phi=noise.phi)
    times = {
        name: _MEDIANS_S[name]
        * (1 + slower.get(name, 0.0))
        * np.exp(
            level
            + random.normal(0, noise.between * _OWN)
            + np.repeat(second, round(RPS * kind.share))
            + random.normal(0, _SPREAD, SECONDS * round(RPS * kind.share))
        )
        for name, kind in plan.mix.items()
    }
    times = {ALL_ENDPOINTS: np.concatenate(list(times.values())), **times}
    histograms = {name: counts_of(times_s) for name, times_s in times.items()}
    estimates = {
        Row(name, PHASE, metric): estimate
        for name, times_s in times.items()
        for metric, estimate in _estimates(random, times_s, histograms[name], plan.deadline).items()
    }
    facts = manifest(plan)
    started_s = facts.start_unix_s + _RUN_S * number
    name = f"run-{number}-{random.integers(2**32)}"
    return Replicate(
        Path(name),
        facts.model_copy(update={"run_id": name, "start_unix_s": started_s}),
        estimates,
        {(name, PHASE): counts for name, counts in histograms.items()},
    )


def _estimates(
    random: np.random.Generator, times_s: Times, counts: NDArray[np.int64], deadline_s: float
) -> dict[str, Estimate]:
    n = times_s.size
    failed = int(random.binomial(n, _FAILS))
    good = min(int(np.count_nonzero(times_s <= deadline_s)), n - failed)
    quantiles = quantile_estimates(counts, _QUANTILES)
    rate = n / SECONDS + random.normal(0, 0.05)
    estimates = {f"p({quantile * 100:.10g})": estimate for quantile, estimate in quantiles.items()}
    estimates |= {"error_ratio": ratio_estimate(failed, n), "goodput_ratio": ratio_estimate(good, n)}
    estimates["throughput"] = Estimate(rate, rate - 0.1, rate + 0.1, SECONDS)
    return {name: estimate for name, estimate in estimates.items() if estimate is not None}
