"""Several processes make one run: it ends cleanly if one dies, is late or is on another machine."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from loadproof.analysis.estimates.scope import tally
from loadproof.analysis.frames.journal import load_journal
from loadproof.analysis.frames.run import load_run
from loadproof.histogram import MIDPOINT_US
from loadproof.run.machine.ports import free_port
from loadproof.run.watching import watch
from loadproof.rundir import files
from loadproof.rundir.manifest import read_manifest
from tests.commands import ENDLESS, ROOT, Background, found, in_process, only_run, scenario_file, word_of
from tests.quiet import run_when_quiet
from tests.servers import Heard, serving

pytestmark = pytest.mark.process
SECRET = "5" * 64
WORKER = "from loadproof.cli.app import main; main()"


@pytest.mark.long
@pytest.mark.parametrize(
    ("role", "told"), [("--worker", "of the workers ended with code -9"), ("--master", "Locust ended with code -9")]
)
def test_a_process_that_dies_makes_the_run_invalid(tmp_path, role, told):
    """The reason names the process, and the others end with it."""
    file = scenario_file(tmp_path, **ENDLESS, record="requests")
    run = Background("run", file, "--out", tmp_path / "out", "--workers", 2)
    run.wait_for(tmp_path / "out/*/journal.csv.gz")
    run.child(role).kill()
    assert run.end() == 4, run.output
    assert run.survivors() == []
    manifest = read_manifest(only_run(tmp_path / "out"))
    assert manifest.ending == "generator_died"
    assert told in manifest.ending_detail
    assert found(only_run(tmp_path / "out"), files.JOURNAL) <= {"NOTE"}


@pytest.mark.long
def test_stopped_workers_make_the_run_invalid(tmp_path):
    """SIGTERM is what Docker and Kubernetes send; each worker ends cleanly, with code 0."""
    run = Background("run", scenario_file(tmp_path, **ENDLESS), "--out", tmp_path / "out", "--workers", 2)
    run.wait_for(tmp_path / "out/*/intervals.csv.gz")
    for process in run.children():
        if "--worker" in process.cmdline():
            process.terminate()
    assert run.end() == 4, run.output
    assert read_manifest(only_run(tmp_path / "out")).ending == "generator_died"
    assert run.survivors() == []


@pytest.mark.long
def test_a_signal_ends_all_workers_with_a_report(tmp_path):
    """It contains their results so far."""
    file = scenario_file(tmp_path, **ENDLESS, record="requests")
    run = Background("run", file, "--out", tmp_path / "out", "--workers", 2)
    run.wait_for(tmp_path / "out/*/journal.csv.gz")
    assert run.signalled(signal.SIGTERM) == 143, run.output
    assert run.survivors() == []
    seen = load_run(only_run(tmp_path / "out"))
    assert seen.manifest.ending == "terminated"
    counts = tally(seen.intervals)
    assert counts.sent + counts.abandoned == seen.generator["sent"].sum() == len(load_journal(seen)) > 0


@pytest.mark.long
@pytest.mark.quiet
def test_answers_in_flight_at_the_end_are_as_fast_as_the_others(tmp_path):
    """The target takes 100 ms each time; stopping 600 users takes several times as long."""
    plan = {
        "mix": {"health": {"share": "100 %", "every": "1 s"}},
        "phases": [{"name": "steady", "duration": "6 s", "users": 600}],
        "thresholds": [{"expect": "goodput_ratio >= 90 %"}],
        "clients": "shared",
    }
    tries = itertools.count()

    def run_once() -> Path:
        out = tmp_path / f"out-{next(tries)}"
        options = ("--out", out, "--workers", 2)
        # Inside of the try: its CPU time is the test's, not that of others.
        with constant_server() as base_url:
            in_process("run", scenario_file(tmp_path, **plan), *options, TARGET_URL=base_url)
        return only_run(out)

    rows = load_run(run_when_quiet(run_once)).intervals
    rows = rows[rows["series"] == "service"]
    slowest_ms = rows.groupby("second")["bucket"].max().map(lambda bucket: MIDPOINT_US[bucket] / 1000)
    assert slowest_ms[5] < 2 * slowest_ms[:5].median(), slowest_ms


@contextmanager
def constant_server() -> Iterator[str]:
    """The base URL of a server that takes the same time for each answer."""
    port = free_port()
    with subprocess.Popen([sys.executable, "-m", "tests.end_to_end.constantserver", str(port)], cwd=ROOT) as server:
        try:
            wait_until_it_listens(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def wait_until_it_listens(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("it never listened")


@pytest.mark.long
def test_missing_workers_are_reported(tmp_path):
    """After the given wait, with a reason and a nonzero exit code."""
    done = in_process(
        *("run", scenario_file(tmp_path), "--out", tmp_path / "out"),
        *("--workers", 2, "--listen", f"127.0.0.1:{free_port()}", "--wait", 2),
        LOADPROOF_SECRET=SECRET,
    )
    assert done.returncode == 4
    assert "fewer than 2 workers connected in time" in " ".join(done.stdout.split())


@pytest.mark.long
def test_the_port_between_master_and_workers_is_taken_before_the_master_runs(tmp_path):
    """The socket listens from the moment the process exists, so no other program can take the port meanwhile."""
    run = Background("run", scenario_file(tmp_path), "--out", tmp_path / "out", "--workers", 2)
    command = run.child("--master").cmdline()
    port = int(command[command.index("--master-bind-port") + 1])
    socket.create_connection(("127.0.0.1", port), timeout=10).close()
    run.signalled(signal.SIGTERM)
    assert run.survivors() == []


@contextmanager
def workers_at(
    address: str, *environments: dict[str, str], options: Iterable[object] = ()
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """`loadproof worker --once`, each with changes to its environment; all are ended."""
    command = [sys.executable, "-m", "loadproof", "worker", address, "--once", *map(str, options)]
    workers = [
        subprocess.Popen(
            command, cwd=ROOT, stderr=subprocess.DEVNULL, env={**os.environ, "LOADPROOF_SECRET": SECRET, **environment}
        )
        for environment in environments
    ]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.terminate()
            worker.wait(30)


@pytest.mark.long
def test_remote_workers_generate_the_load_and_a_fast_clock_is_noticed(tmp_path):
    """They find the master, do their parts and end; a worker that begins too early makes the run INVALID."""
    (tmp_path / "sitecustomize.py").write_text("import time\nreal = time.time\ntime.time = lambda: real() + 0.4\n")
    address = f"127.0.0.1:{free_port()}"
    with workers_at(address, {}, {"PYTHONPATH": str(tmp_path)}) as workers:
        file = scenario_file(tmp_path)
        listen = ("--workers", 2, "--listen", address)
        done = in_process("run", file, "--out", tmp_path / "out", *listen, LOADPROOF_SECRET=SECRET)
        assert [worker.wait(60) for worker in workers] == [0, 0]
    assert done.returncode == 4, done.stdout + done.stderr
    run = load_run(only_run(tmp_path / "out"))
    assert run.manifest.workers == 2
    assert tally(run.intervals).sent == run.generator["sent"].sum() > 0
    last = sorted(run.generator.groupby("worker")["clock_skew_s"].last())
    # On a busy machine messages take longer, so less of the skew is certain.
    assert abs(last[0]) < 0.1
    assert 0.2 < last[1] < 0.41
    assert found(run.path, "ahead of the master's") == {"INVALID"}


BROUGHT = """
from loadproof import HttpUser
from locust import constant, tag, task

class Visitor(HttpUser):
    wait_time = constant(0.1)

    @tag("read")
    @task
    def look(self):
        self.client.get("/items")

    @tag("write")
    @task
    def buy(self):
        self.client.post("/buy")
"""


@pytest.mark.long
def test_a_remote_worker_runs_its_own_copy_of_a_locustfile(tmp_path):
    """With the master's tags, host and target file, and the worker's own value of a variable."""
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "shop.py").write_text(BROUGHT)
    (tmp_path / "target.yaml").write_text("base_url: BASE\nheaders: {X-Key: '${TARGET_KEY}'}\n")
    address, heard = f"127.0.0.1:{free_port()}", Heard()
    own = {"TARGET_KEY": "the-workers", "LOADPROOF_ALLOW_VARIABLES": "TARGET_KEY"}
    with (
        serving(heard.script) as url,
        workers_at(address, own, options=("--locustfile", tmp_path / "there/shop.py")) as workers,
    ):
        options = ("--users", 4, "--duration", "2s", "--tags", "read", "--expect", "goodput_ratio >= 80 %")
        listen = ("--workers", 1, "--listen", address, "--target", tmp_path / "target.yaml", "--out", tmp_path / "out")
        environment = {"LOADPROOF_SECRET": SECRET, "TARGET_KEY": "the-masters", "TARGET_URL": url}
        done = in_process("run", "--locustfile", tmp_path / "here/shop.py", *options, *listen, **environment)
        assert workers[0].wait(60) == 0
    path = only_run(tmp_path / "out")
    assert word_of(path, "goodput_ratio >= 80 %") == "PASS", done.stdout + done.stderr
    assert read_manifest(path).ending == "completed"
    sent = [request.lower() for _, request in heard.requests if b"the-workers" in request]
    assert len(sent) > 50
    assert {request.split(b" http/1.1")[0] for request in sent} == {b"get /items"}


@pytest.mark.long
def test_waiting_for_workers_does_not_count_towards_the_time_limit(tmp_path, monkeypatch):
    """A worker may come later than the whole run may take, if it comes within `--wait`."""
    monkeypatch.setattr(watch, "_PATIENCE_S", 0.5)
    timeouts = {"connect": "500 ms", "total": "500 ms"}
    phases = [{"name": "steady", "duration": "2 s", "users": 10}]
    changes = {"timeouts": timeouts, "phases": phases, "thresholds": [{"expect": "goodput_ratio >= 1 %"}]}
    port = free_port()
    command = [sys.executable, "-c", f"import time; time.sleep(10); {WORKER}", "worker", f"127.0.0.1:{port}", "--once"]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, "LOADPROOF_SECRET": SECRET}) as worker:
        listen = ("--workers", 1, "--listen", f"127.0.0.1:{port}", "--wait", 60)
        file = scenario_file(tmp_path, **changes, name="late", deadline="400 ms")
        try:
            done = in_process("run", file, "--out", tmp_path / "out", *listen, LOADPROOF_SECRET=SECRET)
        finally:
            worker.terminate()
    assert read_manifest(only_run(tmp_path / "out")).ending == "completed", done.stdout + done.stderr


@pytest.mark.long
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 143), (signal.SIGINT, 130)])
def test_a_worker_without_a_master_waits_until_it_is_stopped(number, code):
    """The signal ends it at once with everything it started, and is its exit code and its last word."""
    worker = Background("worker", f"127.0.0.1:{free_port()}", LOADPROOF_SECRET=SECRET)
    worker.child("--worker")
    assert worker.signalled(number) == code
    assert worker.output.splitlines()[-1] == f"worker: stopped by {number.name}"
    assert "Traceback" not in worker.output
    assert worker.survivors() == []


def test_an_invalid_address_is_refused():
    """With the place, the reason, the value and the remedy."""
    done = in_process("worker", "master:port")
    assert (done.returncode, done.stderr) == (
        2,
        "master: not an address, got 'master:port'; write HOST:PORT, like 0.0.0.0:5557\n",
    )
