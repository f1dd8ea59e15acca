"""How often the 95 % intervals of a run's estimates cover the truth, by number and correlation of its seconds.

python -m bench.coverage [SIMULATIONS]
"""

from __future__ import annotations

import sys

import numpy as np

from bench.serving import machine, write_results
from loadproof.analysis.estimates.countmean import half_width_of_mean
from simulation.alikeseconds import ERROR_RATIO, P95_S, RPS, answers, failures, p95_of, ratio_of, response_times
from simulation.traffic import autocorrelated

SECONDS = (15, 30, 60, 120, 600)
PHIS = (0.0, 0.5, 0.8, 0.9)


def covered(random: np.random.Generator, *, seconds: int, phi: float) -> tuple[bool, bool, bool]:
    """Whether the intervals of p95, error ratio and rate cover the truth in one simulated run."""
    phase = np.zeros(seconds, dtype=np.int64)
    level = autocorrelated(random, seconds, phi=phi)
    p95 = p95_of(response_times(random, level))
    ratio = ratio_of(failures(random, level), np.full(seconds, RPS))
    counted = answers(level)
    return (
        p95 is not None and p95.low <= P95_S <= p95.high,
        ratio is not None and ratio.low <= ERROR_RATIO <= ratio.high,
        bool(abs(counted.mean() - RPS) <= half_width_of_mean(counted, phase)),
    )


def main(simulations: int) -> None:
    random = np.random.default_rng(2026)
    rows = []
    for seconds in SECONDS:
        for phi in PHIS:
            shares = np.mean([covered(random, seconds=seconds, phi=phi) for _ in range(simulations)], axis=0)
            names = ("p95", "error_ratio", "rate")
            rows.append({"seconds": seconds, "phi": phi, **dict(zip(names, map(float, shares), strict=True))})
    write_results("coverage", {**machine(), "command": "make bench-coverage", "simulations": simulations, "rows": rows})


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
