"""The recorder's counts, without Locust."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.frames import load_run
from analysis.metrics import tally
from loadproof import rundir
from loadproof.outcome import Outcome
from loadproof.plan import Due
from loadproof.recorder import NoRecorder, Recorder
from tests.synthetic import manifest, scenario

event = st.tuples(
    st.sampled_from(["finished", "abandoned", "dropped"]),
    st.sampled_from(["balance", "health"]),
    st.sampled_from(list(Outcome)),
    st.floats(0, 44),
    st.floats(0, 2),
    st.floats(0, 100),
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(event, max_size=60), st.integers(1, 20))
def test_every_request_is_counted_once_whatever_the_flushes(tmp_path_factory, events, every):
    """sent = sum of outcomes + abandoned; offered = sent + dropped; good is at most ok."""
    path = tmp_path_factory.mktemp("run")
    rundir.write_manifest(path, manifest(scenario()))
    recorder = Recorder(path, manifest(scenario()))
    for number, (kind, endpoint, outcome, due_s, lag_s, service_s) in enumerate(events):
        if kind == "dropped":
            recorder.dropped(endpoint, intended_s=due_s)
        else:
            recorder.started()
            if kind == "abandoned":
                recorder.abandoned(endpoint, intended_s=due_s)
            else:
                sent_s = due_s + lag_s
                recorder.finished(endpoint, outcome, due=Due(due_s), sent_s=sent_s, ended_s=sent_s + service_s)
        if number % every == 0:
            recorder.flush(float(number + 1), 5)
    assert recorder.in_flight == 0
    recorder.close(60.0, 0)
    run = load_run(path)
    counts = tally(run.intervals)
    kinds = [kind for kind, *_ in events]
    assert counts.sent == kinds.count("finished")
    assert (counts.abandoned, counts.dropped) == (kinds.count("abandoned"), kinds.count("dropped"))
    assert int(run.generator["sent"].sum()) == counts.sent + counts.abandoned
    assert counts.good <= counts.outcomes[Outcome.OK]
    completed = run.intervals[run.intervals["series"] == "completed"]["count"].sum()
    assert completed == counts.sent


def test_a_request_belongs_to_the_second_and_phase_of_its_intended_start(tmp_path):
    """Its completion to the second in which it ended."""
    rundir.write_manifest(tmp_path, manifest(scenario()))
    recorder = Recorder(tmp_path, manifest(scenario()))
    recorder.started()
    recorder.finished("health", Outcome.OK, due=Due(4.9), sent_s=5.1, ended_s=7.2)
    recorder.close(8.0, 1)
    rows = load_run(tmp_path).intervals.set_index("series")
    assert rows.loc["response", ["second", "phase"]].tolist() == [4, "warm-up"]
    assert rows.loc["completed", "second"] == 7
    assert "good" not in rows.index


def test_bursts_tell_spread_peak_and_latecomers(tmp_path):
    """From the first send to the last."""
    recorder = Recorder(tmp_path, manifest(scenario()))
    for number in range(3):
        recorder.started(burst=1)
        assert recorder.in_flight == number + 1
    for number in range(3):
        due = Due(37.5, burst=1, late=number == 2)
        recorder.finished("health", Outcome.OK, due=due, sent_s=37.5 + number / 100, ended_s=38)
    recorder.close(45.0, 0)
    line = rundir.read_lines_text(tmp_path / rundir.EVENTS)
    assert '""spread_s"": 0.02' in line
    assert '""peak_in_flight"": 3' in line
    assert '""late"": 1' in line


def test_progress_is_told_on_a_descriptor_and_a_deaf_listener_does_not_hurt(tmp_path, monkeypatch):
    """A line of JSON a second; a closed pipe is ignored from then on."""
    read_end, write_end = os.pipe()
    monkeypatch.setenv("LOADPROOF_PROGRESS_FD", str(write_end))
    recorder = Recorder(tmp_path, manifest(scenario()))
    recorder.flush(1.0, 3)
    told = json.loads(os.read(read_end, 10_000))
    assert (told["users"], told["phase"], told["errors"]) == (3, "warm-up", 0)
    os.close(read_end)
    recorder.flush(2.0, 3)
    recorder.flush(3.0, 3)
    os.close(write_end)
    assert rundir.read_lines_text(tmp_path / rundir.GENERATOR).count("\n") == 4


def test_a_full_disk_is_an_error_of_the_flush(tmp_path):
    """Whoever runs the recorder stops the run."""
    recorder = Recorder(tmp_path / "gone", manifest(scenario()))
    with pytest.raises(OSError, match="No such file"):
        recorder.flush(1.0, 0)


def test_without_a_run_directory_nothing_is_recorded():
    """Plain Locust: the same calls, no effect."""
    recorder = NoRecorder()
    recorder.started(1)
    recorder.finished("health", Outcome.OK, due=Due(1.0), sent_s=1.0, ended_s=1.0)
    recorder.abandoned("health", intended_s=1.0)
    recorder.dropped("health", intended_s=1.0)
    recorder.announce(a=1)
    assert recorder.in_flight == 0
