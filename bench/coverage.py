"""How often 95 % intervals of a run's estimates cover the truth, by how alike its seconds are and how many there are.

python -m bench.coverage [SIMULATIONS]
"""

from __future__ import annotations

import sys

import numpy as np

from analysis.estimates.correlation import design_effect, half_width_of_mean
from analysis.estimates.estimate import Precision, quantile_estimate, ratio_estimate
from bench.serving import machine, write_results
from loadproof.histogram import BUCKETS, buckets_of
from simulation.traffic import autocorrelated

SECONDS = (15, 30, 60, 120, 600)
PHIS = (0.0, 0.5, 0.8, 0.9)
RPS = 50


def covered(random: np.random.Generator, *, seconds: int, phi: float) -> tuple[bool, bool, bool]:
    """Of one simulated run: a p95, an error ratio, a rate."""
    phase = np.zeros(seconds, dtype=np.int64)
    level = autocorrelated(random, seconds, phi=phi)
    second = np.repeat(np.arange(seconds), RPS)
    buckets = buckets_of(0.02 * np.exp(0.2 * level[second] + random.normal(0, 0.4, second.size)))
    counts = np.bincount(buckets, minlength=BUCKETS)
    at = int(np.searchsorted(np.cumsum(counts), np.ceil(0.95 * second.size)))
    sizes = np.full(seconds, RPS)
    slower = np.bincount(second[buckets > at], minlength=seconds)
    p95 = quantile_estimate(counts, 0.95, Precision(design_effect=design_effect(slower, sizes, phase)))
    truth_s = 0.02 * np.exp(np.hypot(0.4, 0.2) * 1.6448536)
    errors = random.binomial(RPS, np.minimum(0.05 * np.exp(0.5 * level), 1))
    ratio = ratio_estimate(
        int(errors.sum()), int(sizes.sum()), Precision(design_effect=design_effect(errors, sizes, phase))
    )
    truth_ratio = 0.05 * np.exp(0.5**2 / 2)
    counted = np.rint(50 + 10 * level).astype(np.int64)
    return (
        p95 is not None and p95.low <= truth_s <= p95.high,
        ratio is not None and ratio.low <= truth_ratio <= ratio.high,
        bool(abs(counted.mean() - 50) <= half_width_of_mean(counted, phase)),
    )


def main(simulations: int) -> None:
    random = np.random.default_rng(2026)
    rows = []
    for seconds in SECONDS:
        for phi in PHIS:
            found = np.mean([covered(random, seconds=seconds, phi=phi) for _ in range(simulations)], axis=0)
            names = ("p95", "error_ratio", "rate")
            rows.append({"seconds": seconds, "phi": phi, **dict(zip(names, map(float, found), strict=True))})
    write_results("coverage", {**machine(), "command": "make bench-coverage", "simulations": simulations, "rows": rows})


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
