"""Lists that change while the program runs: a new version is loaded, an invalid one keeps the previous one."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest
import requests
from prometheus_client import CollectorRegistry

from drills.target import running_target
from payments_api.alerts.alerts import Alerts
from payments_api.alerts.metrics import AlertMetrics
from payments_api.alerts.options import AlertOptions
from payments_api.protection.lists.networks import parse_networks
from payments_api.protection.lists.reloading import ReloadedFile, Watcher, in_time
from payments_api.protection.metrics import ProtectionMetrics
from payments_api.protection.options import Options
from payments_api.protection.protection import Protection
from tests.addresses import session_from
from tests.waiting import eventually


class Listed:
    """A list on the disk, and the program's view of it."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.problems: list[tuple[str, str]] = []
        path.write_text(text)
        self.file = ReloadedFile(
            path, parse_networks, name="deny", on_problem=lambda *problem: self.problems.append(problem)
        )

    def becomes(self, content: str | bytes) -> int:
        """Replace the file's content; returns the number of networks in force after the next check."""
        self.path.write_bytes(content.encode() if isinstance(content, str) else content)
        return self.look()

    def look(self, **how: bool) -> int:
        self.file.check(**how)
        return len(self.file.value)


@pytest.fixture
def listed(tmp_path):
    return Listed(tmp_path / "deny.txt", "10.0.0.0/8\n")


def test_a_new_version_is_loaded_at_the_next_check(listed):
    """Longer, shorter, empty; with a byte order mark and Windows line ends."""
    assert [listed.becomes(text) for text in ("10.0.0.0/8\n10.0.0.1\n", "::1\n", "")] == [2, 1, 0]
    assert listed.becomes(b"\xef\xbb\xbf10.0.0.0/8\r\n::1\r\n") == 2
    assert listed.problems == []


@pytest.mark.parametrize("content", ["10.0.0.0/8\nhere\n", b"\xff\xfe", b"9" * 9_000_000])
def test_an_invalid_version_keeps_the_previous_one_and_is_reported_once(listed, content, caplog):
    """However often it is checked; a valid one after it is loaded and ends the incident."""
    assert [listed.becomes(content), listed.look(), listed.look()] == [1, 1, 1]
    assert [name for name, _ in listed.problems] == ["list-deny-not-reloaded"]
    assert "the previous version stays" in listed.problems[0][1]
    # Logging is up to `on_problem`.
    assert caplog.records == []
    assert [listed.becomes(text) for text in ("10.0.0.0/8\n::1\n", "::1\n")] == [2, 1]
    assert [name for name, _ in listed.problems] == ["list-deny-not-reloaded", "list-deny-recovered"]


def test_two_invalid_lists_are_two_incidents_and_recoveries_are_no_failures(tmp_path):
    """One that is corrected ends its own incident; the other one stays open."""
    deny, allow = tmp_path / "deny.txt", tmp_path / "allow.txt"
    deny.write_text("10.0.0.0/8\n")
    allow.write_text("10.1.0.0/16\n")
    registry = CollectorRegistry()
    alerts = Alerts(AlertOptions(), AlertMetrics(CollectorRegistry()), directory=str(tmp_path))
    alerts.start()
    protection = Protection(
        Options(deny_file=str(deny), allow_file=str(allow)),
        metrics=ProtectionMetrics(registry),
        on_problem=alerts.report,
    )
    deny.write_text("here\n")
    allow.write_text("there\n")
    for file in (protection._deny, protection._allow):
        file.check()
    deny.write_text("10.0.0.0/9\n")
    protection._deny.check()
    protection._on_problem.stop()
    deadline_s = time.monotonic() + 5
    while set(alerts.open()) != {"list-allow-not-reloaded"}:
        assert time.monotonic() < deadline_s, alerts.open()
        time.sleep(0.01)
    for name in ("deny", "allow"):
        assert registry.get_sample_value("protection_list_failures_total", {"list": name}) == 1
    alerts.stop()


def test_a_deleted_list_stays_in_force(listed):
    """Missing is not empty: an empty allow list would lock somebody out, an empty deny list would let somebody in."""
    listed.path.unlink()
    assert [listed.look(), listed.look()] == [1, 1]
    assert "can't read" in listed.problems[0][1]
    assert len(listed.problems) == 1
    assert listed.becomes("") == 0


def test_an_unchanged_file_is_read_again_on_request(listed):
    """And an invalid version is reported again."""
    listed.becomes("here\n")
    listed.look(even_if_unchanged=True)
    assert len(listed.problems) == 2


def test_the_watcher_checks_by_itself_until_stopped(listed):
    """In its own thread, which doesn't outlive it."""
    watcher = Watcher([listed.file], poll_s=0.01)
    watcher.start()
    listed.path.write_text("10.0.0.0/8\n::1\n")
    eventually(lambda: len(listed.file.value) == 2)
    watcher.stop()
    assert "protection-lists" not in {thread.name for thread in threading.enumerate()}
    watcher.start()
    listed.path.write_text("10.0.0.0/8\n::1\n::2\n")
    eventually(lambda: len(listed.file.value) == 3)
    watcher.stop()


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_a_file_that_is_not_regular_is_reported_and_does_not_stop_the_watcher(listed, make):
    """Opening a named pipe would block, and /dev/zero never ends."""
    watcher = Watcher([listed.file], poll_s=0.01)
    watcher.start()
    listed.path.unlink()
    make(listed.path)
    eventually(lambda: listed.problems)
    assert listed.problems[0][0] == "list-deny-not-reloaded"
    if listed.path.is_dir():
        listed.path.rmdir()
    else:
        listed.path.unlink()
    listed.path.write_text("10.0.0.0/8\n::1\n")
    eventually(lambda: len(listed.file.value) == 2)
    watcher.stop()


def test_a_hanging_list_is_an_incident_until_it_answers_and_does_not_block_others(tmp_path):
    """Nor the exit of the program."""
    gate = threading.Event()

    def parse_when_open(text: str):
        gate.wait(10)
        return parse_networks(text)

    hanging, other = Listed(tmp_path / "deny.txt", "::1\n"), Listed(tmp_path / "allow.txt", "::1\n")
    hanging.file._parse = parse_when_open
    watcher = Watcher([hanging.file, other.file], poll_s=0.01, longest_s=0.1)
    watcher.start()
    for listed in (hanging, other):
        listed.path.write_text("::1\n::2\n")
    eventually(lambda: hanging.problems)
    assert "no answer for 0.1 s" in hanging.problems[0][1]
    eventually(lambda: len(other.file.value) == 2)
    assert len(hanging.file.value) == 1
    gate.set()
    eventually(lambda: len(hanging.file.value) == 2)
    eventually(lambda: len(hanging.problems) == 2)
    assert [name for name, _ in hanging.problems] == ["list-deny-not-reloaded", "list-deny-recovered"]
    gate.clear()
    hanging.path.write_text("::1\n")
    eventually(lambda: len(hanging.problems) == 3)
    watcher.stop()
    assert not gate.is_set()
    gate.set()


def test_a_list_that_hangs_at_startup_is_reported_in_time(tmp_path):
    gate = threading.Event()
    with pytest.raises(ValueError, match=r"can't read .*deny.txt: no answer for 0.05 s"):
        in_time(lambda: gate.wait(10), tmp_path / "deny.txt", 0.05)
    gate.set()


def statuses_of(url: str, address: str) -> int:
    with session_from(address) as session:
        return session.get(f"{url}/balance/acct-000001", timeout=5).status_code


def until_status(url: str, address: str, wanted: int, *, seconds: float = 10) -> None:
    deadline_s = time.monotonic() + seconds
    while statuses_of(url, address) != wanted:
        assert time.monotonic() < deadline_s, f"never {wanted}"
        time.sleep(0.05)


@pytest.mark.process
@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.long)])
def test_a_running_target_reloads_its_lists(tmp_path, workers):
    """By modification time and on SIGHUP, in each process; no connection is lost."""
    deny = tmp_path / "deny.txt"
    deny.write_text("127.9.0.1\n")
    with running_target(DENY_FILE=str(deny), WORKERS=workers, LIMIT_BALANCE="100000/min") as target:
        with session_from("127.9.0.9") as bystander:
            ask = f"{target.url}/balance/acct-000001"
            assert bystander.get(ask, timeout=5).status_code == 200
            assert statuses_of(target.url, "127.9.0.1") == 403
            deny.write_text("127.9.0.2\n")
            until_status(target.url, "127.9.0.1", 200)
            # Its processes check the file one after the other.
            for _ in range(6):
                until_status(target.url, "127.9.0.2", 403)
            time.sleep(1.1)
            # An invalid version: the previous one stays in force, and this is reported.
            deny.write_text("127.9.0.0/8\n")
            os.kill(target.process.pid, signal.SIGHUP)
            deadline_s = time.monotonic() + 10
            wanted = 'protection_list_failures_total{list="deny"}'
            while (
                f"{wanted} 0.0" in (page := requests.get(f"{target.url}/metrics", timeout=5).text) or wanted not in page
            ):
                assert time.monotonic() < deadline_s
                time.sleep(0.05)
            assert {statuses_of(target.url, "127.9.0.2") for _ in range(6)} == {403}
            assert bystander.get(ask, timeout=5).status_code == 200
        assert target.process.poll() is None
        if workers == "2":
            assert len(psutil.Process(target.process.pid).children()) == 2


@pytest.mark.process
def test_sighup_stops_a_target_that_has_nothing_to_reload():
    """As when its terminal closes."""
    with running_target() as target:
        os.kill(target.process.pid, signal.SIGHUP)
        assert target.process.wait(10) == 0
