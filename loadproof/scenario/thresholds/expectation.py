"""The grammar of thresholds: text to value and back.

    expectation = metric comparison limit [ "for" duration ]
    metric      = "p(" percent ")" | "max" | "mean" | ratio | rate | "count" | "spread"
                | "burn_rate(" percent ")" | "recovery" | "drift(" ( metric | resource ) ")"
    ratio       = "error_ratio" | "throttled_ratio" | "rejected_ratio" | "goodput_ratio"
    rate        = "goodput" | "throughput"
    resource    = "memory" | "descriptors" | "threads"
    comparison  = "<" | "<=" | ">" | ">="
    limit       = number unit | number "*" "baseline"

Units are required: `p(95) < 200 ms`, `error_ratio < 1 %`, `goodput >= 950 rps`, `burn_rate(99.9) < 2 x`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from loadproof.scenario.thresholds.metrics import METRICS, RESOURCE, RESOURCES, Kind
from loadproof.units import Dimension, format_quantity, parse_quantity

_DRIFTING: Final = frozenset(name for name, kind in METRICS.items() if kind.drifts) | frozenset(RESOURCES)

COMPARISONS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

_NAME = r"(?P<name>[a-z_]+)(?:\(\s*(?P<argument>[^()]*(?:\([^()]*\))?)\s*\))?"
_EXPECTATION = re.compile(rf"\s*{_NAME}\s*(?P<comparison><=|>=|<|>)\s*(?P<limit>.*?)(?:\s+for\s+(?P<window>.*))?\s*")
_METRIC = re.compile(rf"\s*{_NAME}\s*")
_BASELINE = re.compile(r"(?P<factor>\d{1,3}(?:\.\d{1,6})?)\s*\*\s*baseline")
_PERCENT = re.compile(r"\d{1,2}(?:\.\d{1,6})?")


@dataclass(frozen=True)
class Metric:
    """A metric by name; `quantile` (0-1) belongs to `p`, `objective` (0-1) to `burn_rate`, `of` to `drift`."""

    name: str
    quantile: float | None = None
    of: Metric | None = None
    objective: float | None = None

    @property
    def kind(self) -> Kind:
        return METRICS.get(self.name, RESOURCE)

    @property
    def dimension(self) -> Dimension:
        return self.kind.dimension

    def __str__(self) -> str:
        percentage = self.quantile or self.objective
        if percentage is not None:
            return f"{self.name}({percentage * 100:.10g})"
        return self.name if self.of is None else f"{self.name}({self.of})"


@dataclass(frozen=True)
class Expectation:
    """`metric comparison limit`; the limit in SI units, or as a factor of the baseline's value."""

    metric: Metric
    comparison: str
    limit: float
    of_baseline: bool = False
    window_s: float | None = None

    @property
    def wants_low(self) -> bool:
        return self.comparison.startswith("<")

    def holds(self, value: float) -> bool:
        return bool(COMPARISONS[self.comparison](value, self.limit))

    @property
    def limit_text(self) -> str:
        if self.of_baseline:
            return f"{self.limit:.10g} * baseline"
        return format_quantity(self.limit, self.metric.dimension)

    def __str__(self) -> str:
        window = "" if self.window_s is None else f" for {self.window_s:.10g} s"
        return f"{self.metric} {self.comparison} {self.limit_text}{window}"


def parse_expectation(text: str) -> Expectation:
    """Parse one expectation; ValueError says what is wrong and what would be right."""
    match = _EXPECTATION.fullmatch(text)
    if match is None:
        raise ValueError("expected 'metric comparison limit' like 'p(95) < 200 ms'")
    metric = _metric(match["name"], match["argument"])
    window = match["window"]
    baseline = _BASELINE.fullmatch(match["limit"])
    limit = float(baseline["factor"]) if baseline else parse_quantity(match["limit"], metric.dimension)
    return Expectation(
        metric=metric,
        comparison=match["comparison"],
        limit=limit,
        of_baseline=baseline is not None,
        window_s=None if window is None else parse_quantity(window, Dimension.DURATION),
    )


def _metric(name: str, argument: str | None) -> Metric:
    if name not in METRICS:
        raise ValueError(f"unknown metric {name!r}; one of p(95), {', '.join(sorted(set(METRICS) - {'p'}))}")
    if name == "p":
        # p(100) is `max`, which needs no samples beyond it.
        return Metric("max") if argument == "100" else Metric("p", quantile=_part(name, argument))
    if name == "burn_rate":
        return Metric(name, objective=_part(name, argument))
    if name == "drift":
        return Metric(name, of=_drifting(argument))
    if argument is not None:
        raise ValueError(f"{name} takes no argument; write '{name}'")
    return Metric(name)


def _drifting(argument: str | None) -> Metric:
    inner = _METRIC.fullmatch(argument or "")
    if inner is None or inner["name"] not in _DRIFTING:
        raise ValueError(f"drift needs a metric like drift(p(95)); one of {', '.join(sorted(_DRIFTING))}")
    name = inner["name"]
    return Metric(name) if name in RESOURCES else _metric(name, inner["argument"])


def _part(name: str, argument: str | None) -> float:
    if argument is None or _PERCENT.fullmatch(argument) is None or float(argument) <= 0:
        raise ValueError(f"{name} needs a percentage above 0 and below 100, like {name}(95) or {name}(99.9)")
    if float(argument) < 1:
        raise ValueError(_fraction(name, argument))
    # Without rounding, 99.9 becomes 0.9990000000000001.
    return round(float(argument) / 100, 10)


def _fraction(name: str, argument: str) -> str:
    """Prometheus and numpy write the 95th percentile as 0.95; here, hardly any target would violate a limit on that."""
    written = float(argument)
    meaning = f"an objective of {written:.10g} % good requests"
    if name == "p":
        meaning = f"the {written:.10g}th percentile: {100 - written:.10g} % of the answers may be slower than the limit"
    return f"{name}({argument}) is {meaning}; write {name}({written * 100:.10g})"
