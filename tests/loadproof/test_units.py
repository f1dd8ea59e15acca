"""Quantities as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadproof.units import Dimension, counted, format_duration, format_quantity, parse_quantity


@pytest.mark.parametrize(
    ("text", "dimension", "value"),
    [
        ("500 ms", Dimension.DURATION, 0.5),
        ("1.5s", Dimension.DURATION, 1.5),
        (" 10 min ", Dimension.DURATION, 600),
        ("300 us", Dimension.DURATION, 3e-4),
        ("300 \u00b5s", Dimension.DURATION, 3e-4),
        ("300 \u03bcs", Dimension.DURATION, 3e-4),
        ("1000 rps", Dimension.RATE, 1000),
        ("30 /min", Dimension.RATE, 0.5),
        ("0.1 %", Dimension.RATIO, 0.001),
        ("12", Dimension.COUNT, 12),
    ],
)
def test_quantities_are_read_in_si_units(text, dimension, value):
    """Seconds, per second, and 0 to 1."""
    assert parse_quantity(text, dimension) == pytest.approx(value)


@pytest.mark.parametrize(
    "text", ["10", "10 S", "-1 s", "1e3 s", "", "ms", "1 2 s", "10 %", 10, None, True, "١ s", "9" * 20]
)
def test_ambiguous_quantities_are_refused(text):
    """No bare numbers, no other dimension, no other digits; the message says what was expected."""
    with pytest.raises(ValueError, match="a duration like '500 ms'"):
        parse_quantity(text, Dimension.DURATION)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.00042, "0.42 ms"),
        (0.185, "185 ms"),
        (1.5, "1.5 s"),
        (90, "90 s"),
        (600, "10 min"),
        (float("nan"), "–"),
    ],
)
def test_durations_are_shown_in_the_most_readable_unit(seconds, text):
    """Three significant digits."""
    assert format_duration(seconds) == text


@given(st.floats(0, 1))
def test_a_ratio_is_never_rounded_to_none_or_all(ratio):
    """99.96 % is not 100 %, and one error in a million is not none."""
    text = format_quantity(ratio, Dimension.RATIO)
    if 1e-8 < ratio < 1 - 1e-8:
        assert text not in {"0 %", "100 %"}
    assert float(text.removesuffix(" %")) / 100 == pytest.approx(ratio, abs=6e-4)


def test_other_dimensions_carry_their_unit():
    """Rates and counts; a dash where there is no number."""
    assert format_quantity(39.14, Dimension.RATE) == "39.1 rps"
    assert format_quantity(1234, Dimension.COUNT) == "1,234"
    assert format_quantity(0.2, Dimension.DURATION) == "200 ms"
    assert format_quantity(float("nan"), Dimension.RATE) == "–"


@given(st.floats(1e-5, 6e5), st.sampled_from(["us", "ms", "s", "min", "h"]))
def test_every_written_duration_reads_back(seconds, unit):
    """Writing in any unit and reading gives the same duration."""
    factor = Dimension.DURATION.value.factors[unit]
    text = f"{seconds / factor:.9f} {unit}"
    assert parse_quantity(text, Dimension.DURATION) == pytest.approx(seconds, rel=1e-3, abs=1e-5)


def test_a_single_thing_is_singular():
    """However the plural is made."""
    assert [counted(n, "request") for n in (0, 1, 3000)] == ["0 requests", "1 request", "3,000 requests"]
    assert [counted(n, "line has", "lines have") for n in (1, 2)] == ["1 line has", "2 lines have"]
