"""A worker does only what its owner allowed, whatever its master was allowed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from loadproof.errors import ExitCode
from loadproof.run.machine.ports import free_port
from loadproof.rundir.manifest import read_manifest
from tests.commands import ROOT, code_of, in_process, only_run, scenario_file
from tests.servers import read_request, serving

pytestmark = [pytest.mark.process, pytest.mark.long]

SECRET, OURS, THEIRS = "5" * 64, "what-the-master-may-tell", "what-only-the-worker-knows"
HOST = "127.1"
"""Loopback under a name that isn't recognized as loopback."""
MAY_LOAD = {"LOADPROOF_ALLOW_HOSTS": HOST}
MAY_READ = {"LOADPROOF_ALLOW_VARIABLES": "TARGET_KEY"}
PLAN = {
    "mix": {"health": {"share": "100 %", "every": "200 ms"}},
    "clients": "shared",
    "phases": [{"name": "steady", "duration": "2 s", "users": 2}],
    "thresholds": [{"expect": "goodput_ratio >= 1 %"}],
}


class Target:
    """Answers that it is healthy, and keeps what it was sent."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []

    def script(self, connection: socket.socket, _: int) -> None:
        while request := read_request(connection):
            self.requests.append(request)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n" + b'{"status":"ok"}')

    def heard(self, value: str) -> int:
        return sum(value.encode() in request for request in self.requests)


def run_with_a_worker(path: Path, url: str, **allowed: str) -> tuple[int, str, str]:
    """The exit code and output of an unrestricted master, and the output of a worker that is allowed this much.

    The target file names a variable.
    """
    file = path / "target.yaml"
    file.write_text(f"base_url: {url}\nheaders: {{X-Key: '${{TARGET_KEY}}'}}\n")
    address = f"127.0.0.1:{free_port()}"
    worker = subprocess.Popen(
        [sys.executable, "-m", "loadproof", "worker", address, "--once"],
        cwd=ROOT,
        env={**os.environ, "LOADPROOF_SECRET": SECRET, "TARGET_KEY": THEIRS, **allowed},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    run = ("run", scenario_file(path, **PLAN), "--target", file, "--allow-host", HOST, "--out", path / "out")
    listen = ("--workers", 1, "--listen", address)
    try:
        done = in_process(*run, *listen, LOADPROOF_SECRET=SECRET, TARGET_KEY=OURS)
    finally:
        told = worker.communicate(timeout=60)[0]
    assert "Traceback" not in done.stdout + done.stderr + told
    return done.returncode, " ".join(done.stdout.split()), told


@pytest.mark.parametrize(
    ("allowed", "reason"),
    [
        (MAY_READ, f"target: this host is not on the allow list, got '{HOST}'"),
        (MAY_LOAD, "target headers.X-Key: the worker may not read this environment variable, got 'TARGET_KEY'"),
    ],
    ids=["a host", "a variable"],
)
def test_a_worker_refuses_what_its_owner_did_not_allow_before_anything_is_sent(tmp_path, allowed, reason):
    """Both sides say why, no value leaves the worker, and nothing is measured."""
    target = Target()
    with serving(target.script) as url:
        code, told_by_master, told_by_worker = run_with_a_worker(tmp_path, url.replace("127.0.0.1", HOST), **allowed)
    assert code == ExitCode.INVALID
    assert reason in told_by_worker
    assert "worker 1 refused its part" in told_by_master
    assert reason in told_by_master
    assert target.heard(THEIRS) == 0
    run = only_run(tmp_path / "out")
    assert read_manifest(run).ending == "generator_died"
    assert not (run / "intervals.csv.gz").exists()


def test_a_worker_does_what_its_owner_allowed(tmp_path):
    """With the worker's own value of the variable."""
    target = Target()
    with serving(target.script) as url:
        code, told, _ = run_with_a_worker(tmp_path, url.replace("127.0.0.1", HOST), **MAY_LOAD, **MAY_READ)
    run = only_run(tmp_path / "out")
    assert (read_manifest(run).ending, code) == ("completed", code_of(run)), told
    assert target.heard(THEIRS) > 5
