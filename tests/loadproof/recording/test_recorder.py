"""What workers count and the writer stores, without Locust."""

from __future__ import annotations

import os
import random
from dataclasses import asdict

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadproof.analysis.estimates.scope import tally
from loadproof.analysis.frames.bursts import bursts
from loadproof.analysis.frames.journal import load_journal, noted_frame
from loadproof.analysis.frames.run import load_run
from loadproof.analysis.judge.journalled import journalled
from loadproof.analysis.word import Word
from loadproof.histogram import MIDPOINT_US
from loadproof.http.messages import Timing
from loadproof.outcome import Outcome
from loadproof.plan.pacing import Due
from loadproof.recording import recorder as recorder_module
from loadproof.recording.announcements import announcement_of
from loadproof.recording.journalrows import EndedRequest
from loadproof.recording.recorder import Recorder
from loadproof.recording.reports import SecondReport
from loadproof.recording.requestlistener import RequestListener
from loadproof.recording.runwriter import RunWriter
from loadproof.rundir.manifest import write_manifest
from loadproof.rundir.rows import ABANDONED, WANTS
from simulation.rundirs import manifest, scenario
from tests.profiles import costly

event = st.tuples(
    st.sampled_from(["finished", "abandoned", "unsent", "dropped"]),
    st.sampled_from(["balance", "health"]),
    st.sampled_from(list(Outcome)),
    st.floats(0, 44),
    st.floats(0, 2),
    st.floats(0, 100),
)
MANIFEST = manifest(scenario(record="requests"))


def new_recorder(worker: str = "1") -> Recorder:
    recorder = Recorder(MANIFEST.phases, deadline_s=MANIFEST.scenario.deadline, worker=worker, journals=True)
    recorder.start_s = 0.0
    return recorder


def finish(
    recorder: RequestListener, due: Due, *, sent_s: float, ended_s: float, endpoint="health", outcome=Outcome.OK
) -> None:
    timing = Timing()
    timing.began_s, timing.sent_s, timing.ended_s = sent_s, sent_s, ended_s
    recorder.finished(endpoint, "GET", outcome, due, timing, 10)


def record(recorder: Recorder, one: tuple) -> None:
    kind, endpoint, outcome, due_s, lag_s, service_s = one
    if kind == "dropped":
        recorder.dropped(endpoint, intended_s=due_s)
        return
    recorder.started()
    sent_s = due_s + lag_s
    ended = {"abandoned": ABANDONED, "unsent": WANTS["ports"]}.get(kind, outcome)
    note = {"event": len(recorder._second.journal)}
    recorder.ended(
        EndedRequest("me", endpoint, Due(due_s), sent_s, sent_s + service_s, 200, ended, "", False, note, None)
    )
    if kind == "abandoned":
        recorder.abandoned(endpoint, Due(due_s))
    elif kind == "unsent":
        recorder.unsent(endpoint, "ports", Due(due_s))
    else:
        finish(recorder, Due(due_s), sent_s=sent_s, ended_s=sent_s + service_s, endpoint=endpoint, outcome=outcome)


def written(path, reports):
    """The run made of these reports, each sent through a message."""
    path.mkdir()
    write_manifest(path, MANIFEST)
    writer = RunWriter(path, MANIFEST)
    for report in reports:
        writer.write(SecondReport(**msgpack.unpackb(msgpack.packb(asdict(report)))))
    writer.close()
    return load_run(path)


@pytest.mark.slow
@costly
@given(st.lists(event, max_size=60), st.integers(1, 20), st.integers(1, 5), st.randoms(use_true_random=False))
def test_the_numbers_are_the_same_for_any_split_over_workers_in_any_order(
    tmp_path_factory, events, every, workers, chance: random.Random
):
    """One worker that reports once, or several that report often and out of order: exactly the same cells."""
    path = tmp_path_factory.mktemp("runs")
    alone = new_recorder()
    for one in events:
        record(alone, one)
    together = written(path / "one", [alone.take(45.0, 1, last=True)])
    crew = [new_recorder(str(number)) for number in range(workers)]
    reports = []
    for number, one in enumerate(events):
        recorder = chance.choice(crew)
        record(recorder, one)
        if number % every == 0:
            reports.append(recorder.take(float(number + 1), 1))
    reports += [recorder.take(60.0, 0, last=True) for recorder in crew]
    chance.shuffle(reports)
    split = written(path / "many", reports)
    assert split.intervals.to_dict("records") == together.intervals.to_dict("records")
    assert split.generator["sent"].sum() == together.generator["sent"].sum()
    columns = ["request", "phase", "intended_us", "sent_us", "ended_us", "outcome"]
    journals = [load_journal(run)[columns].astype(str).sort_values(columns) for run in (split, together)]
    assert journals[0].to_numpy().tolist() == journals[1].to_numpy().tolist()


@pytest.mark.slow
@costly
@given(st.lists(event, max_size=60))
def test_every_request_is_counted_once(tmp_path_factory, events):
    """sent = sum of outcomes + unsent + abandoned; offered = sent + dropped; good is at most ok."""
    recorder = new_recorder()
    for one in events:
        record(recorder, one)
    assert recorder.in_flight == 0
    run = written(tmp_path_factory.mktemp("runs") / "run", [recorder.take(60.0, 0, last=True)])
    counts = tally(run.intervals)
    kinds = [kind for kind, *_ in events]
    assert counts.sent == kinds.count("finished")
    assert (counts.abandoned, counts.dropped) == (kinds.count("abandoned"), kinds.count("dropped"))
    assert counts.unsent == kinds.count("unsent")
    assert int(run.generator["sent"].sum()) == counts.sent + counts.unsent + counts.abandoned
    assert counts.good <= counts.outcomes[Outcome.OK]
    assert len(load_journal(run)) == len(events) - kinds.count("dropped")
    assert list(journalled(run)) == []
    assert run.intervals[run.intervals["series"] == "completed"]["count"].sum() == counts.sent


def test_requests_that_end_during_a_report_are_in_the_next_one(tmp_path):
    """Rows and counters alike: requests don't wait for the report."""
    recorder = new_recorder()
    ended = ("finished", "balance", Outcome.OK, 0.5, 0.0, 0.1)
    record(recorder, ended)
    more = [ended]
    recorder._let_others_run = lambda: record(recorder, more.pop()) if more else None
    reports = [recorder.take(1.0, 1), recorder.take(2.0, 1, last=True)]
    for number, report in enumerate(reports):
        run = written(tmp_path / str(number), [report])
        assert (tally(run.intervals).sent, len(load_journal(run))) == (1, 1)


def test_a_process_holds_a_limited_number_of_journal_rows(tmp_path, monkeypatch):
    """If reports can't be sent for a while, the number of missing rows is reported, and nothing else is lost."""
    monkeypatch.setattr(recorder_module, "MOST_HELD", 3)
    recorder, reports = new_recorder("2"), []
    for second in range(2):
        for _ in range(5):
            record(recorder, ("finished", "balance", Outcome.OK, second + 0.5, 0.0, 0.1))
        reports.append(recorder.take(second + 1.0, 1, last=second == 1))
    run = written(tmp_path / "run", reports)
    assert noted_frame(load_journal(run), ["event"])["event"].tolist() == [0, 1, 2, 0, 1, 2]
    (finding,) = journalled(run)
    assert finding.word is Word.INVALID
    assert "lacks 2 requests of worker 2 and 2 requests of worker 2, which could not hold them" in finding.what


def test_a_request_belongs_to_the_second_and_phase_of_its_intended_start(tmp_path):
    """Its completion belongs to the second it ended in."""
    recorder = new_recorder()
    recorder.started()
    finish(recorder, Due(4.9), sent_s=5.1, ended_s=7.2)
    rows = written(tmp_path / "run", [recorder.take(8.0, 1)]).intervals.set_index("series")
    assert rows.loc["response", ["second", "phase"]].tolist() == [4, "warm-up"]
    assert rows.loc["completed", "second"] == 7
    assert "good" not in rows.index


def test_connecting_and_the_first_byte_are_recorded_if_there_were_any(tmp_path):
    """In addition to the service time, under the same second and phase."""
    recorder = new_recorder()
    for connect_s, first_byte_s in ((0.25, 0.5), (0.0, 0.5), (0.25, 0.0)):
        recorder.started()
        timing = Timing()
        timing.connect_s, timing.sent_s, timing.first_byte_s, timing.ended_s = connect_s, 5.0, first_byte_s, 6.0
        recorder.finished("health", "GET", Outcome.OK, Due(5.0), timing, 10)
    rows = written(tmp_path / "run", [recorder.take(8.0, 1)]).intervals
    counts = rows.groupby("series", observed=True)["count"].sum()
    assert (counts["service"], counts["connect"], counts["first_byte"]) == (3, 2, 2)
    connects = rows[rows["series"] == "connect"].iloc[0]
    assert MIDPOINT_US[connects["bucket"]] == pytest.approx(250_000, rel=0.004)


def test_requests_sent_in_the_first_moments_are_not_lost(tmp_path):
    """A report just after second 0 still belongs to the time before."""
    recorder = new_recorder()
    reports = [recorder.take(0.0005, 1)]
    recorder.started()
    reports.append(recorder.take(0.001, 1))
    finish(recorder, Due(0.0), sent_s=0.0, ended_s=0.5)
    reports.append(recorder.take(1.0, 1))
    run = written(tmp_path / "run", reports)
    assert (run.generator["sent"].sum(), tally(run.intervals).sent) == (1, 1)


def test_a_burst_that_the_target_accepts_late_was_not_spread_by_its_senders(tmp_path):
    """A dropped SYN comes again after a second."""
    recorder = new_recorder()
    for connect_s in (0.001, 1.02):
        recorder.started(burst=1)
        timing = Timing()
        timing.began_s, timing.connect_s, timing.sent_s = 37.5, connect_s, 37.5 + connect_s
        timing.ended_s = timing.sent_s + 0.01
        recorder.finished("health", "GET", Outcome.OK, Due(37.5, burst=1), timing, 10)
    (burst,) = bursts(written(tmp_path / "run", [recorder.take(45.0, 0, last=True)]))
    assert burst.spread_s == 0


def test_bursts_of_all_workers_are_merged(tmp_path):
    """From the first request to the last, with an upper bound of the peak."""
    reports = []
    for worker in range(2):
        recorder = new_recorder(str(worker))
        for number in range(3):
            recorder.started(burst=1)
            assert recorder.in_flight == number + 1
        for number in range(3):
            due = Due(37.5, burst=1, late=number == 2)
            sent_s = 37.5 + worker / 50 + number / 100
            finish(recorder, due, sent_s=sent_s, ended_s=38)
        reports.append(recorder.take(45.0, 0, last=True))
    (burst,) = bursts(written(tmp_path / "run", reports))
    assert (burst.sent, burst.spread_s, burst.peak_in_flight, burst.late) == (6, pytest.approx(0.04), 6, 2)
    assert burst.free_spread_s == pytest.approx(0.03)


@pytest.mark.parametrize(("late", "free_spread_s"), [((False, False, True), 0.01), ((True, True, True), 0.0)])
def test_users_that_the_target_keeps_waiting_do_not_spread_a_burst(tmp_path, late, free_spread_s):
    """How far the others are apart is recorded for itself."""
    recorder = new_recorder()
    for sent_s, is_late in zip((37.5, 37.51, 38.5), late, strict=True):
        recorder.started(burst=1)
        finish(recorder, Due(37.5, burst=1, late=is_late), sent_s=sent_s, ended_s=39)
    (burst,) = bursts(written(tmp_path / "run", [recorder.take(45.0, 0, last=True)]))
    assert (burst.spread_s, burst.free_spread_s) == (1.0, free_spread_s)


def test_progress_is_written_to_a_descriptor_and_a_closed_pipe_is_ignored(tmp_path, monkeypatch):
    """A line of JSON a second."""
    read_end, write_end = os.pipe()
    monkeypatch.setenv("LOADPROOF_PROGRESS_FD", str(write_end))
    recorder, writer = new_recorder(), RunWriter(tmp_path, MANIFEST)
    record(recorder, ("finished", "health", Outcome.TIMEOUT, 0.5, 0.0, 0.2))
    writer.write(recorder.take(1.0, 3))
    writer.tick(1.0)
    tick = announcement_of(os.read(read_end, 10_000))
    assert (tick.users, tick.phase, tick.errors, tick.sent) == (3, "warm-up", 1, 1)
    assert tick.p95_s == pytest.approx(0.2, rel=0.01)
    os.close(read_end)
    writer.tick(2.0)
    writer.tick(3.0)
    os.close(write_end)


def test_a_full_disk_is_an_oserror_of_the_writer(tmp_path):
    """Its caller stops the run."""
    with pytest.raises(OSError, match="No such file"):
        RunWriter(tmp_path / "gone", MANIFEST).write(new_recorder().take(1.0, 0))


def test_without_a_run_directory_nothing_is_recorded():
    """In plain Locust: the same calls, no effect."""
    recorder = RequestListener()
    recorder.started(1)
    finish(recorder, Due(1.0), sent_s=1.0, ended_s=1.0)
    recorder.abandoned("health", Due(1.0))
    recorder.unsent("health", "ports", Due(1.0))
    recorder.dropped("health", intended_s=1.0)
    assert recorder.in_flight == 0
