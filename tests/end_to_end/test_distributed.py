"""Several processes make one run: the same clients, the same numbers, and an end in order."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest

from analysis.estimates.metrics import tally
from analysis.frames.bursts import bursts
from analysis.frames.run import load_run
from analysis.judge.judgement import Word
from analysis.judge.verdict import decide
from tests.commands import ROOT, Background, loadproof, only_run, scenario_file, verdict_of

pytestmark = pytest.mark.process


def counts_of(run: Path) -> dict[tuple[str, str], int]:
    rows = load_run(run).intervals
    rows = rows[rows["series"] == "response"]
    return rows.groupby(["phase", "endpoint"], observed=True)["count"].sum().to_dict()


@pytest.fixture(scope="module")
def three_workers(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("three")
    done = loadproof("run", scenario_file(path), "--out", path / "reports", "--workers", 3)
    assert done.returncode == 0, done.stdout + done.stderr
    return only_run(path / "reports")


@pytest.mark.quiet
def test_a_run_of_three_workers_is_whole(three_workers):
    """Every worker's seconds, every request with its outcome, Locust's statistics in agreement."""
    run = load_run(three_workers)
    assert run.manifest.workers == 3
    assert sorted(run.generator["worker"].unique()) == ["1", "2", "3"]
    counts = tally(run.intervals)
    assert counts.sent == int(run.generator["sent"].sum())
    assert counts.abandoned == 0
    stats = pd.read_csv(three_workers / "locust_stats.csv")
    assert stats[stats["Name"] == "Aggregated"]["Request Count"].iloc[0] == counts.sent
    assert run.generator["clock_skew_s"].abs().max() < 0.02
    assert [burst.sent for burst in bursts(run)] == [20, 20]
    assert all(burst.spread_s < 0.05 for burst in bursts(run))


@pytest.mark.quiet
def test_it_sends_what_one_worker_sends(three_workers, tmp_path):
    """Per phase and endpoint, to the one request that is due as a phase ends."""
    done = loadproof("run", scenario_file(tmp_path), "--out", tmp_path / "reports")
    assert done.returncode == 0, done.stdout
    alone, together = counts_of(only_run(tmp_path / "reports")), counts_of(three_workers)
    assert alone.keys() == together.keys()
    for place, count in alone.items():
        assert abs(together[place] - count) <= 0.05 * count + 2, place
    assert {place: count for place, count in alone.items() if place[0] == "bursts"} == {
        place: count for place, count in together.items() if place[0] == "bursts"
    }


@contextmanager
def noting_requests() -> Iterator[tuple[str, Counter]]:
    """A server that notes who asked for what; its answers are wrong, which is no matter here."""
    seen: Counter = Counter()
    lock = threading.Lock()

    class Noting(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            with lock:
                seen[self.client_address[0], self.path] += 1
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with lock:
                seen[self.client_address[0], self.headers.get("Idempotency-Key"), body] += 1
            self.send_response(201)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that hangs up is no error of the test."""

    server = Server(("127.0.0.1", 0), Noting)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", seen
    finally:
        server.shutdown()
        server.server_close()


def test_clients_accounts_and_payloads_are_the_same_for_any_number_of_workers(tmp_path):
    """Address by address, key by key, byte by byte."""
    plan = {
        "model": "open",
        "client_count": 40,
        "mix": {"balance": {"share": "50 %"}, "transactions": {"share": "50 %"}},
        "phases": [{"name": "flat", "duration": "3 s", "rate": "20 rps"}],
        "thresholds": [{"expect": "goodput_ratio >= 50 %"}],
    }
    noted = []
    for workers in (1, 2, 3):
        with noting_requests() as (url, seen):
            file = scenario_file(tmp_path, **plan)
            done = loadproof("run", file, "--out", tmp_path / "out", "--workers", workers, TARGET_URL=url)
            assert done.returncode != 2, done.stderr
        del seen[next(key for key in seen if key[1] == "/health")]
        noted.append({key: count for key, count in seen.items() if key[1] != "/metrics"})
    assert noted[0] == noted[1] == noted[2]
    assert sum(noted[0].values()) == 60


def test_a_worker_that_dies_makes_the_run_invalid(tmp_path):
    """With its number as the reason, and no process left."""
    run = Background("run", scenario_file(tmp_path), "--out", tmp_path / "reports", "--workers", 2)
    run.wait_for(tmp_path / "reports/*/target.csv")
    run.child("--worker").kill()
    assert run.end() == 4, run.output
    assert run.survivors() == []
    report = only_run(tmp_path / "reports")
    assert "of the workers ended with code -9" in verdict_of(report)["reason"]


def test_a_master_that_dies_makes_the_run_invalid(tmp_path):
    """Its workers go with it."""
    run = Background("run", scenario_file(tmp_path), "--out", tmp_path / "reports", "--workers", 2)
    run.wait_for(tmp_path / "reports/*/target.csv")
    run.child("--master").kill()
    assert run.end() == 4, run.output
    assert run.survivors() == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_all_workers_with_a_report(tmp_path, number, code):
    """What they had measured is in it."""
    run = Background("run", scenario_file(tmp_path), "--out", tmp_path / "reports", "--workers", 2)
    run.wait_for_phase(tmp_path / "reports", "steady")
    assert run.signalled(number) == code, run.output
    assert run.survivors() == []
    report = only_run(tmp_path / "reports")
    assert load_run(report).manifest.ending in {"interrupted", "terminated"}
    counts = tally(load_run(report).intervals)
    assert counts.sent + counts.abandoned == load_run(report).generator["sent"].sum() > 0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_workers_that_never_come_are_told(tmp_path):
    """After the wait that was asked for, with a reason and no zero."""
    done = loadproof(
        *("run", scenario_file(tmp_path), "--out", tmp_path / "reports"),
        *("--workers", 2, "--listen", f"127.0.0.1:{free_port()}", "--wait", 2),
    )
    assert done.returncode == 4
    assert "fewer than 2 workers came in time" in " ".join(done.stdout.split())


@pytest.mark.quiet
def test_workers_from_elsewhere_make_the_load(tmp_path):
    """`loadproof worker` finds the master, does its part, and ends when told `--once`."""
    address = f"127.0.0.1:{free_port()}"
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "loadproof", "worker", address, "--once"], cwd=ROOT, stderr=subprocess.DEVNULL
        )
        for _ in range(2)
    ]
    done = loadproof(
        *("run", scenario_file(tmp_path), "--out", tmp_path / "reports", "--workers", 2, "--listen", address)
    )
    codes = [worker.wait(20) for worker in workers]
    assert codes == [0, 0]
    assert done.returncode == 0, done.stdout + done.stderr
    assert load_run(only_run(tmp_path / "reports")).manifest.workers == 2


def test_a_worker_whose_clock_is_ahead_is_noticed(tmp_path):
    """Its second 0 comes too early, and so do its phases."""
    (tmp_path / "sitecustomize.py").write_text("import time\nreal = time.time\ntime.time = lambda: real() + 0.4\n")
    address = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "loadproof", "worker", address, "--once"]
    workers = [
        subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, env={**os.environ, **ahead})
        for ahead in ({}, {"PYTHONPATH": str(tmp_path)})
    ]
    file = scenario_file(tmp_path)
    loadproof("run", file, "--out", tmp_path / "reports", "--workers", 2, "--listen", address)
    assert [worker.wait(20) for worker in workers] == [0, 0]
    run = load_run(only_run(tmp_path / "reports"))
    last = run.generator.groupby("worker")["clock_skew_s"].last()
    assert sorted(last) == pytest.approx([0.0, 0.4], abs=0.03)
    found = [one for one in decide(run).findings if "ahead of the master's" in one.what]
    assert [one.word for one in found] == [Word.INVALID]


def test_a_worker_without_a_master_waits_until_it_is_stopped():
    """SIGTERM ends it at once."""
    worker = Background("worker", f"127.0.0.1:{free_port()}")
    worker.child("--worker")
    assert worker.signalled(signal.SIGTERM) in {0, 2}
    assert worker.survivors() == []


def test_a_wrong_address_is_refused():
    """Where, what, the value, the remedy."""
    done = loadproof("worker", "master:port")
    assert (done.returncode, done.stderr) == (
        2,
        "master: not an address, got 'master:port'; write HOST:PORT, like 0.0.0.0:5557\n",
    )
