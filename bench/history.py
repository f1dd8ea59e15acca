"""How often a history raises a false alarm, and how soon it detects a slowdown, on simulated runs.

    python -m bench.history [SIMULATIONS]        writes bench/results/history.json

Run-to-run standard deviation 3 %; AR(1) noise of several correlations. The scores that noise reaches, in
loadproof/analysis/compare/statistics/changepoints.py, were computed as in `reached`, from 1000 to 4000 series of each
length.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import signal

from bench.serving import machine, write_results
from loadproof.analysis.compare.history import FALSE_ALARMS, largest_p
from loadproof.analysis.compare.statistics.changepoints import candidates, p_of_score, scores
from loadproof.analysis.estimates.estimate import ratio_estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

RUN_TO_RUN = 0.03
TENTH = float(np.log(1.1))
PHIS = (0.0, 0.25, 0.5, 0.7)
RUNS = (20, 30, 60, 120)
AFTER = (2, 3, 5, 10, 20)
AT_ONCE = 100


def noise(random: np.random.Generator, times: int, runs: int, phi: float) -> NDArray[np.float64]:
    """Series of runs, shape (times, runs)."""
    values = random.normal(0, np.sqrt(1 - phi**2), (times, runs))
    values[:, 0] = random.normal(size=times)
    series: NDArray[np.float64] = RUN_TO_RUN * signal.lfilter([1], [1, -phi], values, axis=1)
    return series


def best_of(series: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The p-value of each series, and the run at which its best change begins; `series` has shape (series, runs)."""
    ps, firsts = [], []
    for part in np.array_split(series, -(-len(series) // AT_ONCE)):
        found = scores(part)
        ps += [p_of_score(float(score), series.shape[1]) for score in found.max(axis=1)]
        firsts.append(candidates(series.shape[1]).first[found.argmax(axis=1)])
    return np.array(ps), np.concatenate(firsts)


def alarms(series: NDArray[np.float64]) -> int:
    """The number of series in which a change is found."""
    return int((best_of(series)[0] <= FALSE_ALARMS).sum())


def told(hits: int, times: int) -> dict[str, Any]:
    """A ratio with its 95 % interval."""
    estimate = ratio_estimate(hits, times)
    assert estimate is not None
    return {"hits": hits, "n": times, "ratio": estimate.value, "low": estimate.low, "high": estimate.high}


def stable(random: np.random.Generator, times: int) -> list[dict[str, Any]]:
    return [
        {"phi": phi, "runs": runs, **told(alarms(noise(random, times, runs, phi)), times)}
        for phi in PHIS
        for runs in RUNS
    ]


def found(random: np.random.Generator, times: int) -> list[dict[str, Any]]:
    """10 % more in the last `after` of 60 runs: how often it is found there, give or take two runs."""
    rows = []
    for phi in PHIS[:3]:
        for after in AFTER:
            series = noise(random, times, 60, phi)
            series[:, 60 - after :] += TENTH
            ps, firsts = best_of(series)
            hits = int(((ps <= FALSE_ALARMS) & (abs(firsts - (60 - after)) <= 2)).sum())
            rows.append({"phi": phi, "after": after, **told(hits, times)})
    return rows


def watched(random: np.random.Generator, times: int) -> list[dict[str, Any]]:
    """A stable history, checked after each run from the 20th to the 60th: how often there is any alarm."""
    rows = []
    for phi in PHIS[:3]:
        series = noise(random, times, 60, phi)
        alarmed = np.zeros(times, dtype=bool)
        for runs in range(20, 61):
            alarmed |= best_of(series[:, :runs])[0] <= FALSE_ALARMS
        rows.append({"phi": phi, **told(int(alarmed.sum()), times)})
    return rows


def families(random: np.random.Generator, times: int) -> list[dict[str, Any]]:
    """Forty rows of 60 runs that share half of their noise: stable, and 10 % slower in the last three runs."""
    rows = []
    for shift in (0.0, TENTH):
        hits = 0
        for _ in range(times):
            family = (noise(random, 1, 60, 0.5) + noise(random, 40, 60, 0.5)) / np.sqrt(2)
            family[:, 57:] += shift
            hits += largest_p(best_of(family)[0].tolist()) > 0
        rows.append({"shift": shift, **told(hits, times)})
    return rows


def reached(random: np.random.Generator, times: int) -> list[dict[str, Any]]:
    """The score that noise with correlation 0.5 exceeds in 5 % of series, for changepoints.py."""
    return [
        {
            "runs": runs,
            "score": float(np.quantile(scores(noise(random, times, runs, 0.5)).max(axis=1), 0.95)),
            "n": times,
        }
        for runs in (20, 30, 45, 60, 90, 120, 400)
    ]


def main(times: int) -> None:
    random = np.random.default_rng(2026)
    result = {
        "stable": stable(random, times),
        "found": found(random, times // 2),
        "watched": watched(random, times // 10),
        "families": families(random, times // 20),
        "reached": reached(random, times // 10),
    }
    write_results("history", {**machine(), "command": "make bench-history", **result})


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
