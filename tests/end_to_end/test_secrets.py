"""No secret is ever shown: not by commands, not in a run's files, not in the list of processes."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from loadproof.rundir import files
from tests.commands import ROOT, Background, content_of, in_process, only_run, scenario_file, verdict_of
from tests.encodings import ENCODINGS
from tests.servers import read_request, serving

pytestmark = pytest.mark.process

CANARIES = {
    "API_TOKEN": "c4nary-t0ken",
    "API_COOKIE": 'c4nary-"c00kie"-é',
    "API_ACCESS": base64.b64encode(b"c4nary-us3r:c4nary-p4ss").decode(),
    "HOOK_KEY": "c4nary-<h00k>",
}
LEAKED = {"LEAKED": " ".join(CANARIES), **CANARIES}
"""Names the variables for the leaking user to leak, with their values."""
TEXTS = [encoded(value) for value in CANARIES.values() for encoded in ENCODINGS.values()]
TARGET = {
    "headers": {
        "Authorization": "Bearer ${API_TOKEN}",
        "cookie": "id=${API_COOKIE}",
        "x-access": "Basic ${API_ACCESS}",
        "content-type": "application/vnd.pay+json",
    },
    "endpoints": {
        "health": {"follow_redirects": True},
        "webhooks": {"signature": "telegram", "secret": "HOOK_KEY"},
    },
}
PLAN = {
    "mix": {
        endpoint: {"share": "20 %", "every": "100 ms"}
        for endpoint in ("balance", "health", "leak", "transactions", "webhooks")
    },
    "phases": [{"name": "steady", "duration": "3 s", "users": 8}],
    "record": "requests",
    "thresholds": [{"expect": "goodput_ratio >= 1 %"}],
}


def quoting(number: int) -> bytes:
    """An answer with a secret in one encoding: in a field, or in an error page."""
    text = TEXTS[number % len(TEXTS)]
    status, body = ("200 OK", json.dumps({"status": text})) if number % 3 else ("500 No", f"<p>{text}</p>")
    content = body.encode()
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(content), content)


def telling(connection: socket.socket, number: int) -> None:
    """Repeats what it was sent in each part of an answer: JSON, text, a header, the status line, a Location."""
    while request := read_request(connection):
        head = request.partition(b"\r\n\r\n")[0]
        told = b" ".join(head.split(b"\r\n")[1:])
        if head.startswith((b"GET /health", b"GET /metrics")):
            body = json.dumps({"status": "ok", "seen": head.decode("latin-1")}).encode()
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nX-Seen: %s\r\nContent-Length: %d\r\n\r\n%s" % (told, len(body), body)
            )
        elif head.startswith(b"GET /leak/"):
            connection.sendall(quoting(int(re.findall(rb"\d+", head)[0])))
        elif head.startswith(b"POST /transactions"):
            connection.sendall(b"HTTP/1.1 %s\r\n\r\n" % told)
            return
        elif head.startswith(b"POST /webhooks"):
            connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /%s\r\nContent-Length: 0\r\n\r\n" % told)
        else:
            limits = b"Retry-After: %s\r\nRateLimit: %s" % (told, told)
            connection.sendall(
                b"HTTP/1.1 500 %s\r\n%s\r\nContent-Length: %d\r\n\r\n%s" % (told, limits, len(told), told)
            )


@pytest.fixture
def target(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A target file, and the address of a server that repeats everything it is sent."""
    with serving(telling) as url:
        file = tmp_path / "target.yaml"
        file.write_text(yaml.safe_dump(TARGET | {"base_url": url}))
        yield file, url


def forms() -> Iterator[bytes]:
    """The secrets in every form in which a text may contain them."""
    for text in TEXTS:
        yield from (text.encode(), text.encode("latin-1", "replace"), json.dumps(text)[1:-1].encode())
    yield from (b"c4nary", b"C4NARY", b"us3r", b"p4ss")


def users(path: Path) -> tuple[str, Path]:
    """The option and the directory for the shipped users plus one that leaks."""
    directory = path / "users"
    shutil.copytree(ROOT / "locustfiles", directory, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "tests/leakinguser.py", directory / "leak.py")
    return "--locustfiles", directory


def shown_in(*contents: bytes | str) -> list[bytes]:
    found = [content.encode(errors="surrogateescape") if isinstance(content, str) else content for content in contents]
    return [form for form in forms() if any(form in content for content in found)]


def shown_below(directory: Path) -> dict[str, list[bytes]]:
    files = [file for file in directory.rglob("*") if file.is_file()]
    assert files
    return {file.name: shown for file in files if (shown := shown_in(str(file), content_of(file)))}


@pytest.mark.long
@pytest.mark.parametrize("command", ["check", "run"])
def test_a_dry_run_masks_secrets_that_the_target_shows(target, tmp_path, command):
    """The names of the variables are shown instead."""
    file, _ = target
    plan = scenario_file(tmp_path, **PLAN)
    done = in_process(command, plan, "--target", file, "--dry-run", *users(tmp_path), **LEAKED)
    assert done.returncode == 1, done.stderr
    assert "Bearer ${API_TOKEN}" in done.stdout
    assert shown_in(done.stdout, done.stderr) == []


def command_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        # A process that has ended shows nothing any more.
        return ""


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.long)])
def test_a_run_leaves_no_secret_behind(target, tmp_path, workers):
    """In its files, in its output, or in the list of processes while it runs."""
    file, _ = target
    plan = scenario_file(tmp_path, **PLAN)
    reports = tmp_path / "reports"
    arguments = ("run", plan, "--target", file, "--out", reports, "--workers", workers, "--annotate", "github")
    run = Background(*arguments, *users(tmp_path), GITHUB_STEP_SUMMARY=str(tmp_path / "step.md"), **LEAKED)
    run.wait_for_phase(reports, "steady")
    log = run.wait_for(reports / "*/generator.log")
    run.eventually(lambda: "in pieces" in log.read_text())
    so_far = [line for line in log.read_text().splitlines() if "printed by a child" not in line]
    processes = [command_of(child) for child in run.children()]
    run.end()
    path = only_run(reports)
    assert verdict_of(path)["ending"] == "completed", run.output
    assert shown_in(*so_far) == []
    assert shown_in(run.output, *processes, (tmp_path / "step.md").read_bytes()) == []
    assert shown_below(reports) == {}
    # Failing answers repeat everything they were sent, and an example of each is kept.
    summary = (path / "summary.md").read_text().replace("\\", "")
    assert "| balance | server_error: status 500 | GET /balance/" in summary
    # The users' code raises, prints and quotes the secrets, too.
    raised = files.read_lines_text(path / files.LOCUST_EXCEPTIONS)
    printed = log.read_text()
    assert "${API_TOKEN}" in raised
    assert all(f"${{{name}}}" in printed for name in CANARIES)
    assert "printed by a child: ${API_TOKEN}" in printed
    noted = content_of(path / files.JOURNAL).decode()
    assert all(f"${{{name}}}" in noted for name in CANARIES)
    again = in_process("report", path, **CANARIES)
    assert shown_in(again.stdout, again.stderr) == []
    assert shown_below(reports) == {}


@pytest.mark.parametrize("end", ["\n", "\r\nX-Admin: 1", "\x1b[2J", "€", "\udcff"])
@pytest.mark.parametrize("variable", ["API_TOKEN", "HOOK_KEY"])
@pytest.mark.parametrize("command", ["check", "run", "gate"])
def test_an_unsendable_secret_is_named_before_anything_is_sent(tmp_path, command, variable, end):
    """Line breaks, control characters, characters outside Latin-1."""
    file = tmp_path / "target.yaml"
    file.write_text(yaml.safe_dump(TARGET | {"base_url": "http://127.0.0.1:1"}))
    out = () if command == "check" else ("--out", tmp_path / "reports", "--annotate", "github")
    secrets = CANARIES | {variable: CANARIES[variable] + end}
    done = in_process(command, scenario_file(tmp_path), "--target", file, *out, **secrets)
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"in the environment variable {variable}; set it without" in done.stderr
    assert shown_in(done.stdout, done.stderr) == []
    assert not (tmp_path / "reports").exists()


@pytest.mark.long
def test_a_target_that_is_down_shows_no_secret(tmp_path):
    """In no file that a gate leaves behind."""
    file = tmp_path / "target.yaml"
    file.write_text(yaml.safe_dump(TARGET | {"base_url": "http://127.0.0.1:1"}))
    plan = scenario_file(tmp_path)
    done = in_process("gate", plan, "--target", file, "--out", tmp_path / "reports", "--annotate", "github", **CANARIES)
    assert done.returncode == 2
    assert shown_in(done.stdout, done.stderr) == []
    assert shown_below(tmp_path / "reports") == {}
    assert not os.environ.keys() & CANARIES.keys()
