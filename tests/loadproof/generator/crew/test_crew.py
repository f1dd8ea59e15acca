"""One process, or a master and its workers, on simulated time: every request is in the run directory exactly once."""

from __future__ import annotations

from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadproof.analysis.estimates.scope import tally
from loadproof.analysis.frames.journal import load_journal
from loadproof.histogram import MIDPOINT_US
from loadproof.http.messages import ConnectionFailedError
from loadproof.outcome import Outcome
from loadproof.recording.announcements import WorkerLost
from loadproof.recording.reports import SecondReport
from loadproof.scenario.target.auth import Auth
from simulation.rundirs import scenario
from tests.loadproof.generator.crew.crews import Distributed, Local
from tests.profiles import costly


@pytest.fixture
def three(tmp_path):
    run = Distributed(tmp_path, 0.0, 0.0, 0.0)
    yield run
    run.close()


def lost(run: Distributed) -> list[str]:
    """What was announced as missing."""
    return [announced.detail for announced in run.told if isinstance(announced, WorkerLost)]


@pytest.mark.slow
def test_a_single_process_measures_and_writes(tmp_path):
    """A report every second, and the rest when it quits."""
    with closing(Local(tmp_path)) as local:
        local.begin()
        assert local.crew.begin(0.0) == 1
        local.process.send_each([0.25, 1.25, 2.6])
        local.time.advance_to(2.7)
        assert local.crew.in_flight == 0
        local.time.advance_to(3.15)
        assert local.crew.in_flight == 1
        local.crew.end()
        local.time.advance_to(3.3)
        local.quit()
        run = local.run()
        assert run.generator["sent"].tolist() == [1, 1, 1]
        assert tally(run.intervals).sent == 3
        told = len(local.told)
        local.time.advance_to(9.0)
        assert len(local.told) == told, "nothing is told after the end"
        assert local.wire.failures == []


@pytest.mark.slow
def test_every_worker_is_told_its_share(three):
    """Its rank by the order of ids, the number of workers, and a second 0 that is the same moment for all."""
    three.begin()
    works = [worker.post.workload() for worker in three.workers]
    assert [(work.rank, work.workers) for work in works] == [(0, 3), (1, 3), (2, 3)]
    assert all(work.seed == three.manifest.seed for work in works)
    assert three.crew.in_flight == 0, "workers wait for their own"
    three.time.advance_to(10.0)
    assert [work.now_s() for work in works] == pytest.approx([8.0] * 3, abs=0.002)
    assert three.wire.failures == []


@pytest.mark.slow
def test_the_plan_is_over_when_its_last_phase_is(three):
    """Only then do workers wait for requests in flight before they stop their users."""
    three.begin()
    for at_s, is_over in ((36.0, False), (44.9, False), (45.0, True)):
        three.time.advance_to(2.0 + at_s)
        assert three.crew._plan_is_over() is is_over


def test_workers_report_at_each_full_second_of_the_run(three):
    """Not of their own clocks: all report the same second, on time."""
    three.begin()
    three.time.advance_to(2.0 + 4.99)
    assert [kind for _, kind in three.wire.log].count("loadproof-second") == 3 * 6
    three.time.advance_to(2.0 + 5.01)
    assert three.run().generator["second"].tolist() == [second for second in range(5) for _ in range(3)]


def test_requests_of_all_workers_are_in_the_run_directory_once(three):
    """By the second and phase of their intended start, under the worker's number."""
    three.begin()
    for number, worker in enumerate(three.workers):
        worker.send_each([second + 0.1 * number for second in range(1, 8)])
    three.time.advance_to(10.5)
    three.end()
    run = three.run()
    assert tally(run.intervals).sent == 21
    assert run.generator.groupby("worker")["sent"].sum().to_dict() == {"1": 7, "2": 7, "3": 7}
    responses = run.intervals[run.intervals["series"] == "response"]
    assert responses.groupby("second")["count"].sum().to_dict() == dict.fromkeys(range(1, 8), 3)
    assert set(responses[responses["second"] < 5]["phase"]) == {"warm-up"}


def test_the_last_report_comes_before_the_end_message(three):
    """From each worker, with Locust's statistics in between; the master waits for all of them and no longer."""
    three.begin()
    for worker in three.workers:
        worker.send_each([5.5], answer_s=0.2)
    three.time.advance_to(7.65)
    assert three.end() == pytest.approx(0.05, abs=0.01)
    for number in (1, 2, 3):
        sent = [kind for sender, kind in three.wire.log if sender == f"worker-{number}"]
        assert sent[-3:] == ["loadproof-second", "stats", "loadproof-ended"]
    assert all(worker.runner.has_stopped for worker in three.workers)
    abandoned = three.run().intervals["series"].value_counts().get("abandoned", 0)
    assert (tally(three.run().intervals).sent, abandoned) == (0, 0), "it is still in flight, and not yet counted"


def test_nothing_is_reported_after_the_end(three):
    """The files are closed by then."""
    three.begin()
    three.time.advance_to(5.5)
    three.end()
    told = len(three.told)
    three.time.advance_to(12.0)
    assert len(three.told) == told


def test_requests_in_flight_are_waited_for_and_reported(three):
    """A worker's runner stops when its users have their answers; only then comes the last report."""
    three.begin()
    slow = three.workers[1]
    slow.send_each([5.5], answer_s=0.8)
    slow.runner.stop = lambda: slow.clock.sleep(1.0)
    three.time.advance_to(7.6)
    assert three.end() == pytest.approx(1.05, abs=0.06)
    assert tally(three.run().intervals).sent == 1


@pytest.mark.slow
def test_stopping_users_does_not_delay_answers(three):
    """It blocks the event loop, so it begins only once all requests are answered."""
    three.begin()
    for worker in three.workers:
        worker.send_each([44.95], answer_s=0.1)
        worker.runner.stop = lambda: three.time.spend(0.3)
    three.time.advance_to(2 + 45)
    three.end()
    rows = three.run().intervals
    responses = rows[rows["series"] == "response"]
    assert responses["count"].sum() == 3
    assert MIDPOINT_US[responses["bucket"].max()] == pytest.approx(100_000, rel=0.01)


@pytest.mark.slow
def test_an_answer_that_never_comes_is_not_waited_for_forever(three):
    """Only for as long as a request may take, plus a second."""
    three.begin()
    three.workers[0].send_each([44.95], answer_s=1e6)
    three.time.advance_to(2 + 45)
    assert three.end() == pytest.approx(three.manifest.scenario.timeouts.total + 1, abs=0.1)


@pytest.mark.slow
@costly
@given(
    ahead_s=st.lists(st.floats(-3, 30), min_size=1, max_size=3),
    way_s=st.floats(0.0001, 0.2),
    seed=st.integers(0, 1000),
)
def test_clock_skew_is_reported_as_far_as_it_is_certain(tmp_path_factory, ahead_s, way_s, seed):
    """Never more than the truth, and short of it by no more than the round trip."""
    with closing(Distributed(tmp_path_factory.mktemp("run"), *ahead_s, way_s=way_s, seed=seed)) as run:
        run.begin()
        run.time.advance_to(8.0)
        rows = run.run().generator.groupby("worker")[["clock_skew_s", "clock_doubt_s"]].last()
        for number, truth_s in enumerate(ahead_s, start=1):
            told_s, doubt_s = rows.loc[str(number)]
            assert abs(told_s) <= abs(truth_s) + 1e-6
            assert abs(told_s - truth_s) <= doubt_s + 1e-4
            assert doubt_s <= 2 * way_s + 1e-5
        assert run.wire.failures == []


@pytest.mark.parametrize("number", [0, None])
def test_a_clock_that_is_set_during_the_run_moves_no_phase(tmp_path, number):
    """A worker's, or the master's: second 0 was fixed before, and nothing is timed by it."""
    with closing(Distributed(tmp_path, 0.0, 0.0)) as run:
        run.begin()
        run.time.advance_to(6.0)
        (run.master if number is None else run.workers[number]).clock.ahead_s = 1.0
        run.time.advance_to(9.0)
        rows = run.run().generator
        assert rows["clock_skew_s"].abs().max() < 0.01
        assert (rows["clock_doubt_s"] >= 0).all()


def test_a_clock_set_right_after_second_0_was_fixed_hides_no_skew(tmp_path):
    """Its phases stay early."""
    with closing(Distributed(tmp_path, 0.7)) as run:
        run.begin()
        run.workers[0].clock.ahead_s = 0.0
        run.time.advance_to(8.0)
        assert run.run().generator["clock_skew_s"].iloc[-1] == pytest.approx(0.7, abs=0.01)


def test_a_worker_whose_clock_is_ahead_begins_early_by_as_much(tmp_path):
    """Second 0 is given in wall clock time; with the skew in the run directory, a journal has a single clock."""
    with closing(Distributed(tmp_path, 0.0, 0.7, plan=scenario(record="requests"))) as run:
        run.begin()
        for worker in run.workers:
            worker.send_each([2.0])
        run.time.advance_to(5.0)
        assert run.workers[1].post.workload().now_s() - run.workers[0].post.workload().now_s() == pytest.approx(0.7)
        run.time.advance_to(8.0)
        run.end()
        journal = load_journal(run.run()).set_index("worker")
        doubt_us = float(journal["doubt_us"].max())
        assert journal["sent_us"].to_dict() == pytest.approx({"1": 2e6, "2": 1.3e6}, abs=doubt_us)
        assert (journal["ended_us"] - journal["intended_us"]).tolist() == [100_000] * 2
        assert 0 < doubt_us < 10_000


@pytest.mark.slow
def test_a_silent_worker_is_announced_as_lost_once(three):
    """After six seconds; the others go on, and the end doesn't wait for it."""
    three.begin()
    three.time.advance_to(4.5)
    three.wire.cut("worker-2")
    three.time.advance_to(9.5)
    assert lost(three) == []
    three.time.advance_to(20.0)
    assert lost(three) == ["worker 2 stopped reporting"]
    assert three.end() < 0.1


def test_reports_of_a_worker_without_a_share_are_ignored(three):
    """It connected late, or has the key but no share: its messages are neither expected nor trusted."""
    three.begin()
    late = three.wire.worker("worker-4")
    report = SecondReport("4", 3.0, 5, 0, 0, 0, [(5, "steady", "balance", "ok", "response", 0, 1000)], None, [])
    late.send_message("loadproof-second", {"report": vars(report), "now_unix_s": 0.0, "clock_took_s": 0.0})
    for kind in ("loadproof-second", "loadproof-ended", "loadproof-refused"):
        late.send_message(kind, {"garbage": "that nobody is to make sense of"})
    three.time.advance_to(8.0)
    assert not three.crew.has_part("worker-4")
    assert three.crew.has_part("worker-3")
    assert three.end() < 0.1
    assert tally(three.run().intervals).sent == 0
    assert three.wire.failures == []


def test_duplicate_messages_change_nothing(three):
    """Neither a share, nor a report, nor the end message."""
    three.wire._fate = lambda: [0.001, 0.002]
    three.begin()
    for worker in three.workers:
        worker.send_each([1.5, 2.5, 3.5])
    three.time.advance_to(9.7)
    assert three.end() < 0.1
    run = three.run()
    assert tally(run.intervals).sent == run.generator["sent"].sum() == 9
    assert lost(three) == []
    assert three.wire.failures == []


@pytest.mark.parametrize(("gone", "reports"), [(range(1, 2), "a report"), (range(1, 3), "2 reports")])
def test_a_report_lost_on_the_way_is_noticed(three, gone, reports):
    """Its counts are nowhere else, and in the closed model nothing else would show it."""
    three.begin()
    worker = three.wire._ends["worker-2"]
    send, seconds = worker.send_message, iter(range(100))

    def lose(kind, *how):
        if kind != "loadproof-second" or next(seconds) not in gone:
            send(kind, *how)

    worker.send_message = lose
    three.time.advance_to(9.5)
    assert three.end() < 0.1
    assert lost(three) == [f"{reports} of worker 2 got lost on the way"]


def test_a_lost_last_report_is_noticed_too(three):
    """The end message says how many reports there were."""
    three.begin()
    three.time.advance_to(7.6)
    worker = three.wire._ends["worker-1"]
    send = worker.send_message
    worker.send_message = lambda kind, *how: None if kind == "loadproof-second" else send(kind, *how)
    assert three.end() < 0.1
    assert lost(three) == ["a report of worker 1 got lost on the way"]


def test_a_worker_that_may_not_load_the_target_says_so_and_leaves_before_it_has_users(tmp_path, capsys):
    """The master announces it, and doesn't wait for the worker."""
    with closing(Distributed(tmp_path, 0.0)) as run:
        elsewhere = run.manifest.target.model_copy(update={"base_url": "http://192.0.2.1"})
        run.crew._manifest = run.manifest.model_copy(update={"target": elsewhere})
        run.master.post.assign(run.manifest, rank=0, workers=1)
        run.crew.begin(2.0)
        run.time.advance_to(0.4)
        (detail,) = lost(run)
        assert detail.startswith("worker 1 refused its part: target: this host is not on the allow list")
        assert not run.workers[0].runner.has_quit, "its last word has to leave first"
        run.time.advance_to(0.6)
        assert run.workers[0].runner.has_quit
        assert not run.workers[0].post.workload().is_of_run
        assert run.end() < 0.1
        assert run.wire.failures == []
    error = capsys.readouterr().err
    assert "with --allow-host 192.0.2.1" in error
    assert error.endswith("\n")


@pytest.mark.parametrize(
    ("plan", "file", "told"),
    [
        (
            {"locustfile": "shop.py"},
            "there/shop.py",
            "other users than its master, whose locustfile is another one",
        ),
        ({"locustfile": "shop.py"}, None, "start it with --locustfile and a copy of the master's shop.py"),
        ({}, "there/shop.py", "it has no users of the master's mix, got 'balance, transactions"),
        ({"locustfile": "shop.py"}, "same/shop.py", None),
    ],
    ids=["another copy", "our users", "no mix", "the same"],
)
def test_a_worker_whose_users_differ_from_its_masters_refuses_its_share(tmp_path, plan, file, told):
    """Even if they only differ in what they do."""
    for place, text in {"here": "look()", "there": "look(2)", "same": "look()"}.items():
        (tmp_path / place).mkdir()
        (tmp_path / place / "shop.py").write_text(text)
    with closing(Distributed(tmp_path, 0.0, plan=scenario(**plan))) as run:
        run.master.environment.parsed_locustfiles = ["ours.py", str(tmp_path / "here/shop.py")]
        run.workers[0].environment.parsed_locustfiles = ["ours.py", *([str(tmp_path / file)] if file else [])]
        if file:
            run.workers[0].environment.user_classes = []
        run.master.post.assign(run.manifest, rank=0, workers=1)
        run.crew.begin(2.0)
        run.time.advance_to(1.0)
        assert run.workers[0].runner.has_quit == bool(told)
        assert [told in detail for detail in lost(run)] == [True] * bool(told)
        assert run.wire.failures == []


class Down:
    """A server that can't be reached."""

    origin = None

    def exchange(self, *_: object) -> None:
        raise ConnectionFailedError("Connection refused")


@pytest.mark.parametrize(
    ("token_url", "told"),
    [
        ("http://192.0.2.1/token", "target auth.oauth2.token_url: this host is not on the allow list, got '192.0.2.1'"),
        ("http://127.0.0.1:1/token", "target auth.oauth2.token_url: no access token: Connection refused, got"),
    ],
)
def test_a_worker_without_a_token_refuses_its_share(tmp_path, monkeypatch, capsys, token_url, told):
    """All requests of its users would be refused, which says nothing about the target."""
    monkeypatch.setenv("LOADPROOF_ALLOW_VARIABLES", "CLIENT_SECRET")
    monkeypatch.setenv("CLIENT_SECRET", "s3cret")
    oauth2 = {"token_url": token_url, "client_id": "load", "client_secret": "CLIENT_SECRET"}
    with closing(Distributed(tmp_path, 0.0)) as run:
        guarded = run.manifest.target.model_copy(update={"auth": Auth.model_validate({"oauth2": oauth2})})
        run.crew._manifest = run.manifest.model_copy(update={"target": guarded})
        run.master.post.assign(run.manifest, rank=0, workers=1)
        run.workers[0].post._connect = lambda *_: Down()
        run.crew.begin(2.0)
        run.time.advance_to(0.4)
        (detail,) = lost(run)
        assert detail.startswith(f"worker 1 refused its part: {told}")
        run.time.advance_to(1.0)
        assert run.workers[0].runner.has_quit
        assert run.wire.failures == []
    assert told in capsys.readouterr().err


@pytest.mark.slow
def test_the_master_waits_only_so_long_for_the_end_message(three):
    """In a run that was stopped, the scenario's timeouts plus six seconds, even if it keeps reporting."""
    three.begin()
    three.time.advance_to(7.5)
    stuck = three.workers[0]
    stuck.runner.stop = lambda: stuck.clock.sleep(1e6)
    timeouts = three.manifest.scenario.timeouts
    assert three.end() == pytest.approx(timeouts.connect + timeouts.total + 6, abs=0.06)
    assert lost(three) == ["worker 1 did not report its end"]


@pytest.mark.slow
def test_a_worker_may_take_as_long_to_end_as_its_users_may(three):
    """After the plan, with a target that hangs: first for their answers, then in `on_stop`, then in their turns."""
    three.begin()
    slow = three.workers[0]
    slow.send_each([44.95], answer_s=1e6)
    slow.runner.stop = lambda: slow.clock.sleep(2 * three.manifest.scenario.timeouts.stop_s)
    three.time.advance_to(2 + 45)
    three.end()
    assert lost(three) == []


@pytest.mark.slow
def test_a_worker_that_never_ends_is_not_waited_for_forever(three):
    """Though the plan is over, and it keeps reporting."""
    three.begin()
    three.workers[0].runner.stop = lambda: three.workers[0].clock.sleep(1e6)
    three.time.advance_to(2 + 45)
    timeouts = three.manifest.scenario.timeouts
    assert three.end() == pytest.approx(timeouts.total + 1 + 2 * timeouts.stop_s + 6, abs=0.06)
    assert lost(three) == ["worker 1 did not report its end"]


@pytest.mark.slow
def test_a_run_that_is_stopped_while_it_ends_is_ended_sooner(three):
    """Its parent kills it otherwise, and the last rows are lost."""
    three.begin()
    three.workers[0].runner.stop = lambda: three.workers[0].clock.sleep(1e6)
    three.time.advance_to(2 + 45)
    three.time.call_at(2 + 47, three.crew.hurry)
    timeouts = three.manifest.scenario.timeouts
    assert three.end() == pytest.approx(2 + timeouts.connect + timeouts.total + 6, abs=0.06)


def test_the_end_waits_for_a_worker_that_is_gone_until_it_is_lost(three):
    """It has six seconds to report."""
    three.begin()
    three.time.advance_to(7.5)
    three.wire.cut("worker-1")
    assert 5 < three.end() < 7.1


@pytest.mark.slow
def test_workers_may_be_silent_while_their_listeners_run(three):
    """For as long as second 0 is delayed for them."""
    three.wire.cut("worker-3")
    three.begin(later_s=10.0)
    three.time.advance_to(15.9)
    assert lost(three) == []
    three.time.advance_to(18.0)
    assert lost(three) == ["worker 3 stopped reporting"]


def test_a_worker_that_never_reports_is_lost_too(three):
    """The time counts from when it was told to begin."""
    three.wire.cut("worker-3")
    three.begin()
    three.time.advance_to(8.0)
    assert lost(three) == ["worker 3 stopped reporting"]


@pytest.mark.slow
@costly
@given(
    times_s=st.lists(st.tuples(st.integers(0, 2), st.floats(0, 6)), max_size=30),
    end_s=st.floats(3, 9),
    way_s=st.floats(0.0001, 0.3),
    seed=st.integers(0, 10_000),
)
def test_no_request_is_lost_or_counted_twice_whenever_it_ends(tmp_path_factory, times_s, end_s, way_s, seed):
    """Every request finished before the end is in the run directory, whatever the order of simultaneous events."""
    plan, path = scenario(record="requests"), tmp_path_factory.mktemp("run")
    with closing(Distributed(path, 0.0, 0.0, 0.0, way_s=way_s, seed=seed, plan=plan)) as run:
        run.begin()
        finished = [0]
        for number, worker in enumerate(run.workers):
            original = worker.recorder.finished

            def finish(*told, original=original, **named):
                finished[0] += 1
                original(*told, **named)

            worker.recorder.finished = finish
            mine = sorted(at_s for one, at_s in times_s if one == number)
            worker.sending = worker.send_each(mine, outcome=Outcome.OK)
            # As in Locust, the users have ended when `stop` returns.
            worker.runner.stop = lambda worker=worker: worker.sending.kill()
        run.time.advance_to(2 + end_s)
        run.end()
        assert tally(run.run().intervals).sent == len(load_journal(run.run())) == finished[0]
        assert run.wire.failures == []
