"""Each second's measurements are reported and written, whatever stops in between."""

from __future__ import annotations

import csv
from contextlib import closing
from typing import TYPE_CHECKING

import gevent
import pandas as pd
import pytest

from loadproof.errors import OutputError
from loadproof.plan.pacing import Due
from loadproof.recording.announcements import DiskFull
from loadproof.rundir import files
from simulation.rundirs import scenario
from tests.loadproof.generator.crew.crews import Local

if TYPE_CHECKING:
    from loadproof.recording.reports import SecondReport


@pytest.fixture
def local(tmp_path):
    with closing(Local(tmp_path)) as begun:
        begun.begin()
        yield begun


def reports_of(local: Local) -> list[SecondReport]:
    """The reports from now on, which are also written."""
    seen: list[SecondReport] = []
    write = local.crew.writing.take
    local.crew._measuring._report = lambda report: (seen.append(report), write(report))
    return seen


def used_by(local: Local) -> list[float]:
    """The CPU time used by its process, which tests may change."""
    busy_s = [0.0]
    read = local.process.recorder._generator_rows._vitals._read
    local.process.recorder._generator_rows._vitals._read = lambda: read()._replace(cpu_s=busy_s[0])
    return busy_s


def test_a_report_comes_at_each_full_second(local):
    """None for second 0 before it is over, and one for each of the others."""
    seen = reports_of(local)
    local.time.advance_to(5.51)
    assert [report.now_s for report in seen] == pytest.approx([0, 1, 2, 3, 4, 5], abs=1e-6)
    assert [report.generator and report.generator[0] for report in seen] == [None, 0, 1, 2, 3, 4]


@pytest.mark.slow
def test_each_second_has_one_row_with_its_length_and_the_plans_end_is_the_last(local):
    """What follows, mainly the stop, takes CPU time outside the run; its counts are kept."""
    busy_s = used_by(local)
    local.process.send_each([44.95], answer_s=0.4)
    local.time.advance_to(0.5 + 45.2)
    busy_s[0] += 0.9
    local.time.advance_to(0.5 + 45.4)
    local.process.recorder.started()
    local.process.recorder.abandoned("health", Due(44.9))
    local.quit()
    rows = pd.read_csv(local.path / files.GENERATOR)
    assert rows["second"].tolist() == list(range(45))
    assert rows["length_s"].tolist() == pytest.approx([1.0] * 45, abs=1e-4)
    assert rows["cpu_ratio"].max() == 0
    assert (rows["sent"].iloc[-1], rows["abandoned"].iloc[-1], rows["in_flight"].iloc[-1]) == (2, 1, 1)
    assert local.run().measured_s == 45


def test_creating_users_is_not_part_of_the_run(local):
    """It may keep the process busy all the time before second 0."""
    busy_s = used_by(local)
    local.time.call_at(0.3, lambda: busy_s.append(busy_s.pop() + 5))
    local.time.advance_to(0.5 + 2.1)
    assert local.run().generator["cpu_ratio"].tolist() == [0, 0]


def test_a_run_that_ends_early_has_a_shorter_last_second(local):
    """Until its users are stopped, however long that takes."""
    local.time.advance_to(0.5 + 3.4)
    local.process.environment.events.test_stopping.fire(environment=local.process.environment)
    local.time.advance_to(0.5 + 6.4)
    local.quit()
    rows = local.run().generator
    assert rows["second"].tolist() == [0, 1, 2, 3]
    assert rows["length_s"].tolist() == pytest.approx([1, 1, 1, 0.4], abs=1e-4)
    assert local.run().measured_s == pytest.approx(3.4, abs=1e-4)


def test_a_plan_may_end_between_two_full_seconds(tmp_path):
    """Nothing after it is reported."""
    phases = [{"name": "steady", "duration": "2300 ms", "users": 1}]
    plan = scenario(phases=phases, thresholds=[{"expect": "error_ratio < 1 %"}])
    with closing(Local(tmp_path, plan)) as local:
        local.begin()
        local.time.advance_to(0.5 + 5.2)
        local.quit()
        rows = local.run().generator
        assert rows["length_s"].tolist() == pytest.approx([1, 1, 0.3], abs=1e-4)


def test_a_second_in_which_the_process_stalled_is_longer(local):
    """It has one row, starting at its beginning, and so has the next one: neither has two."""
    local.time.call_at(0.5 + 2.5, lambda: local.time.spend(2.2))
    local.time.advance_to(0.5 + 7.1)
    rows = local.run().generator
    assert rows["second"].tolist() == [0, 1, 2, 4, 5, 6]
    assert rows["length_s"].tolist() == pytest.approx([1, 1, 2.7, 0.3, 1, 1], abs=0.001)


def test_the_last_report_contains_the_rest(local):
    """From the second that was cut short, with its number of users."""
    seen = reports_of(local)
    local.process.runner.user_count = 7
    local.process.send_each([3.05])
    local.time.advance_to(3.5 + 0.4)
    local.quit()
    assert seen[-1].now_s == pytest.approx(3.4)
    assert (seen[-1].users, sum(cell[-1] for cell in seen[-1].cells if cell[4] == "response")) == (7, 1)
    local.time.advance_to(20)
    assert len(seen) == 5, "it is over"


def test_a_report_that_was_begun_is_finished_before_the_last_one(local):
    """A stop in the middle of it loses nothing: what it has taken is nowhere else."""
    seen = reports_of(local)
    local.process.send_each([1.05])
    quitting: list[gevent.Greenlet] = []
    let_others_run = local.process.recorder._let_others_run

    def stop_here() -> None:
        if not quitting:
            quitting.append(gevent.spawn(local.process.quit))
        let_others_run()
        local.process.clock.sleep(0.01)

    local.process.recorder._let_others_run = stop_here
    local.time.advance_to(2.6)
    local.time.advance_until(lambda: quitting and quitting[0].ready(), within_s=1)
    assert sum(cell[-1] for report in seen for cell in report.cells if cell[4] == "response") == 1
    assert len(seen) == 4


def test_a_slow_report_does_not_shift_the_next(local):
    """Seconds are those of the run, not those since the last report."""
    seen = reports_of(local)
    local.process.send_each([1.05])
    let_others_run = local.process.recorder._let_others_run
    local.process.recorder._let_others_run = lambda: (local.process.clock.sleep(0.3), let_others_run())
    local.time.advance_to(5.6)
    assert [report.now_s for report in seen] == pytest.approx([0, 1, 2, 3, 4, 5], abs=1e-6)


def test_a_blocked_event_loop_is_noticed(local):
    """The longest delay of the second, in that second."""
    local.time.call_at(0.5 + 2.42, lambda: local.time.spend(0.2))
    local.time.advance_to(4.6)
    delays_s = local.run().generator["loop_delay_s"].tolist()
    assert delays_s[2] == pytest.approx(0.2, abs=0.05)
    assert [delay_s for second, delay_s in enumerate(delays_s) if second != 2] == pytest.approx([0, 0, 0], abs=1e-6)


def test_progress_is_announced_shortly_after_each_full_second(local):
    """When the reports of all workers have arrived; Locust's statistics are written then, too."""
    local.time.advance_to(0.5 + 3.19)
    assert [tick.now_s for tick in local.told] == pytest.approx([0.2, 1.2, 2.2], abs=1e-6)
    local.time.advance_to(0.5 + 3.3)
    assert local.told[-1].now_s == pytest.approx(3.2)
    assert [tick.phase for tick in local.told] == ["warm-up"] * 4
    with (local.path / f"{files.LOCUST_PREFIX}_stats_history.csv").open() as history:
        assert len(list(csv.reader(history))) == 1 + 4


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), OutputError([])])
def test_a_full_disk_ends_the_run_once_and_is_announced(local, error):
    """Nothing is written from then on, so that the existing files stay readable."""
    local.time.advance_to(2.6)
    writes = []

    def fail(report: SecondReport) -> None:
        writes.append(report)
        raise error

    local.writer.write = fail
    local.time.advance_to(6.6)
    assert len(writes) == 1
    assert [announced for announced in local.told if isinstance(announced, DiskFull)] == [DiskFull(str(error))]
    assert local.process.runner.has_quit
    local.quit()
    assert len(writes) == 1
    assert len(local.run().generator) == 2


def test_a_failed_greenlet_makes_it_unsound(local, monkeypatch):
    """Locust's exit code alone wouldn't show it."""
    assert local.crew.is_sound
    monkeypatch.setattr(local.process.recorder, "take", lambda *_, **__: 1 / 0)
    local.time.advance_to(1.51)
    assert not local.crew.is_sound
