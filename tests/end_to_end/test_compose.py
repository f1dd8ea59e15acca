"""docker-compose for real: target, master and workers in containers, on this machine's engine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from loadproof.analysis.estimates.scope import tally
from loadproof.analysis.frames.run import load_run
from loadproof.analysis.judge.verdict import EXIT_CODES
from loadproof.analysis.word import Word
from loadproof.errors import ExitCode
from loadproof.run.processes.secret import shared_secret
from loadproof.rundir import files
from tests.commands import ROOT, only_run, verdict_of, word_of, words_of
from tests.containers import IMAGE, docker, in_containers, need_engine
from tests.missing import missing

UID = 12_345


def compose_command() -> list[str] | None:
    """Compose v2, or docker-compose."""
    if not docker("compose", "version").returncode:
        return ["docker", "compose"]
    return ["docker-compose"] if shutil.which("docker-compose") else None


@pytest.fixture(scope="module")
def compose():
    """Runs compose on this repository's files, with the override for engines that have no bridge network."""
    need_engine()
    command = compose_command()
    if command is None:
        missing("docker", "there is no compose on this machine")
    has_bridge = not docker("network", "inspect", "bridge").returncode
    files = ["-f", "docker-compose.yml", *([] if has_bridge else ["-f", "deploy/compose.host.yaml"])]
    project = [*command, *files, "-p", "loadproof-test"]

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*project, *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHON_IMAGE": IMAGE, **environment},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    built = run("build")
    assert built.returncode == 0, built.stdout[-3000:] + built.stderr[-3000:]
    yield run
    run("down", "--timeout", "2")


def up(compose, reports: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    reports.mkdir()
    if os.geteuid() == 0:
        os.chown(reports, UID, UID)
    user = str(UID) if os.geteuid() == 0 else str(os.getuid())
    return compose(
        *("up", "--no-color", "--exit-code-from", "master"),
        **{"REPORTS": str(reports), "SCENARIO": "smoke", "LOADPROOF_UID": user, "LOADPROOF_GID": user, **environment},
    )


@in_containers
@pytest.mark.timeout(900)
def test_a_run_in_containers_leaves_a_complete_run_directory(compose, tmp_path):
    """Owned by the caller, from three workers, every request accounted for, clients identified by their header."""
    done = up(compose, tmp_path / "reports", WORKERS="3")
    path = only_run(tmp_path / "reports")
    assert done.returncode == EXIT_CODES[Word(verdict_of(path)["verdict"])], done.stdout[-3000:]
    assert set(words_of(path).values()) == {"PASS"}
    assert path.stat().st_uid == (UID if os.geteuid() == 0 else os.getuid())
    run = load_run(path)
    assert (path / files.REPORT).exists()
    assert run.manifest.workers == 3
    counts = tally(run.intervals)
    assert counts.outcomes["ok"] == counts.sent == int(run.generator["sent"].sum()) > 30


@in_containers
def test_a_failing_target_ends_the_run_with_a_nonzero_code(compose, tmp_path):
    """The code of the run's verdict, which is FAIL unless the machine disturbed the measurement."""
    done = up(compose, tmp_path / "reports", WORKERS="2", FAULTS='{"health": {"error_ratio": 1.0}}')
    path = only_run(tmp_path / "reports")
    assert word_of(path, "error_ratio < 10 %") == "FAIL", done.stdout[-3000:]
    assert done.returncode == EXIT_CODES[Word(verdict_of(path)["verdict"])] > 0


@in_containers
def test_a_target_that_never_starts_ends_the_run_with_its_reason(compose, tmp_path):
    """In bounded time, with the master's exit code, whether or not the target ends before the master begins."""
    start_s = time.monotonic()
    done = up(compose, tmp_path / "reports", FAULTS="nonsense")
    assert time.monotonic() - start_s < 120
    assert done.returncode == ExitCode.NOTHING_MEASURED, done.stdout[-3000:] + done.stderr[-3000:]
    assert "FAULTS: got 'nonsense'" in done.stdout
    assert "no HTTP answer to GET /health: " in done.stdout
    assert list((tmp_path / "reports").iterdir()) == []


@in_containers
def test_an_unwritable_directory_is_one_line(compose, tmp_path):
    """A ./reports that belongs to another user."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a directory of somebody else")
    done = up(compose, tmp_path / "reports", LOADPROOF_UID="54321", LOADPROOF_GID="54321")
    assert done.returncode == 2
    assert "can't be written: Permission denied" in done.stdout


def test_containers_have_no_more_rights_than_they_need():
    """Not root, only /tmp and the reports writable, no capabilities."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["tmpfs"] == ["/tmp"]  # noqa: S108 - inside the container
    dockerfile = (ROOT / "Dockerfile").read_text()
    for stage in ("target", "worker", "master"):
        assert re.search(rf"AS {stage}\n(?:.+\n)*USER 10001", dockerfile), stage


def mounts(service: dict[str, Any], volume: str) -> list[str]:
    return [mount for mount in service.get("volumes", []) if mount.startswith(f"{volume}:")]


def test_only_master_and_workers_mount_the_secret():
    """Read-only, after it was written; its value isn't in the file, and the target has no access to it."""
    document = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    services = document["services"]
    assert document["volumes"] == {"secret": None}
    for role in ("master", "worker"):
        (mount,) = mounts(services[role], "secret")
        _, place, mode = mount.split(":")
        assert mode == "ro"
        assert services[role]["environment"] == {"LOADPROOF_SECRET_FILE": f"{place}/secret"}
        assert services[role]["depends_on"]["secret"] == {"condition": "service_healthy"}
    assert mounts(services["secret"], "secret") == [f"secret:{place}"]
    assert services["secret"]["entrypoint"][-1] == f"{place}/secret"
    assert services["secret"]["network_mode"] == "none"
    assert {name for name, service in services.items() if mounts(service, "secret")} == {"master", "worker", "secret"}
    dockerfile = (ROOT / "Dockerfile").read_text()
    worker = dockerfile[dockerfile.index("AS worker\n") : dockerfile.index("AS master\n")]
    assert f"install -d -o 10001 -g 10001 -m 0755 {place}" in worker, "a new volume takes its owner from the image"
    assert services["secret"]["build"]["target"] == "worker"


def test_a_worker_in_a_container_may_load_what_its_master_loads():
    """The target's name is on the worker's own allow list."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    allowed = [word for word in services["master"]["command"] if word.startswith("--allow-host")]
    assert allowed == ["--allow-host=target"]
    assert allowed[0] in services["worker"]["command"]


@pytest.mark.process
def test_the_secret_is_created_once_and_its_container_keeps_running(tmp_path, monkeypatch):
    """`up --exit-code-from` would stop everything when a container ends; the next `up` finds the same secret."""
    file = tmp_path / "secret"

    def make() -> str:
        command = [sys.executable, "deploy/secret.py", file]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as maker:
            told = maker.stdout.readline()
            assert maker.poll() is None
            maker.terminate()
            assert maker.wait(10) == 0
        assert told == f"{file}: there is a secret\n"
        return file.read_text()

    first = make()
    assert file.stat().st_mode & 0o777 == 0o444
    assert make() == first
    assert list(tmp_path.iterdir()) == [file]
    monkeypatch.delenv("LOADPROOF_SECRET", raising=False)
    monkeypatch.setenv("LOADPROOF_SECRET_FILE", str(file))
    assert shared_secret("worker") == first.strip()


@pytest.mark.process
def test_the_targets_container_outlives_its_program_until_it_is_stopped():
    """By a process that forwards the stop signal, and ends with the same code."""

    def outliving(script: str) -> tuple[int, str]:
        command = [sys.executable, "deploy/outlive.py", sys.executable, "-c", script]
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as outlasting:
            first = outlasting.stderr.readline()
            with pytest.raises(subprocess.TimeoutExpired):
                outlasting.wait(0.3)
            outlasting.terminate()
            return outlasting.wait(10), first

    code, line = outliving("raise SystemExit(7)")
    assert code == 7
    assert line.endswith("has ended with 7; its container stays until it is stopped\n")
    waiting = "import signal, sys; print('up', file=sys.stderr, flush=True); signal.pause()"
    assert outliving(waiting) == (ExitCode.TERMINATED, "up\n")


def test_images_install_only_locked_packages():
    """Each package has its version in the lock file."""
    lock = (ROOT / "requirements.lock").read_text()
    for file in (ROOT / "deploy").glob("requirements-*.txt"):
        for line in file.read_text().splitlines():
            if line and not line.startswith("#"):
                assert re.search(rf"^{re.escape(line.partition('[')[0])}==", lock, re.MULTILINE | re.IGNORECASE), line
