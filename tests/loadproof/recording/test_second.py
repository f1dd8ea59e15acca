"""A second's finished requests have a column for each of their times."""

from __future__ import annotations

from array import array

import numpy as np
import pytest

from loadproof.http.messages import Timing
from loadproof.outcome import Outcome
from loadproof.plan.pacing import Due
from loadproof.recording.recorder import Recorder
from loadproof.recording.second import Moments, lag_p99_s, tables_of
from simulation.rundirs import manifest, scenario

PLACE = ("health", "GET", Outcome.OK)


def test_moments_are_written_in_the_order_they_are_read():
    """Each under its own name, and times of the run from the run's start."""
    recorder = Recorder(manifest(scenario()).phases, deadline_s=1.0, worker="1")
    recorder.start_s = 100.0
    for number in (0.0, 1.0):
        recorder.started()
        timing = Timing()
        timing.began_s, timing.sent_s, timing.ended_s = 101.5 + number, 102.5 + number, 103.5 + number
        timing.connect_s, timing.first_byte_s = 0.25, 0.125
        recorder.finished(*PLACE, Due(1.0 + number), timing, 77)
    (moments,) = tables_of(recorder._second.rows, recorder.start_s).values()
    second = Moments(2.0, 2.5, 3.5, 0.25, 0.125, 4.5, 77.0)  # type: ignore[arg-type]
    assert Moments(*(column[1] for column in moments)) == second
    assert moments.due_s.tolist() == [1.0, 2.0]


def test_start_lag_is_the_99th_percentile_of_all_kinds_together():
    """Not the maximum, and 0 if nothing was sent."""
    rows = {
        PLACE: array("d", [value for number in range(98) for value in (0.0, 100.0 + number * 1e-3, 0, 0, 0, 0, 0)]),
        ("pay", "POST", Outcome.OK): array("d", [0.0, 105.0, 0, 0, 0, 0, 0, 0.0, 109.0, 0, 0, 0, 0, 0]),
    }
    assert lag_p99_s(tables_of(rows, 100.0)) == pytest.approx(9.0)
    rows[PLACE] *= 2
    assert lag_p99_s(tables_of(rows, 100.0)) == pytest.approx(5.0)
    assert lag_p99_s({}) == 0.0


def test_start_lag_leaves_out_later_requests_of_a_turn():
    """They are due when they begin: nine of them would hide a request that began 5 s late."""
    rows = {PLACE: array("d", [0.0, 105.0, 0, 0, 0, 0, 0, *(0.0, 100.0, 0, 0, 0, 0, 0) * 199])}
    assert [lag_p99_s(tables_of(rows, 100.0), followed) for followed in (0, 180)] == [0.0, pytest.approx(5.0)]
    followers = {PLACE: array("d", (0.0, 100.0, 0, 0, 0, 0, 0) * 200)}
    assert lag_p99_s(tables_of(followers, 100.0), followed=200) == 0.0


def test_a_late_request_is_not_left_out_for_a_later_one_that_has_not_ended():
    """Ten requests began 0.3 s late, and their ten followers are still waiting for an answer."""
    rows = {PLACE: array("d", (0.0, 100.3, 0, 0, 0, 0, 0) * 10)}
    assert lag_p99_s(tables_of(rows, 100.0), followed=10) == pytest.approx(0.3)


def test_rows_are_not_changed_by_reading_them():
    """They may keep growing, and are read again at the end."""
    rows = {PLACE: array("d", [1.0, 101.0, 101.0, 0.0, 0.0, 102.0, 5.0])}
    before = np.array(rows[PLACE])
    tables_of(rows, 100.0)
    assert np.array_equal(before, np.array(rows[PLACE]))
