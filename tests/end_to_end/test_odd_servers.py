"""Healthy servers with unusual behaviour: what loadproof can't read isn't counted as their failure."""

from __future__ import annotations

import gzip
import socket
from pathlib import Path

import pytest

from loadproof.analysis.estimates.scope import tally
from loadproof.analysis.frames.run import load_run
from tests.commands import found, in_process, only_run, scenario_file, words_of
from tests.servers import Script, read_request, serving

pytestmark = [pytest.mark.process, pytest.mark.long]

OK = b'{"status":"ok"}'
PLAN = {
    "mix": {"health": {"share": "100 %", "every": "200 ms"}},
    "phases": [{"name": "steady", "duration": "3 s", "users": 4}],
    "thresholds": [{"expect": "error_ratio < 10 %"}, {"expect": "goodput_ratio >= 50 %"}],
}
ODD = {
    "members": b"Content-Encoding: gzip\r\n",
    "identity": b"Content-Encoding: identity\r\n",
    "large": b"Content-Encoding: gzip\r\n",
    "headers": b"".join(b"X-%d: %b\r\n" % (number, b"a" * 1000) for number in range(70)),
    "cut": b"Content-Encoding: gzip\r\n",
}
BODIES = {
    "members": gzip.compress(OK[:5]) + gzip.compress(OK[5:]),
    "large": gzip.compress(OK[:-1] + b',"more":"' + b"0" * 10_000_000 + b'"}'),
    "cut": gzip.compress(OK)[:-4],
}


def answering_all(kind: str) -> Script:
    """A server with answers of this kind, except a plain one on the first connection, which is the probe's."""

    def script(connection: socket.socket, number: int) -> None:
        while request := read_request(connection):
            is_asked = number > 0 and request.startswith(b"GET /health ")
            body = BODIES.get(kind, OK) if is_asked else b""
            head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%b\r\n" % (len(body), ODD[kind] if is_asked else b"")
            connection.sendall(head + body)

    return script


def run_against(url: str, directory: Path, **changes: object) -> Path:
    """Run a few users that request its health, with an `accept-encoding` that allows anything."""
    target = directory / "target.yaml"
    target.write_text(f"base_url: {url}\nheaders: {{accept-encoding: 'gzip, br'}}\n")
    file = scenario_file(directory, **PLAN | changes)
    done = in_process("run", file, "--target", target, "--out", directory / "out")
    assert (directory / "out").exists(), done.stderr
    return only_run(directory / "out")


@pytest.mark.parametrize(
    ("kind", "outcome", "finding"),
    [
        ("members", "ok", set()),
        ("identity", "ok", set()),
        ("large", "invalid", {"INVALID"}),
        ("headers", "invalid", {"INVALID"}),
        ("cut", "invalid", set()),
    ],
)
def test_answers_that_we_cannot_read_are_our_limitation(tmp_path, kind, outcome, finding):
    """They count as invalid, and our limit is a finding that makes the run INVALID."""
    with serving(answering_all(kind)) as url:
        run = run_against(url, tmp_path)
    counts = tally(load_run(run).intervals)
    assert counts.outcomes[outcome] == counts.sent > 0
    assert found(run, "a limit of loadproof") == finding
    failures = (run / "locust_failures.csv").read_text()
    assert ("beyond what loadproof reads" in failures) == bool(finding)


def test_surplus_bytes_after_answers_are_reported(tmp_path):
    """The answers themselves are right."""

    def desynchronised(connection: socket.socket, number: int) -> None:
        while read_request(connection):
            beyond = b"{}" if number > 0 else b""
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b%b" % (len(OK), OK, beyond))

    with serving(desynchronised) as url:
        run = run_against(url, tmp_path)
    counts = tally(load_run(run).intervals)
    assert counts.surplus == counts.outcomes["ok"] == counts.sent > 0
    told = f"the target sent extra bytes after its response to {counts.sent} of {counts.sent} requests"
    assert found(run, told) == {"NOTE"}


def test_connections_are_closed_before_the_targets_idle_timeout(tmp_path):
    """Nothing is sent twice, and the target closes no connection still in use."""
    left: list[str] = []

    def impatient(connection: socket.socket, _: int) -> None:
        connection.settimeout(0.5)
        try:
            while read_request(connection):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(OK), OK))
        except TimeoutError:
            left.append("by it")
        else:
            left.append("by us")

    plan = {
        "mix": {"health": {"share": "100 %", "every": "500 ms"}},
        "phases": [{"name": "steady", "duration": "4 s", "users": 10}],
        "timeouts": {"connect": "5 s", "total": "5 s", "keep_alive_idle": "150 ms"},
    }
    with serving(impatient) as url:
        run = run_against(url, tmp_path, **plan)
    assert set(words_of(run).values()) == {"PASS"}
    counts = tally(load_run(run).intervals)
    assert (counts.repeated, counts.outcomes["connection"]) == (0, 0)
    assert left.count("by us") > counts.sent / 2
    # The target can only be first on a busy machine.
    assert left.count("by it") < counts.sent / 10


def test_a_target_whose_first_answer_is_too_large_is_not_called_down(tmp_path):
    """Nothing is measured, and the reason is our limit."""

    def script(connection: socket.socket, _: int) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + ODD["headers"] + b"\r\n")

    target = tmp_path / "target.yaml"
    with serving(script) as url:
        target.write_text(f"base_url: {url}\n")
        done = in_process("run", scenario_file(tmp_path, **PLAN), "--target", target, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "its response to GET /health has headers of more than 65,536 bytes" in done.stderr
