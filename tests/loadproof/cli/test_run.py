"""`loadproof run`: what it refuses before anything is sent."""

from __future__ import annotations

import os
import signal
import socket

import pytest

from loadproof.errors import ExitCode
from tests.commands import in_process, scenario_file
from tests.loadproof.cli.refusals import refused
from tests.servers import answering, serving


@pytest.mark.slow
def test_usage_errors_have_exit_code_2():
    """No arguments, unknown ones."""
    assert "SCENARIO: missing" in refused("run")
    assert "Missing argument" in refused("check")
    assert "No such option" in refused("run", "--nonsense")
    assert "no '='" in refused("run", "scenarios/smoke.yaml", "--set", "deadline")
    assert "no such place" in refused("run", "scenarios/smoke.yaml", "--set", "phases.x.y=1")


def test_a_host_that_is_not_allowed_is_refused_before_the_first_packet():
    """Even a name that would resolve."""
    assert "not on the allow list" in refused("run", "scenarios/smoke.yaml", TARGET_URL="http://example.org")


def test_source_addresses_need_loopback():
    """Elsewhere clients must be told apart in another way."""
    asked_for = ("--set", "clients=source-address", "--allow-host", "example.org")
    text = refused("run", "scenarios/smoke.yaml", *asked_for, TARGET_URL="http://example.org")
    assert "source addresses tell clients apart on loopback (127.0.0.0/8) only" in text


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("x-client", "the target file sends this header with the same value for all, got 'x-client'"),
        ("HOST", "a header that can't tell clients apart, got 'HOST'"),
        ("content-length", "a header that can't tell clients apart, got 'content-length'"),
    ],
)
def test_a_header_with_the_same_value_for_all_cannot_identify_clients(tmp_path, header, told):
    """However it is spelled in the target file."""
    target = tmp_path / "target.yaml"
    target.write_text("base_url: http://127.0.0.1:1\nheaders: {X-Client: one}\n")
    assert told in refused("run", scenario_file(tmp_path, clients={"header": header}), "--target", target)


def test_a_target_that_is_down_is_one_line():
    """Connection refused."""
    text = refused("run", "scenarios/smoke.yaml", TARGET_URL="http://127.0.0.1:1")
    assert text == (
        "http://127.0.0.1:1: no HTTP answer to GET /health: Connection refused; "
        "start the target, or correct its address\n"
    )


@pytest.mark.slow
def test_a_target_that_stays_down_is_not_waited_for_longer_than_asked():
    """And reported in one line, however often it was probed."""
    asked: list[int] = []
    with serving(lambda _, number: asked.append(number)) as url:
        text = refused("run", "scenarios/smoke.yaml", "--target-wait", 1, TARGET_URL=url)
    assert 2 <= len(asked) < 10
    assert text.count("\n") == 1
    assert "no HTTP answer to GET /health: " in text


@pytest.mark.slow
def test_a_target_that_starts_late_is_waited_for(tmp_path):
    """Until its first answer; the error then is about the directory for reports."""
    (tmp_path / "reports").write_text("")

    def late(connection: socket.socket, number: int) -> None:
        if number >= 2:
            answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", then_close=False)(connection, number)

    with serving(late) as url:
        asked_for = (scenario_file(tmp_path), "--out", tmp_path / "reports", "--target-wait", 30)
        text = refused("run", *asked_for, TARGET_URL=url)
    assert "reports: can't be written: " in text


def test_an_interrupted_wait_for_the_target_has_the_signals_exit_code(tmp_path):
    """With the reason for waiting, and no run directory."""

    asked: list[int] = []

    def stopping(_: socket.socket, number: int) -> None:
        asked.append(number)
        os.kill(os.getpid(), signal.SIGTERM)

    with serving(stopping) as url:
        asked_for = (scenario_file(tmp_path), "--out", tmp_path / "reports", "--target-wait", 5)
        done = in_process("run", *asked_for, TARGET_URL=url)
    assert done.returncode == ExitCode.TERMINATED
    assert asked == [0]
    assert "no HTTP answer to GET /health" in done.stderr
    assert not (tmp_path / "reports").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "message"),
    [
        (answering(b"@@@@\r\n\r\n"), "no HTTP answer"),
        (answering(b"", then_close=False), "no answer to GET /health: no complete answer within 0.3 s"),
    ],
    ids=["garbage", "silence"],
)
def test_a_target_that_does_not_speak_http_is_one_line(script, message):
    """It sends garbage, or no answer within the load's timeout."""
    with serving(script) as url:
        settings = ("--set", "timeouts={total: 300 ms}", "--set", "deadline=300 ms")
        assert message in refused("run", "scenarios/smoke.yaml", *settings, TARGET_URL=url)


@pytest.mark.process
def test_an_embedded_target_that_cannot_start_is_one_line(tmp_path):
    """A wrong setting in the environment reaches the user."""
    text = refused("run", scenario_file(tmp_path), "--out", tmp_path / "reports", FAULTS="nonsense")
    assert "embedded target: did not get ready, got \"FAULTS: got 'nonsense'" in text


def test_an_unwritable_directory_for_reports_is_one_line(tmp_path):
    """There is a file in its place."""
    (tmp_path / "reports").write_text("")
    text = refused("run", scenario_file(tmp_path), "--out", tmp_path / "reports")
    assert "reports: can't be written: " in text
    assert "--out" in text
