"""Only a run's own processes contribute to its report: anything else that reaches the master's port is ignored."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import zmq

from loadproof.run.machine.ports import free_port

from tests.unpatched import locust  # isort: skip # noqa: F401

from locust.rpc.protocol import Message
from locust.stats import RequestStats

from loadproof.analysis.estimates.scope import tally
from loadproof.analysis.frames.run import load_run
from loadproof.recording.reports import SecondReport
from tests.commands import ROOT, Background, only_run, scenario_file

pytestmark = pytest.mark.process

OURS, THEIRS = "a1" * 32, "b2" * 32
PLAN = {
    "phases": [{"name": "steady", "duration": "8 s", "users": 20}],
    "thresholds": [{"expect": "goodput_ratio >= 90 %"}],
}
MADE_UP = [(2, "steady", "balance", "ok", series, 0, 1000) for series in ("response", "service", "good", "completed")]


def results() -> dict[str, object]:
    """One second of results from a worker that doesn't exist. Source: `generator/crew/crew.py`."""
    report = SecondReport("9", 3.0, 0, 0, 0, 0, cells=list(MADE_UP), generator=None, bursts=[])
    return {"report": vars(report), "now_unix_s": time.time(), "clock_took_s": 0.0}


def statistics() -> dict[str, object]:
    """Locust statistics with failures that never happened. Source: locust/stats.py 2.47."""
    stats = RequestStats()
    stats.log_request("GET", "balance", 1, 1)
    stats.log_error("GET", "balance", "made up")
    counts = {"stats": stats.serialize_stats(), "errors": stats.serialize_errors()}
    return counts | {"stats_total": stats.total.get_stripped_report(), "user_classes_count": {}, "user_count": 0}


def frame(kind: str, content: object) -> bytes:
    return Message(kind, content, "stranger").serialize()


FRAMES = {
    "garbage": b"\xc1 no message",
    "a worker that is ready": frame("client_ready", "2.47.0"),
    "results": frame("loadproof-second", results()),
    "statistics": frame("stats", statistics()),
}


def master_port(run: Background) -> int:
    """The port where the master listens for workers."""
    master = run.child("--master")
    listening = run.eventually(
        lambda: [c.laddr.port for c in master.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    )
    return int(listening[0])


def locust_total(path: Path) -> int:
    """The requests of all workers in Locust's own statistics."""
    with (path / "locust_stats.csv").open(newline="") as file:
        (total,) = (row for row in csv.DictReader(file) if row["Name"] == "Aggregated")
    return int(total["Request Count"])


@pytest.mark.long
@pytest.mark.parametrize("sent", FRAMES.values(), ids=FRAMES.keys())
def test_what_a_stranger_sends_changes_nothing(tmp_path, sent):
    """To a real master of two workers in mid-run: it completes with exactly what its workers sent."""
    run = Background("run", scenario_file(tmp_path, **PLAN), "--out", tmp_path / "out", "--workers", 2)
    run.wait_for_phase(tmp_path / "out", "steady")
    with zmq.Context() as context, context.socket(zmq.DEALER) as stranger:
        stranger.setsockopt(zmq.LINGER, 0)
        stranger.setsockopt(zmq.SNDTIMEO, 2000)
        stranger.setsockopt(zmq.IDENTITY, b"stranger")
        stranger.connect(f"tcp://127.0.0.1:{master_port(run)}")
        time.sleep(1)
        # Once it has been turned away, there may be nobody to send to.
        with suppress(zmq.Again):
            stranger.send(sent)
        time.sleep(1)
        assert not stranger.poll(0), "the master answered"
    run.end()
    seen = load_run(only_run(tmp_path / "out"))
    assert seen.manifest.ending == "completed", run.output
    assert set(seen.generator["worker"]) == {"1", "2"}
    counts = tally(seen.intervals)
    assert counts.sent + counts.abandoned == int(seen.generator["sent"].sum()) > 0
    assert locust_total(seen.path) == counts.sent
    assert "made up" not in (seen.path / "locust_failures.csv").read_text()
    assert "stranger" in set(seen.events["kind"]), "nobody was told"


def worker_at(port: int, secret: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "loadproof", "worker", f"127.0.0.1:{port}", "--once"],
        cwd=ROOT,
        env={**os.environ, "LOADPROOF_SECRET": secret},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.long
def test_a_worker_with_another_secret_never_joins_and_both_sides_say_so(tmp_path):
    """The worker by itself within seconds; the master at once, and again when it gives up waiting."""
    port = free_port()
    # Starting a worker takes a while on a busy machine.
    listen = ("--workers", 1, "--listen", f"127.0.0.1:{port}", "--wait", 25)
    run = Background("run", scenario_file(tmp_path), "--out", tmp_path / "out", *listen, LOADPROOF_SECRET=OURS)
    run.child("--master")
    worker = worker_at(port, THEIRS)
    told, _ = worker.communicate(timeout=60)
    assert worker.returncode == 2
    assert f"127.0.0.1:{port}: whatever listens there has a different LOADPROOF_SECRET, or none" in told
    assert run.end() == 4
    assert "a connection to the master's port was refused" in run.output
    assert "fewer than 1 workers connected in time, and a connection was refused" in " ".join(run.output.split())
    assert run.survivors() == []


@pytest.mark.long
def test_a_late_worker_changes_nothing_and_the_secret_is_not_written_anywhere(tmp_path):
    """It has the right key but no part of the plan: users, traffic and results come from the worker that has one."""
    port = free_port()
    listen = ("--workers", 1, "--listen", f"127.0.0.1:{port}")
    plan = scenario_file(tmp_path, **PLAN | {"phases": [{"name": "steady", "duration": "12 s", "users": 20}]})
    run = Background("run", plan, "--out", tmp_path / "out", *listen, LOADPROOF_SECRET=OURS)
    first = worker_at(port, OURS)
    run.wait_for_phase(tmp_path / "out", "steady")
    late = worker_at(port, OURS)
    log = run.wait_for(tmp_path / "out/*/generator.log")
    run.eventually(lambda: log.read_text().count("reported as ready") == 2)
    commands = [word for process in run.children() for word in process.cmdline()]
    run.end()
    told = [first.communicate(timeout=60)[0], late.communicate(timeout=60)[0]]
    seen = load_run(only_run(tmp_path / "out"))
    assert seen.manifest.ending == "completed", run.output
    assert set(seen.generator["worker"]) == {"1"}
    assert set(seen.generator["users"][3:-1]) == {20}
    counts = tally(seen.intervals)
    assert counts.sent + counts.abandoned == int(seen.generator["sent"].sum()) > 0
    assert locust_total(seen.path) == counts.sent, "the late one sent, too"
    written = [file.read_bytes() for file in seen.path.iterdir()]
    assert not any(OURS.encode() in text for text in (*written, run.output.encode(), *map(str.encode, told + commands)))
