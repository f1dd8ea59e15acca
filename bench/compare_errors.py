"""How often `loadproof compare` is wrong, and how often it finds what is there, over simulated releases.

python -m bench.compare_errors [PART]    PART: of the comparisons that are documented (default: 1)
"""

from __future__ import annotations

import sys
from typing import Any

from scipy import stats

from bench.serving import machine, write_results
from loadproof.analysis.compare.comparedrow import ChangeWord
from simulation.comparisons import alarms_of_welch, words_of
from simulation.releases import Noise

WELCH = [(5, 0.01, 0.0), (5, 0.03, 0.0), (5, 0.03, 0.9), (5, 0.1, 0.5), (8, 0.03, 0.5)]
"""Runs a side, noise between runs, correlation of neighbouring seconds."""
EQUAL = [(5, 0.03, True, 600), (5, 0.03, False, 300), (8, 0.03, True, 300), (5, 0.1, True, 300)]
"""Runs a side, noise, whether made alternately, comparisons."""
SLOWER = [
    (runs, noise, slower, 100)
    for noise, slower, sizes in ((0.03, 0.10, (5, 8)), (0.05, 0.10, (5, 8)), (0.03, 0.05, (5, 8, 12)))
    for runs in sizes
]
AT_MARGIN = [(8, 0.03, 200), (12, 0.03, 200)]
WELCH_TIMES = 2000


def rate(count: int, n: int) -> dict[str, Any]:
    """With its exact 95 % interval (Clopper and Pearson 1934, doi:10.1093/biomet/26.4.404)."""
    interval = stats.binomtest(count, n).proportion_ci()
    return {"count": count, "n": n, "low": float(interval.low), "high": float(interval.high)}


def _counted(runs: int, noise: float, n: int, **how: Any) -> dict[str, Any]:
    """How often which word came out, of the whole and of one named row."""
    whole, named = words_of(n, runs=runs, noise=Noise(noise), **how)
    return {
        "runs": runs,
        "noise": noise,
        "whole": {str(word): rate(whole[word], n) for word in ChangeWord},
        "named": {str(word): rate(named[word], n) for word in ChangeWord},
    }


def main(part: float) -> None:
    found: dict[str, Any] = {**machine(), "command": "make bench-compare-errors"}
    times = max(1, int(part * WELCH_TIMES))
    found["welch"] = [
        {
            "runs": runs,
            "noise": noise,
            "phi": phi,
            **rate(alarms_of_welch(times, runs=runs, noise=Noise(noise, phi)), times),
        }
        for runs, noise, phi in WELCH
    ]
    found["equal"] = [
        {"alternately": alternately, **_counted(runs, noise, max(1, int(part * n)), alternately=alternately)}
        for runs, noise, alternately, n in EQUAL
    ]
    found["slower"] = [
        {"slower": slower, **_counted(runs, noise, max(1, int(part * n)), slower=slower)}
        for runs, noise, slower, n in SLOWER
    ]
    found["at_margin"] = [
        {"slower": 0.05, **_counted(runs, noise, max(1, int(part * n)), slower=0.05)} for runs, noise, n in AT_MARGIN
    ]
    write_results("compare-errors", found)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
