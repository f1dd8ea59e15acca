"""Many requests at once are counted as if one by one."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loadproof.histogram import BUCKETS, MAX_US, bucket_of, buckets_of
from loadproof.recording.cells import cells_of
from loadproof.recording.second import Moments

PHASES, ENDS_S = ("a", "b", "c"), (5.0, 20.0, 30.0)
row = st.tuples(
    st.floats(-1, 40), st.floats(0, 70), st.sampled_from([0.0, 0.001]), st.sampled_from([0.0, 0.01]), st.floats(0, 70)
)


@given(st.lists(st.integers(0, 2 * MAX_US), max_size=50))
def test_buckets_of_many_values_are_those_of_each(times_us):
    """Including values out of range."""
    assert buckets_of(np.array(times_us, dtype=float) * 1e-6).tolist() == [bucket_of(time_us) for time_us in times_us]


@given(st.lists(row, min_size=1, max_size=30), st.sampled_from([None, 1.0]))
def test_cells_match_each_row(rows, deadline_s):
    """The second and phase of the intended start; completed in the second it ended in."""
    table = np.array(
        [
            (due, due + lag, due + lag + connect, connect, first, due + lag + connect + took, 7)
            for due, lag, connect, first, took in rows
        ]
    )
    expected: Counter = Counter()
    for due, began, sent, connect, first, ended, _ in table.tolist():
        second, phase = max(0, int(due)), PHASES[min(2, sum(end <= due for end in ENDS_S))]
        for series, value in (("response", ended - due), ("service", ended - sent), ("lag", began - due)):
            expected[second, phase, series, bucket_of(round(value * 1e6))] += 1
        if connect:
            expected[second, phase, "connect", bucket_of(round(connect * 1e6))] += 1
        if first:
            expected[second, phase, "first_byte", bucket_of(round(first * 1e6))] += 1
            expected[second, phase, "transfer", bucket_of(round((ended - sent - first) * 1e6))] += 1
        expected[max(0, int(ended)), phase, "completed", 0] += 1
        if deadline_s is not None and ended - due <= deadline_s:
            expected[second, phase, "good", 0] += 1
    cells = cells_of(Moments(*table.T), phases=PHASES, phase_ends_s=ENDS_S, deadline_s=deadline_s)
    assert {cell[:4]: cell[4] for cell in cells} == expected
    assert all(0 <= bucket < BUCKETS for _, _, _, bucket, _ in cells)


def test_an_answer_exactly_at_its_deadline_is_good():
    """A microsecond more is too late. Halves and quarters of a second are exact."""
    rows = np.array([(2.0, 2.0, 2.0, 0.0, 0.0, ended_s, 7) for ended_s in (2.25, 2.5, 2.500001)])
    cells = cells_of(Moments(*rows.T), phases=PHASES, phase_ends_s=ENDS_S, deadline_s=0.5)
    assert [cell for cell in cells if cell[2] == "good"] == [(2, "a", "good", 0, 2)]
