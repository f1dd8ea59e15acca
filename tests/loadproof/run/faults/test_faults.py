"""Faults injected by a run, into its own processes and in front of servers, and undone whatever happens to the run."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from types import SimpleNamespace

import psutil
import pytest
import requests

from loadproof.errors import Problem, TargetError
from loadproof.plan.faultspans import FaultSpan
from loadproof.run.faults.faults import Faults
from loadproof.run.faults.keeperclient import FaultError, KeeperClient, fault_keeper
from loadproof.rundir.manifest import TargetFacts
from loadproof.scenario.faults import Kill, Latency, Pause, ResetPeer
from loadproof.scenario.target.way import TlsSettings
from tests.commands import becomes
from tests.servers import Heard, serving

pytestmark = pytest.mark.process

LATENCY = Latency(fault="latency", phase="steady", lasts="1 s", latency="300 ms")


@pytest.fixture
def keeper(tmp_path):
    with fault_keeper(tmp_path, cores=set()) as keeper:
        yield keeper


@contextmanager
def sleeping():
    """A process that leads its own process group, like those of a run."""
    process = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        yield psutil.Process(process.pid)
    finally:
        process.kill()
        process.wait()


def test_a_server_behind_the_proxy_keeps_its_name(keeper):
    """It gets its own address as Host, its certificate is checked for that name, and the base path stays."""
    faults = Faults([FaultSpan(0, LATENCY, 1.0, 2.0)], keeper)
    heard = Heard()
    with serving(heard.script) as url:
        own = faults.in_front_of(TargetFacts(kind="own", base_url=f"{url}/v1", limits={}))
        assert own.base_url != f"{url}/v1"
        assert (own.address, own.base_url[-3:]) == (f"{url}/v1", "/v1")
        assert requests.get(f"{own.base_url}/health", headers=own.headers, timeout=5).status_code == 200
    assert {f"host: {url.removeprefix('http://')}".encode()} <= set(heard.heads().pop().split(b"\r\n"))
    secure = TargetFacts(kind="own", base_url="https://api.example.test", limits={}, tls=TlsSettings(ca_file="ca.pem"))
    proxied = faults.in_front_of(secure)
    assert proxied.tls == TlsSettings(ca_file="ca.pem", server_name="api.example.test")
    assert proxied.headers == {"Host": "api.example.test"}


def test_without_a_network_fault_there_is_no_proxy(keeper):
    """A pause needs none."""
    pause = Pause(fault="pause", phase="steady", lasts="1 s")
    target = TargetFacts(kind="own", base_url="http://127.0.0.1:1", limits={})
    assert Faults([FaultSpan(0, pause, 1.0, 2.0)], keeper).in_front_of(target) is target


def test_each_fault_begins_and_ends_on_time_and_is_noted(keeper):
    """In order, and never before its time."""
    faults = Faults([FaultSpan(0, LATENCY, 0.3, 0.6), FaultSpan(1, LATENCY, 0.4, 0.8)], keeper)
    with serving(Heard().script) as url:
        faults.in_front_of(TargetFacts(kind="own", base_url=url, limits={}))
        start_s, noted = time.monotonic(), []
        faults.begin(time.time(), lambda kind, detail: noted.append((time.monotonic() - start_s, kind, detail)))
        deadline_s = start_s + 10
        while len(noted) < 4 and time.monotonic() < deadline_s:
            time.sleep(0.01)
        faults.end()
    assert [(kind, json.loads(detail)["number"]) for _, kind, detail in noted] == [
        ("fault_begun", 0),
        ("fault_begun", 1),
        ("fault_ended", 0),
        ("fault_ended", 1),
    ]
    assert all(at_s >= due_s for (at_s, *_), due_s in zip(noted, (0.3, 0.4, 0.6, 0.8), strict=True))


def test_a_run_that_ends_early_undoes_active_faults(keeper):
    """And begins no others."""
    faults = Faults([FaultSpan(0, LATENCY, 0.0, 60.0), FaultSpan(1, LATENCY, 30.0, 60.0)], keeper)
    noted: list[tuple[str, int]] = []
    with serving(Heard().script) as url:
        target = faults.in_front_of(TargetFacts(kind="own", base_url=url, limits={}))
        faults.begin(time.time(), lambda kind, detail: noted.append((kind, json.loads(detail)["number"])))
        deadline_s = time.monotonic() + 10
        while not noted and time.monotonic() < deadline_s:
            time.sleep(0.01)
        faults.end()
        assert noted == [("fault_begun", 0), ("fault_ended", 0)]
        began_s = time.monotonic()
        requests.get(f"{target.base_url}/health", timeout=5)
        assert time.monotonic() - began_s < 0.3


def test_a_paused_process_group_can_be_resumed(keeper):
    """Not only its leader."""
    with sleeping() as process:
        keeper.pause(process.pid)
        becomes(process, psutil.STATUS_STOPPED)
        keeper.resume(process.pid)
        becomes(process, psutil.STATUS_SLEEPING)


def test_a_killed_run_leaves_nothing_paused(tmp_path):
    """The process that injects faults notices that the run is gone, resumes what was paused, and ends."""
    code = f"""
import sys, time
from pathlib import Path
from loadproof.run.faults.keeperclient import fault_keeper
with fault_keeper(Path({str(tmp_path)!r}), cores=set()) as keeper:
    keeper.adopt(sys.argv[2])
    keeper.pause(int(sys.argv[1]))
    print("paused", flush=True)
    time.sleep(60)
"""
    ledger = tmp_path / "ledger"
    ledger.mkdir()
    with sleeping() as process:
        run = subprocess.Popen([sys.executable, "-c", code, str(process.pid), ledger], stdout=subprocess.PIPE)
        assert run.stdout is not None
        assert run.stdout.readline() == b"paused\n"
        becomes(process, psutil.STATUS_STOPPED)
        (doing,) = psutil.Process(run.pid).children()
        run.kill()
        run.communicate()
        becomes(process, psutil.STATUS_SLEEPING)
        assert psutil.wait_procs([doing], timeout=10)[1] == []
    assert not ledger.exists()


def test_a_fault_that_cannot_be_injected_is_an_error(keeper):
    """No such process; or the process that injects faults is gone."""
    with pytest.raises(FaultError, match="ProcessLookupError"):
        keeper.pause(2**22 - 1)
    (doing,) = (
        child for child in psutil.Process(os.getpid()).children() if "loadproof.faults.keeper" in child.cmdline()
    )
    doing.send_signal(signal.SIGKILL)
    doing.wait(5)
    with pytest.raises(FaultError, match="the process that injects faults"):
        keeper.pause(1)


def test_a_paused_server_is_resumed_even_if_the_fault_process_is_gone(keeper):
    """A paused process can't end cleanly, and it is the run's own."""
    pause = Pause(fault="pause", phase="steady", lasts="1 s")
    faults, noted = Faults([FaultSpan(0, pause, 0.0, 60.0)], keeper), []
    with sleeping() as process:
        faults.servers["target"] = SimpleNamespace(process=process)
        faults.begin(time.time(), lambda kind, _: noted.append(kind))
        becomes(process, psutil.STATUS_STOPPED)
        # The process may be seen as paused before the fault is noted.
        until_s = time.monotonic() + 10
        while not noted and time.monotonic() < until_s:
            time.sleep(0.01)
        children = psutil.Process(os.getpid()).children()
        (doing,) = (child for child in children if "loadproof.faults.keeper" in child.cmdline())
        doing.kill()
        doing.wait(5)
        faults.end()
        becomes(process, psutil.STATUS_SLEEPING)
    assert noted == ["fault_begun", "fault_failed", "fault_failed"]


class Gone:
    """A server that can be killed, but doesn't start again."""

    def take_down(self, *, politely: bool) -> None:
        assert not politely

    def bring_up(self) -> None:
        raise TargetError(Problem("embedded target", "did not get ready", "see target.log"))


def test_a_target_that_does_not_come_back_is_to_blame(keeper):
    """Other failures of faults are ours."""
    kill = Kill(fault="kill", phase="steady", lasts="1 s")
    faults, noted = Faults([FaultSpan(0, kill, 0.0, 0.1)], keeper), []
    faults.servers["target"] = Gone()
    faults.begin(time.time(), lambda kind, detail: noted.append((kind, json.loads(detail).get("is_targets"))))
    deadline_s = time.monotonic() + 10
    while len(noted) < 2 and time.monotonic() < deadline_s:
        time.sleep(0.01)
    faults.end()
    assert noted == [("fault_begun", None), ("fault_failed", True)]


def test_a_redis_that_does_not_come_back_is_not_blamed_on_the_target(keeper):
    """It was up to the run to start it."""
    kill = Kill(fault="kill", of="redis", phase="steady", lasts="1 s")
    faults, noted = Faults([FaultSpan(0, kill, 0.0, 0.1)], keeper), []
    faults.servers["redis"] = Gone()
    faults.begin(time.time(), lambda kind, detail: noted.append((kind, json.loads(detail).get("is_targets"))))
    deadline_s = time.monotonic() + 10
    while len(noted) < 2 and time.monotonic() < deadline_s:
        time.sleep(0.01)
    faults.end()
    assert noted == [("fault_begun", None), ("fault_failed", False)]


def test_a_lost_proxy_is_not_blamed_on_the_target(keeper):
    """Even if every fault had ended by then: later failures are ours."""
    faults, noted = Faults([FaultSpan(0, LATENCY, 0.0, 0.1)], keeper), []
    with serving(Heard().script) as url:
        faults.in_front_of(TargetFacts(kind="own", base_url=url, limits={}))
        faults.begin(time.time(), lambda kind, _: noted.append(kind))
        deadline_s = time.monotonic() + 10
        while len(noted) < 2 and time.monotonic() < deadline_s:
            time.sleep(0.01)
        children = psutil.Process(os.getpid()).children()
        (doing,) = (child for child in children if "loadproof.faults.keeper" in child.cmdline())
        doing.kill()
        doing.wait(5)
        faults.end()
    assert noted == ["fault_begun", "fault_ended", "fault_failed"]


def test_after_a_failure_the_other_faults_still_happen(keeper):
    """Here, there is no embedded target to pause."""
    pause = Pause(fault="pause", phase="steady", lasts="1 s")
    reset = ResetPeer(fault="reset_peer", phase="steady", lasts="1 s")
    faults = Faults([FaultSpan(0, pause, 0.0, 0.1), FaultSpan(1, reset, 0.2, 0.3)], keeper)
    noted = []
    with serving(Heard().script) as url:
        faults.in_front_of(TargetFacts(kind="own", base_url=url, limits={}))
        faults.begin(time.time(), lambda kind, detail: noted.append((kind, json.loads(detail))))
        deadline_s = time.monotonic() + 10
        while len(noted) < 4 and time.monotonic() < deadline_s:
            time.sleep(0.01)
        faults.end()
    assert [kind for kind, _ in noted] == ["fault_failed", "fault_failed", "fault_begun", "fault_ended"]
    assert noted[0][1]["reason"] == "not started by this run"


def test_a_half_sent_answer_means_that_the_process_is_gone():
    """It is neither an answer nor a bug."""
    ours, theirs = socket.socketpair()
    with theirs, closing(KeeperClient(ours)) as keeper:
        theirs.sendall(b'{"po')
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(FaultError, match="is gone"):
            keeper.look()
