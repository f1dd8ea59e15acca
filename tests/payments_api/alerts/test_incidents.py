"""One message when an incident begins and one when it ends, however often and by whomever it is reported."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from payments_api.alerts.incidents import LONGEST_DETAIL, MOST_WAITING, Incidents


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def worker(tmp_path, clock):
    """Creates incidents of processes that share a file."""
    made = []

    def make(reporter: str, *, keeps_messages: bool = True) -> Incidents:
        made.append(Incidents(str(tmp_path / "shared"), reporter=reporter, keeps_messages=keeps_messages, clock=clock))
        return made[-1]

    yield make
    for incidents in made:
        incidents.close()


def waiting(incidents: Incidents) -> list[str]:
    texts = []
    while (message := incidents.first_waiting()) is not None:
        texts.append(message.text)
        incidents.done_with(message)
    return texts


def test_an_incident_sends_one_message_however_often_it_is_reported(worker):
    first = worker("1")
    assert first.report("disk", "1 % free") == ("disk: 1 % free", 0)
    assert first.report("disk", "0 % free") == ("", 0)
    assert waiting(first) == ["disk: 1 % free"]


@pytest.mark.parametrize(
    ("took_s", "told"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (125, "2 min 5 s"), (7440, "2 h 4 min"), (-5, "0 s")],
)
def test_its_end_sends_one_message_with_the_duration(worker, clock, took_s, told):
    first = worker("1")
    first.report("disk", "full")
    clock.now_s += took_s
    assert first.recovered("disk") == (f"disk: recovered after {told}", 0)
    assert first.recovered("disk") == ("", 0)
    assert waiting(first) == ["disk: full", f"disk: recovered after {told}"]


def test_an_incident_that_nobody_reported_does_not_recover(worker):
    first = worker("1")
    assert first.recovered("disk") == ("", 0)
    assert waiting(first) == []


def test_an_incident_that_returns_is_a_new_one(worker):
    first = worker("1")
    for _ in range(2):
        assert first.report("disk", "full")[0]
        assert first.recovered("disk")[0]
    assert len(waiting(first)) == 4


def test_several_workers_share_one_incident_that_ends_with_the_last_of_them(worker, clock):
    """The first report opens it; the last withdrawal ends it."""
    one, other = worker("1"), worker("2")
    assert one.report("redis-lost", "refused")[0]
    assert other.report("redis-lost", "refused") == ("", 0)
    clock.now_s += 30
    assert one.recovered("redis-lost") == ("", 0)
    assert other.open() == {"redis-lost": 30.0}
    clock.now_s += 30
    assert other.recovered("redis-lost")[0] == "redis-lost: recovered after 1 min 0 s"
    assert one.open() == {}
    assert waiting(one) == ["redis-lost: refused", "redis-lost: recovered after 1 min 0 s"]


def test_a_worker_does_not_end_an_incident_that_only_others_report(worker):
    one, other = worker("1"), worker("2")
    one.report("stall", "5 s")
    assert other.recovered("stall") == ("", 0)
    assert set(one.open()) == {"stall"}
    assert one.reported_by_us("st") == ["stall"]
    assert other.reported_by_us("st") == []


def test_the_queue_of_messages_is_bounded_and_drops_the_oldest(worker):
    first = worker("1")
    dropped = [first.report(f"incident-{number}", "x")[1] for number in range(MOST_WAITING + 3)]
    assert dropped == [0] * MOST_WAITING + [1, 1, 1]
    texts = waiting(first)
    assert len(texts) == MOST_WAITING
    assert texts[0] == "incident-3: x"


def test_no_messages_are_queued_without_a_receiver(worker):
    """Open incidents are still known."""
    first = worker("1", keeps_messages=False)
    assert first.report("disk", "full") == ("disk: full", 0)
    assert waiting(first) == []
    assert set(first.open()) == {"disk"}


def test_a_long_detail_is_truncated(worker):
    text, _ = worker("1").report("disk", "x" * 10_000)
    assert len(text) == len("disk: ") + LONGEST_DETAIL


def test_incidents_of_a_worker_end_when_it_exits_and_the_next_reports_them_again(worker):
    """Otherwise they would never end, nor be reported again."""
    first, other = worker("1"), worker("2")
    first.report("redis-lost", "refused")
    first.report("disk", "full")
    other.report("disk", "full")
    first.withdraw()
    assert set(other.open()) == {"disk"}
    assert other.report("redis-lost", "refused")[0]
    assert other.recovered("redis-lost")[0]
    assert waiting(other)[:2] == ["redis-lost: refused", "disk: full"]


def test_reports_of_a_dead_worker_are_forgotten_at_the_next_start(worker):
    """So are those of an earlier one with the same number; running workers keep theirs."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait(10)
    dead, running, again = worker(str(process.pid)), worker(str(os.getpid())), worker("1")
    dead.report("redis-lost", "refused")
    running.report("disk", "full")
    again.report("stall", "5 s")
    assert set(worker("1").open()) == {"disk"}
    assert running.report("redis-lost", "refused")[0]


def written_by_another(path: Path) -> sqlite3.Connection:
    """Keep writing to the file, like a worker that starts at the same time."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN IMMEDIATE")
    return connection


@pytest.mark.slow
def test_a_new_file_that_another_worker_is_setting_up_is_waited_for(tmp_path):
    """Switching to WAL needs exclusive access, which SQLite refuses at once, whatever its timeout."""
    with closing(written_by_another(tmp_path / "shared")) as other:
        done = threading.Timer(0.2, other.rollback)
        done.start()
        shared = Incidents(str(tmp_path / "shared"), reporter="1", keeps_messages=True)
        done.join()
    assert shared.report("disk", "full")[0]
    shared.close()


def test_the_wait_for_a_locked_file_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("payments_api.alerts.incidents._SET_UP_S", 0.1)
    with (
        closing(written_by_another(tmp_path / "shared")),
        pytest.raises(sqlite3.OperationalError, match="locked"),
    ):
        Incidents(str(tmp_path / "shared"), reporter="1", keeps_messages=True)
