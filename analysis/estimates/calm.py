"""Describes the seconds before a trigger, and finds the first later ones that are like them again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.analysis.estimates.distributions import binomial_bound, binomial_quantile, t_quantile
from loadproof.analysis.estimates.overtime import answered, quantiles_over_time, times_where_few
from loadproof.analysis.frames.cellsums import by_second
from loadproof.plan.evidence import CALM_SECONDS, SECONDS_BEFORE

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from loadproof.analysis.frames.run import Run

GOODPUT_SHARE: Final = 0.99
"""As a share of the goodput, and of the goodput ratio, before the trigger."""
FALSE_ALARM: Final = 0.05
"""How likely, at most, an undisturbed run is to look as if it took time to recover; half for p95, half for goodput."""
_TAIL: Final = FALSE_ALARM / 2 / (CALM_SECONDS + 2)
"""Per test of goodput: one for each second, and two for all of them together, by ratio and by number."""
_TAIL_OF_ALL: Final = 0.01
"""For the number of slow answers in all of the seconds together."""
_UNNOTICED: Final = 0.01
"""As a fraction of the deadline: a p95 that is longer by less than this counts as recovered, even if significant."""
_FEW: Final = 40
"""Answers in a second: the p95 of fewer is one of the two slowest, and far from log-normal."""
_EVENS: Final = 0.5
"""Confidence of the bound on the share of calm answers that are slow: more likely than not."""
FEWEST_GOOD: Final = 0.9
"""The lowest goodput ratio of a calm phase: being as bad as before doesn't count as recovery."""


@dataclass(frozen=True)
class Calm:
    """The limits of what a second like those before the trigger can look like."""

    p95_bound_s: float
    slow: float
    """The share of calm answers slower than `p95_bound_s`, at most; 0 if all seconds have many answers."""
    ratio: float
    """The goodput ratio that a calm second reaches, before allowing for chance."""
    may_be_idle: bool
    """A second in which nothing was offered counts as calm."""
    good: int
    lasted_s: int
    kept: float | None = None
    """The share of the goodput per second before that has to come back; None if the load need not be the same."""

    @staticmethod
    def of(seconds: pd.DataFrame, *, deadline_s: float, may_be_idle: bool, kept: float | None = None) -> Calm | None:
        """From a table of `seconds_between`; None if there are too few seconds, or they were not calm themselves."""
        known = seconds["p95"].dropna()
        ratio = goodput_ratio(seconds)
        if len(known) < SECONDS_BEFORE or ratio < FEWEST_GOOD:
            return None
        unnoticed_s = float(known.median()) + _UNNOTICED * deadline_s
        bound_s = max(prediction_bound(known.to_numpy()), unnoticed_s)
        return Calm(
            p95_bound_s=bound_s,
            slow=_slow_share(seconds["times"].dropna(), bound_s),
            ratio=GOODPUT_SHARE * ratio,
            may_be_idle=may_be_idle or bool((seconds["offered"] == 0).any()),
            good=int(seconds["good"].sum()),
            lasted_s=len(seconds),
            kept=kept,
        )

    def alike(self, seconds: pd.DataFrame) -> NDArray[np.bool_]:
        """Which of these seconds, taken individually, are like the calm ones; shape (seconds,)."""
        idle = seconds["offered"] == 0
        fits = self._is_fast(seconds) & self._is_good(seconds["good"], seconds["offered"])
        return np.where(idle, self.may_be_idle, fits).astype(bool)

    def _is_fast(self, seconds: pd.DataFrame) -> NDArray[np.bool_]:
        """By p95, or, where answers are few, by how many are slow: one or two slow ones by chance would decide p95."""
        n, slow = _counted(seconds["times"], self.p95_bound_s)
        few_are_slow = (n > 0) & (slow <= binomial_quantile(1 - _TAIL, np.maximum(n, 1), self.slow))
        return np.asarray(seconds["p95"] <= self.p95_bound_s) | few_are_slow

    def first_in(self, seconds: pd.DataFrame) -> int | None:
        """The position of the first CALM_SECONDS in a row that are calm, individually and together.

        None if there are none.
        """
        if len(seconds) < CALM_SECONDS:
            return None
        rolled = seconds[["good", "offered"]].rolling(CALM_SECONDS).sum()[CALM_SECONDS - 1 :]
        singly = np.lib.stride_tricks.sliding_window_view(self.alike(seconds), CALM_SECONDS).all(axis=1)
        together = self._is_good(rolled["good"], rolled["offered"]) & self._is_enough(rolled["good"])
        together &= self._are_fast(seconds)
        places = np.flatnonzero(singly & together)
        return int(places[0]) if places.size else None

    def _is_good(self, good: pd.Series, offered: pd.Series) -> NDArray[np.bool_]:
        """No less goodput than chance explains."""
        fewest = binomial_quantile(_TAIL, offered.clip(lower=1), self.ratio)
        return np.asarray((good >= fewest) | (offered == 0))

    def _are_fast(self, seconds: pd.DataFrame) -> NDArray[np.bool_]:
        """Whether all CALM_SECONDS are fast by p95, or together have no more slow answers than chance explains."""
        views = np.lib.stride_tricks.sliding_window_view
        n, slow = (views(count, CALM_SECONDS).sum(axis=1) for count in _counted(seconds["times"], self.p95_bound_s))
        by_p95 = views(~(seconds["p95"].to_numpy() > self.p95_bound_s), CALM_SECONDS).all(axis=1)
        return np.asarray(by_p95 | (slow <= binomial_quantile(1 - _TAIL_OF_ALL, np.maximum(n, 1), self.slow)))

    def _is_enough(self, good: pd.Series) -> NDArray[np.bool_]:
        """As much goodput per second as before: users who wait or have given up don't count as recovery.

        Given the sum of two counts of the same rate, each of them is binomial.
        Source: Przyborowski & Wilenski 1940, doi:10.1093/biomet/31.3-4.313.
        """
        if self.kept is None:
            return np.ones(len(good), dtype=bool)
        share = self.kept * CALM_SECONDS / (self.lasted_s + self.kept * CALM_SECONDS)
        return np.asarray(good >= binomial_quantile(_TAIL, self.good + good, share))


def prediction_bound(values: NDArray[np.float64]) -> float:
    """The bound that the largest of CALM_SECONDS more values exceeds with a probability of at most FALSE_ALARM / 2.

    For log-normal values, by Bonferroni; at least the largest value observed.
    Source: Hahn & Meeker, Statistical Intervals, section 4.8 (prediction bound for m future observations).
    """
    logs = np.log(values)
    n = logs.size
    t = t_quantile(1 - FALSE_ALARM / 2 / CALM_SECONDS, n - 1)
    bound = float(np.exp(logs.mean() + t * logs.std(ddof=1) * math.sqrt(1 + 1 / n)))
    return max(bound, float(values.max()))


def _slow_share(times: pd.Series, bound_s: float) -> float:
    """An upper bound on the share of slow answers, from calm seconds with few answers; 0 if there are none."""
    n, slow = (int(count.sum()) for count in _counted(times, bound_s))
    return binomial_bound(slow, n, _EVENS) if n else 0.0


def _counted(times: pd.Series, bound_s: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each second with few answers, how many there are and how many took longer; 0 for other seconds."""
    known = [each if isinstance(each, np.ndarray) else np.empty(0) for each in times]
    counts = [(each.size, int((each > bound_s).sum())) for each in known]
    n, slow = np.array(counts, dtype=np.int64).reshape(-1, 2).T
    return n, slow


def goodput_ratio(seconds: pd.DataFrame) -> float:
    return float(seconds["good"].sum() / max(seconds["offered"].sum(), 1))


def seconds_between(run: Run, rows: pd.DataFrame, start_s: float, end_s: float) -> pd.DataFrame:
    """Each measured whole second between these times: p95 in s (NaN without an `ok` answer), counts and ratio.

    `times` has the response times in s of each second with few answers, shape (answers,); NaN for other seconds.
    """
    seconds = range(math.ceil(start_s), math.floor(min(end_s, run.measured_s)))
    at = rows["second"].to_numpy()
    inside = rows[(at >= seconds.start) & (at < seconds.stop)]
    answers = answered(inside)
    p95 = quantiles_over_time(answers)[0.95].reindex(seconds)
    counts = by_second(inside, "series", max(seconds.stop, 0)).reindex(
        index=seconds, columns=["response", "dropped", "good"], fill_value=0
    )
    table = p95.to_frame("p95")
    table["times"] = times_where_few(answers, _FEW).reindex(seconds)
    table["offered"] = counts["response"] + counts["dropped"]
    table["good"] = counts["good"]
    table["ratio"] = table["good"] / table["offered"].where(table["offered"] > 0)
    return table
