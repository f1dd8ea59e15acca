"""How often `loadproof compare` is wrong, and how often it finds a real change, on simulated releases.

python -m bench.compare_errors [PART]    PART: fraction of the documented number of comparisons (default: 1)
"""

from __future__ import annotations

import sys
from typing import Any

from scipy import stats

from bench.serving import machine, write_results
from loadproof.analysis.compare.comparedrow import ChangeWord
from simulation.comparisons import alarms_of_welch, words_of
from simulation.releases import Noise

WELCH = [(5, 0.01, 0.0), (5, 0.03, 0.0), (5, 0.03, 0.9), (8, 0.03, 0.5)]
"""Runs per side, noise between runs, correlation of neighbouring seconds."""
WELCH_TIMES = 1000
EQUAL = [(5, 0.03, True, 400), (8, 0.03, True, 200), (5, 0.03, False, 150)]
"""Runs per side, noise, whether the sides alternate, comparisons."""
SLOWER = [
    (5, 0.03, 0.10, 60),
    (8, 0.03, 0.10, 60),
    (8, 0.03, 0.05, 120),
    (12, 0.03, 0.05, 120),
    (5, 0.05, 0.10, 60),
    (8, 0.05, 0.10, 60),
]
"""Runs per side, noise, relative slowdown, comparisons; the margin is 5 %."""


def rate(count: int, n: int) -> dict[str, Any]:
    """A rate with its exact 95 % interval (Clopper and Pearson 1934, doi:10.1093/biomet/26.4.404)."""
    interval = stats.binomtest(count, n).proportion_ci()
    return {"count": count, "n": n, "low": float(interval.low), "high": float(interval.high)}


def _counted(runs: int, noise: float, n: int, **how: Any) -> dict[str, Any]:
    """How often each word came out, for the whole comparison and for one named row."""
    whole, named = words_of(n, runs=runs, noise=Noise(noise), **how)
    return {
        "runs": runs,
        "noise": noise,
        "whole": {str(word): rate(whole[word], n) for word in ChangeWord},
        "named": {str(word): rate(named[word], n) for word in ChangeWord},
    }


def main(part: float) -> None:
    results: dict[str, Any] = {
        **machine(),
        "command": "make bench-compare-errors",
        "welch": [],
        "equal": [],
        "slower": [],
    }
    for runs, noise, phi in WELCH:
        n = max(1, int(part * WELCH_TIMES))
        alarms = alarms_of_welch(n, runs=runs, noise=Noise(noise, phi))
        results["welch"].append({"runs": runs, "noise": noise, "phi": phi, **rate(alarms, n)})
    for runs, noise, alternately, times in EQUAL:
        counted = _counted(runs, noise, max(1, int(part * times)), alternately=alternately)
        results["equal"].append({"alternately": alternately, **counted})
        write_results("compare-errors", results)
    for runs, noise, slower, times in SLOWER:
        counted = _counted(runs, noise, max(1, int(part * times)), slower=slower)
        results["slower"].append({"slower": slower, **counted})
        write_results("compare-errors", results)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
