"""Converts quantities as people write them ('500 ms', '1000 rps', '1 %') to SI floats and back."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True)
class Notation:
    """How a kind of quantity is written."""

    label: str
    """Its name in messages."""
    example: str
    factors: Mapping[str, float]
    """Each unit's value in SI units (s, 1/s, 0-1)."""


class Dimension(Enum):
    """What a number measures."""

    DURATION = Notation("a duration", "500 ms", {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0})
    RATE = Notation("a rate", "1000 rps", {"rps": 1.0, "/s": 1.0, "/min": 1 / 60})
    RATIO = Notation("a ratio", "1 %", {"%": 0.01})
    COUNT = Notation("a count", "100", {"": 1.0})
    BANDWIDTH = Notation("a bandwidth", "100 kB/s", {"B/s": 1.0, "kB/s": 1e3, "MB/s": 1e6})
    MULTIPLE = Notation("a multiple", "2 x", {"x": 1.0})


_QUANTITY = re.compile(r"\s*(?P<number>\d{1,15}(?:\.\d{1,9})?)\s*(?P<unit>[a-zA-Z/%\u00b5\u03bc]*)\s*", re.ASCII)
_MICRO = str.maketrans("\u00b5\u03bc", "uu")
"""The micro sign and the Greek mu: keyboards have one or the other."""


_SHOWN_IN = {
    Dimension.RATE: ("rps", 1.0),
    Dimension.BANDWIDTH: ("kB/s", 1e3),
    Dimension.MULTIPLE: ("x", 1.0),
}


def parse_quantity(text: object, dimension: Dimension) -> float:
    """The value in SI units (s, 1/s, 0-1), never negative; ValueError says what was expected.

    A bare number is refused if the dimension has units: '10' seconds and '10' milliseconds differ by a factor that no
    load test survives.
    """
    notation = dimension.value
    match = _QUANTITY.fullmatch(text) if isinstance(text, str) else None
    unit = "" if match is None else match["unit"].translate(_MICRO)
    if match is None or unit not in notation.factors:
        units = ", ".join(filter(None, notation.factors))
        of_units = f" (units: {units})" if units else ""
        raise ValueError(f"expected {notation.label} like {notation.example!r}{of_units}")
    return float(match["number"]) * notation.factors[unit]


def format_duration(seconds: float) -> str:
    """Three significant digits in the most readable unit: '0 s', '0.42 ms', '185 ms', '1.5 s', '10 min'; NaN: '–'."""
    if math.isnan(seconds):
        return "–"
    if 0 < abs(seconds) < 1:
        return f"{_digits(seconds * 1e3)} ms"
    if abs(seconds) < 120:
        return f"{_digits(seconds)} s"
    return f"{_digits(seconds / 60)} min"


def three_digits(value: float) -> str:
    """A number of any size to read: '1,520', '975', '12.3'."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.3g}"


def format_quantity(value: float, dimension: Dimension) -> str:
    """A value in SI units (s, 1/s, 0-1) with three significant digits and its unit; '–' for NaN.

    A ratio below one is never '100 %', one above zero never '0 %', and counts are whole.
    """
    if math.isnan(value):
        return "–"
    match dimension:
        case Dimension.DURATION:
            return format_duration(value)
        case Dimension.RATIO:
            return f"{_percent(value)} %"
        case Dimension.COUNT:
            return f"{value:,.0f}"
        case Dimension.RATE | Dimension.BANDWIDTH | Dimension.MULTIPLE:
            unit, factor = _SHOWN_IN[dimension]
            return f"{_digits(value / factor)} {unit}"


def counted(n: float, thing: str, things: str = "") -> str:
    """'1 request', '3,000 requests'; `things` where the plural is more than an s: ('it has', 'they have')."""
    number = f"{n:,.0f}"
    return f"{number} {thing if number == '1' else things or f'{thing}s'}"


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


def sentence(text: str) -> str:
    """The text with a capital first letter; the rest is unchanged, because it may contain names."""
    return text[:1].upper() + text[1:]
