"""`--notify` of report, run and gate: the exit code stays the verdict's, whatever becomes of the notification."""

from __future__ import annotations

import json
import sys

import pytest

from drills.faketelegram import CHAT, TOKEN, Answer, fake_telegram
from loadproof.cli.preparation.preparing import RunOptions, prepare
from loadproof.run.machine.shipped import LOCUSTFILES
from loadproof.run.processes.locust import CrewOptions
from simulation.rundirs import write_run
from tests.commands import ROOT, in_process, scenario_file
from tests.loadproof.cli.refusals import refused
from tests.servers import webhook

CSVS = ROOT / "tests/captures/2.2.3"


@pytest.mark.slow
def test_a_report_notifies_a_webhook_and_a_chat(tmp_path):
    """Once each, with the command's exit code."""
    run = write_run(tmp_path / "run")
    with webhook() as (url, bodies), fake_telegram() as telegram:
        environment = {"LOADPROOF_TELEGRAM_TOKEN": TOKEN, "LOADPROOF_TELEGRAM_API_URL": telegram.url}
        done = in_process("report", run, "--notify", url, "--notify", f"telegram:{CHAT}", **environment)
    assert (done.returncode, done.stderr) == (0, "")
    (notice,) = map(json.loads, bodies)
    assert (notice["word"], notice["exit_code"], notice["scenario"]) == ("PASS", 0, "synthetic")
    assert notice["report"] == str(run / "report.html")
    assert telegram.texts[0].startswith("✅ synthetic: PASS against ")


@pytest.mark.slow
@pytest.mark.parametrize("thresholds", [True, False], ids=["with a verdict", "without"])
def test_a_report_on_csvs_is_sent_if_it_has_a_verdict(tmp_path, thresholds):
    (tmp_path / "thresholds.yaml").write_text("thresholds: [{expect: error_ratio < 50 %}]")
    options = ["--thresholds", tmp_path / "thresholds.yaml"] if thresholds else []
    with webhook() as (url, bodies):
        in_process("report", CSVS / "run", "--out", tmp_path / "out", "--notify", url, *options)
    assert len(bodies) == thresholds


@pytest.mark.slow
def test_a_failed_notification_is_one_line_and_changes_no_exit_code(tmp_path):
    run = write_run(tmp_path / "run")
    with webhook(b"HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n") as (url, _), fake_telegram() as telegram:
        telegram.next_answers.append(Answer(400, {"ok": False}))
        environment = {"LOADPROOF_TELEGRAM_TOKEN": TOKEN, "LOADPROOF_TELEGRAM_API_URL": telegram.url}
        done = in_process("report", run, "--notify", url, "--notify", f"telegram:{CHAT}", **environment)
    assert done.returncode == 0
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("note: --notify ")
    assert lines[0].endswith(
        "/…: didn't receive the verdict, got '403'; check that it accepts the notice; the verdict isn't affected"
    )
    assert TOKEN not in done.stderr + done.stdout
    assert "secret-path" not in done.stderr + done.stdout


@pytest.mark.slow
def test_a_run_that_could_not_be_measured_is_notified_too(tmp_path):
    """The target is down: exit code 2, and the recipients learn why there is no verdict."""
    with webhook() as (url, bodies):
        text = refused(
            *("run", scenario_file(tmp_path), "--out", tmp_path / "reports", "--notify", url),
            TARGET_URL="http://127.0.0.1:1",
        )
    assert "no HTTP answer" in text
    (notice,) = map(json.loads, bodies)
    assert (notice["word"], notice["exit_code"], notice["scenario"]) == ("NOT MEASURED", 2, "quick")
    assert "no HTTP answer" in notice["reason"]


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.parametrize("command", ["run", "duel"])
def test_what_could_not_be_measured_is_annotated_and_notified(tmp_path, command):
    """The target is down: each channel says so, with or without the other."""
    down = "http://127.0.0.1:1"
    scenario, options = scenario_file(tmp_path), ["--out", tmp_path / "reports", "--annotate", "github"]
    if command == "duel":
        options += ["--baseline", down, "--aa", "--target-wait", 1]
    with webhook() as (url, bodies):
        done = in_process(command, scenario, *options, TARGET_URL=down)
        assert (done.returncode, bodies) == (2, []), done.stderr
        assert "NOT MEASURED::" in done.stdout
        in_process(command, scenario, *options, "--notify", url, TARGET_URL=down)
    (notice,) = map(json.loads, bodies)
    assert (notice["word"], notice["exit_code"]) == ("NOT MEASURED", 2)
    assert "no HTTP answer" in notice["reason"]


@pytest.mark.slow
@pytest.mark.parametrize("command", ["report", "history"])
def test_a_report_that_could_not_be_written_is_told(tmp_path, command):
    """There is no verdict then."""
    run = write_run(tmp_path / "runs" / "run")
    (run / "report.html").mkdir()
    arguments = {"report": [run], "history": [run.parent, "--out", run / "manifest.json"]}[command]
    with webhook() as (url, bodies):
        done = in_process(command, *arguments, "--annotate", "github", "--notify", url)
    assert (done.returncode, "NOT MEASURED::" in done.stdout) == (2, True), done.stdout + done.stderr
    assert ["can't be written" in json.loads(body)["reason"] for body in bodies] == [True]


@pytest.mark.slow
def test_a_gate_sends_one_notification_with_all_its_scenarios(tmp_path):
    with webhook() as (url, bodies):
        done = in_process(
            *("gate", scenario_file(tmp_path), ROOT / "scenarios/smoke.yaml"),
            *("--out", tmp_path / "reports", "--notify", url),
            TARGET_URL="http://127.0.0.1:1",
        )
    assert done.returncode == 2
    (notice,) = map(json.loads, bodies)
    assert (notice["type"], notice["word"]) == ("loadproof.gate", "NOT MEASURED")
    assert [each["scenario"] for each in notice["scenarios"]] == ["quick", "smoke"]


def test_a_dry_run_notifies_nobody(tmp_path):
    with webhook() as (url, bodies):
        refused("run", scenario_file(tmp_path), "--dry-run", "--notify", url, TARGET_URL="http://127.0.0.1:1")
    assert bodies == []


@pytest.mark.parametrize("command", ["run", "gate", "report"])
def test_an_unusable_recipient_is_refused_before_anything_is_sent(tmp_path, command):
    """A missing token must not come to light only at the end."""
    file = write_run(tmp_path / "run") if command == "report" else scenario_file(tmp_path)
    options = () if command == "report" else ("--out", tmp_path / "reports")
    text = refused(command, file, *options, "--notify", f"telegram:{CHAT}", LOADPROOF_TELEGRAM_TOKEN="")
    assert text == "LOADPROOF_TELEGRAM_TOKEN: no bot token; set it as BotFather gave it, 123456:ABC…\n"
    assert not (tmp_path / "reports").exists()


def test_the_command_in_a_manifest_shows_only_the_host_of_a_webhook(tmp_path, monkeypatch):
    """The path may be the webhook's only protection."""
    monkeypatch.setattr(sys, "argv", ["loadproof", "run", "x.yaml", "--notify", "https://example.org/secret-path"])
    assignment = prepare(scenario_file(tmp_path), RunOptions(CrewOptions(LOCUSTFILES, 1)))
    assert assignment.command == "loadproof run x.yaml --notify 'https://example.org/…'"
