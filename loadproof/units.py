"""Quantities as people write them ('500 ms', '1000 rps', '1 %') to SI floats, and back."""

from __future__ import annotations

import math
import re
from enum import Enum


class Dimension(Enum):
    """What a number measures: its name in messages, and the units that it may be written in."""

    DURATION = ("a duration", {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0})
    RATE = ("a rate", {"rps": 1.0, "/s": 1.0, "/min": 1 / 60})
    RATIO = ("a ratio", {"%": 0.01})
    COUNT = ("a count", {"": 1.0})
    MULTIPLE = ("a multiple", {"x": 1.0})

    def __init__(self, label: str, factors: dict[str, float]) -> None:
        self.label = label
        self.factors = factors

    @property
    def example(self) -> str:
        return {
            Dimension.DURATION: "'500 ms'",
            Dimension.RATE: "'1000 rps'",
            Dimension.RATIO: "'1 %'",
            Dimension.COUNT: "'100'",
            Dimension.MULTIPLE: "'2 x'",
        }[self]


_QUANTITY = re.compile(r"\s*(?P<number>\d{1,15}(?:\.\d{1,9})?)\s*(?P<unit>[a-zA-Z/%]*)\s*", re.ASCII)


def parse_quantity(text: object, dimension: Dimension) -> float:
    """The value in SI units (s, 1/s, 0-1); ValueError says what was expected.

    A bare number is refused where the dimension has units: '10' seconds and '10' milliseconds
    differ by a factor that no load test survives.
    """
    units = ", ".join(filter(None, dimension.factors))
    expected = f"expected {dimension.label} like {dimension.example}" + (f" (units: {units})" if units else "")
    match = _QUANTITY.fullmatch(text) if isinstance(text, str) else None
    if match is None or match["unit"] not in dimension.factors:
        raise ValueError(expected)
    return float(match["number"]) * dimension.factors[match["unit"]]


def format_duration(seconds: float) -> str:
    """Three significant digits in the unit that reads best: '0 s', '0.42 ms', '185 ms', '1.5 s', '10 min'."""
    if math.isnan(seconds):
        return "–"
    if 0 < abs(seconds) < 1:
        return f"{_digits(seconds * 1e3)} ms"
    if abs(seconds) < 120:
        return f"{_digits(seconds)} s"
    return f"{_digits(seconds / 60)} min"


def format_quantity(value: float, dimension: Dimension) -> str:
    if math.isnan(value):
        return "–"
    match dimension:
        case Dimension.DURATION:
            return format_duration(value)
        case Dimension.RATE:
            return f"{_digits(value)} rps"
        case Dimension.RATIO:
            return f"{_percent(value)} %"
        case Dimension.COUNT:
            return f"{value:,.0f}"
        case Dimension.MULTIPLE:
            return f"{_digits(value)} x"


def _digits(value: float) -> str:
    if value == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{min(decimals, 3)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _percent(ratio: float) -> str:
    """Never rounds a ratio below one up to '100', nor one above zero down to '0'."""
    percent = ratio * 100
    for decimals in range(1, 8):
        text = f"{percent:.{decimals}f}"
        if (float(text) < 100 or ratio >= 1) and (float(text) > 0 or ratio <= 0):
            return text.rstrip("0").rstrip(".") if float(text) else "0"
    return f"{percent:.6g}"
