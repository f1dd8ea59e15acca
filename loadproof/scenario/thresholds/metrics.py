"""The metrics that thresholds can name: what each counts, and what can be done with it.

docs/glossary.md explains them. One that counts requests needs only its line here: the judge computes it from what it
counts. The others are computed in analysis/estimates, under the same names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from loadproof.outcome import ERRORS, WITH_ANSWER, Outcome
from loadproof.units import Dimension


@dataclass(frozen=True)
class Counted:
    """A selection of requests, by the series and outcomes that a run records."""

    series: tuple[str, ...]
    outcomes: frozenset[Outcome] | None = None
    """None: all."""
    by_arrival: bool = False
    """Counted in the second in which the answer arrived, whichever phase sent the request."""


SENT: Final = Counted(("response",))
OFFERED: Final = Counted(("response", "dropped"))
GOOD: Final = Counted(("good",))
ANSWERED: Final = Counted(("completed",), WITH_ANSWER, by_arrival=True)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What a metric is, and what can be done with it."""

    dimension: Dimension
    counted: Counted | None = None
    """What it counts; None if it doesn't count requests."""
    out_of: Counted | None = None
    """What it is a share of; None if it isn't a share."""
    reads_times: bool = False
    """It reads the times of answers with one outcome, in one series."""
    in_windows: bool = False
    """It can be judged in each window of a run: `for 10 s`."""
    beside_baseline: bool = False
    drifts: bool = False
    """It grows when a target gets worse, so `drift(...)` can watch it."""
    should_be_high: bool = False
    should_be_low: bool = False
    """Neither is set for ratios of refusals: a test of a limiter expects many of them."""
    of_bursts: bool = False
    """It compares the requests of a burst, and only a phase of bursts has one."""
    of_one_phase: bool = False
    """It compares the seconds of a phase with others, so that two phases have no common value."""
    from_disturbance: bool = False
    """It is the time since something went wrong."""

    @property
    def is_ratio(self) -> bool:
        return self.out_of is not None and self.dimension is Dimension.RATIO

    @property
    def is_by_arrival(self) -> bool:
        """It counts answers where they arrive."""
        return self.counted is not None and self.counted.by_arrival

    @property
    def is_total(self) -> bool:
        """It grows with the number of requests; without some of them it is another value."""
        return self.dimension in {Dimension.RATE, Dimension.COUNT}

    @property
    def may_be_zero(self) -> bool:
        """It is a time that may be none at all, unlike that of a response."""
        return self.of_bursts or self.from_disturbance


def _time_of_responses(*, in_windows: bool = False, drifts: bool = False) -> Kind:
    return Kind(
        dimension=Dimension.DURATION,
        reads_times=True,
        in_windows=in_windows,
        beside_baseline=True,
        drifts=drifts,
        should_be_low=True,
    )


def _ratio_of(outcomes: frozenset[Outcome], *, should_be_low: bool = False) -> Kind:
    return Kind(
        dimension=Dimension.RATIO,
        counted=Counted(SENT.series, outcomes),
        out_of=SENT,
        in_windows=True,
        beside_baseline=True,
        drifts=True,
        should_be_low=should_be_low,
    )


def _rate_of(counted: Counted) -> Kind:
    return Kind(dimension=Dimension.RATE, counted=counted, in_windows=True, beside_baseline=True, should_be_high=True)


METRICS: Final = {
    "p": _time_of_responses(in_windows=True, drifts=True),
    "max": _time_of_responses(),
    "mean": _time_of_responses(drifts=True),
    "spread": Kind(dimension=Dimension.DURATION, should_be_low=True, of_bursts=True),
    "recovery": Kind(dimension=Dimension.DURATION, should_be_low=True, of_one_phase=True, from_disturbance=True),
    "error_ratio": _ratio_of(ERRORS, should_be_low=True),
    "throttled_ratio": _ratio_of(frozenset({Outcome.THROTTLED})),
    "rejected_ratio": _ratio_of(frozenset({Outcome.REJECTED})),
    "goodput_ratio": Kind(
        dimension=Dimension.RATIO,
        counted=GOOD,
        out_of=OFFERED,
        in_windows=True,
        beside_baseline=True,
        should_be_high=True,
    ),
    "drift": Kind(dimension=Dimension.RATIO, should_be_low=True, of_one_phase=True),
    "burn_rate": Kind(dimension=Dimension.MULTIPLE, counted=GOOD, out_of=OFFERED, in_windows=True, should_be_low=True),
    "goodput": _rate_of(GOOD),
    "throughput": _rate_of(ANSWERED),
    "count": Kind(dimension=Dimension.COUNT, counted=SENT, should_be_high=True),
}
RESOURCES: Final = {
    "memory": "process_resident_memory_bytes",
    "descriptors": "process_open_fds",
    "threads": "process_threads",
}
"""The target's resources, and their names in its /metrics; only for drift."""
RESOURCE: Final = Kind(dimension=Dimension.COUNT)
