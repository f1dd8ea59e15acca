"""Each rule of health fires when it should, and stays silent otherwise."""

from __future__ import annotations

import json

import pytest

from loadproof.analysis.estimates.scope import tally
from loadproof.analysis.frames.run import load_run
from loadproof.analysis.judge.verdict import exit_code, verdict_on_run
from loadproof.analysis.report.run_page import render_run_page
from loadproof.analysis.word import Word
from loadproof.errors import ExitCode
from loadproof.histogram import bucket_of
from loadproof.rundir import files
from loadproof.rundir.intervals import append_intervals
from loadproof.rundir.manifest import read_manifest, write_manifest
from loadproof.rundir.rows import ELSEWHERE, REPEATED, UNREPORTED, WANTS, EventRow, GeneratorRow, IntervalRow
from loadproof.scenario.faults import Backup, Fault, NamedCommand, Pause
from loadproof.scenario.target.way import TlsSettings
from simulation.rundirs import open_scenario, outcomes, scenario, write_run


def test_deliberate_faults_are_a_finding(tmp_path):
    """The word is about what was measured; the note says that it wasn't the API as it is."""
    path = write_run(tmp_path)
    manifest = read_manifest(path)
    target = manifest.target.model_copy(update={"faults": '{"health": {"delay_ms": 5}}'})
    write_manifest(path, manifest.model_copy(update={"target": target}))
    verdict = verdict_on_run(load_run(path))
    assert verdict.word is Word.PASS
    (finding,) = verdict.findings
    assert (finding.word, finding.remedy) == (Word.PASS, "unset FAULTS to measure the API as it is")
    assert '{"health": {"delay_ms": 5}}' in finding.what


PAUSE = Pause(fault="pause", phase="steady", at="1 s", lasts="1 s")


def faulty_run(path, *happened: tuple[str, dict[str, object]], fault: Fault = PAUSE):
    """A run with this planned fault, and these events about it."""
    write_run(path, plan=scenario().model_copy(update={"faults": [fault]}))
    named = {"number": 0, "fault": fault.fault, "of": "target"}
    events = [EventRow(1.0, kind, json.dumps(named | detail)) for kind, detail in happened]
    files.append_rows(path / files.EVENTS, events)
    return verdict_on_run(load_run(path))


def test_a_planned_fault_that_came_and_went_is_a_note(tmp_path):
    """With its time."""
    verdict = faulty_run(tmp_path, ("fault_begun", {}), ("fault_ended", {}))
    assert verdict.word is Word.PASS
    assert "on purpose: pause of target at 1 s" in [finding.what for finding in verdict.findings]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("happened", "what"),
    [
        ([], "faults[0], pause of target, did not happen as planned"),
        ([("fault_begun", {})], "faults[0], pause of target, did not happen as planned"),
        (
            [("fault_begun", {}), ("fault_failed", {"reason": "gone"})],
            "faults[0], pause of target, could not be done or undone: 'gone'",
        ),
    ],
)
def test_a_planned_fault_that_did_not_happen_proves_nothing(tmp_path, happened, what):
    """A PASS would look as if the target had withstood it."""
    verdict = faulty_run(tmp_path, *happened)
    assert verdict.word is Word.INVALID
    assert what in [finding.what for finding in verdict.findings]


@pytest.mark.slow
def test_a_target_that_doesnt_come_back_after_a_crash_fails(tmp_path):
    """That is its reaction to the fault, not our failure to undo it."""
    lost = {"reason": "did not get ready", "is_targets": True}
    verdict = faulty_run(tmp_path, ("fault_begun", {}), ("fault_failed", lost))
    assert verdict.word is Word.FAIL
    assert verdict.reason == "The target did not come back after pause: 'did not get ready'."


@pytest.mark.slow
def test_a_failed_backup_is_the_targets_fault_but_another_command_isnt(tmp_path):
    """A backup is what the target promises; without the other command, nothing happened to it."""
    timed = {"phase": "steady", "lasts": "1 s"}
    failed = {"reason": "it exited with 1", "is_targets": True}
    verdict = faulty_run(
        tmp_path / "backup", ("fault_begun", {}), ("fault_failed", failed), fault=Backup(fault="backup", **timed)
    )
    assert verdict.word is Word.FAIL
    assert verdict.reason == "The backup in faults[0] failed: 'it exited with 1'."
    verdict = faulty_run(
        tmp_path / "command",
        ("fault_failed", {"name": "cut", "reason": "it exited with 1", "is_targets": False}),
        fault=NamedCommand(fault="command", name="cut", **timed),
    )
    assert verdict.word is Word.INVALID
    assert verdict.reason.startswith("Faults[0], command cut, could not be done or undone: 'it exited with 1'")


@pytest.mark.slow
def test_a_generator_without_a_record_proves_nothing(tmp_path):
    """Its whole record is lost."""
    path = write_run(tmp_path)
    (path / files.GENERATOR).unlink()
    verdict = verdict_on_run(load_run(path))
    assert verdict.word is Word.INVALID
    assert "no record of the generator's health" in verdict.reason


@pytest.mark.slow
def test_a_healthy_run_passes_without_findings(tmp_path):
    """No rule fires."""
    verdict = verdict_on_run(load_run(write_run(tmp_path)))
    assert verdict.word is Word.PASS
    assert verdict.findings == ()
    assert "4 thresholds were met" in verdict.reason


@pytest.mark.slow
@pytest.mark.parametrize(
    ("knobs", "word", "what"),
    [
        ({"cpu": 0.98}, Word.INVALID, "worker local at 98% CPU for"),
        ({"lag_ms": 60}, Word.INVALID, "p99 start lag 60"),
        ({"loop_delay_s": 0.4}, Word.INVALID, "event loop stalled"),
        ({"frozen": range(12, 18)}, Word.INVALID, "worker local was frozen for 6 s"),
        ({"lost": 3}, Word.INVALID, "are accounted for"),
        ({"spread_s": 0.08}, Word.INVALID, "not a simultaneous load"),
        ({"spread_s": 0.08, "late": 9}, Word.FAIL, "9 users were still waiting"),
        ({"ending": "target_died", "lived_s": 20}, Word.FAIL, "the target died after 20 s of 45 s"),
        ({"ending": "generator_died", "lived_s": 20}, Word.INVALID, "the generator died"),
        ({"ending": "disk_full", "lived_s": 20}, Word.INVALID, "recording stopped"),
        ({"ending": "interrupted", "lived_s": 20}, Word.INCONCLUSIVE, "interrupted after 20 s"),
        ({"ending": "running", "lived_s": 20}, Word.INCONCLUSIVE, "cut off after 20 s"),
        ({"lived_s": 0}, Word.INVALID, "no request was recorded"),
        ({"steal": 0.2}, Word.PASS, "20% of the machine's CPU time was stolen"),
        ({"loop_delay_s": 1.2, "disturbed": range(9, 10)}, Word.INVALID, "stalled once, for up to 1.2 s"),
        ({"waits": 0.6}, Word.INVALID, "waited for its core in 40 s, for up to 67% of the time"),
        ({"waits": 0.15}, Word.PASS, "waited for its core in 40 s, for up to 33% of the time"),
        ({"skew_s": 0.3}, Word.INVALID, "clock is 300 ms ahead of the master's"),
        ({"skew_s": -0.3}, Word.INVALID, "clock is 300 ms behind the master's"),
        ({"asleep_s": 60.0}, Word.INVALID, "the machine slept for 60 s"),
        ({"step_s": 3600.0}, Word.PASS, "wall clock was moved by"),
        ({"loop_delay_s": 0.4, "disturbed": range(9, 10)}, Word.PASS, "no threshold depends on it"),
        ({"cpu": 0.98, "disturbed": range(9, 13)}, Word.INVALID, "98% CPU for 4 s"),
        ({"loop_delay_s": 0.4, "disturbed": range(37, 38)}, Word.INVALID, "stalled once"),
    ],
    ids=str,
)
def test_a_rule_fires(tmp_path, knobs, word, what):
    """With its numbers and a remedy; a note decides nothing."""
    verdict = verdict_on_run(load_run(write_run(tmp_path, **knobs)))
    found = [finding for finding in verdict.findings if what in finding.what]
    assert [finding.word for finding in found[:1]] == [word], verdict.findings
    assert found[0].remedy
    if word in {Word.INVALID, Word.PASS}:
        assert verdict.word is word


def test_a_target_that_died_before_second_0_fails(tmp_path):
    """It answered no request, because it was gone before the first."""
    verdict = verdict_on_run(load_run(write_run(tmp_path, ending="target_died", lived_s=0)))
    assert verdict.word is Word.FAIL, verdict.findings
    assert "the target died after 0 s" in verdict.reason.lower()


@pytest.mark.slow
@pytest.mark.parametrize(
    "knobs",
    [
        {"cpu": 0.9},
        {"lag_ms": 8},
        {"loop_delay_s": 0.2},
        {"frozen": range(12, 14)},
        {"spread_s": 0.049},
        {"steal": 0.05},
        {"waits": 0.08},
        {"skew_s": 0.05},
        {"step_s": 0.1},
        {"asleep_s": 0.1},
    ],
    ids=str,
)
def test_a_rule_stays_silent_below_its_limit(tmp_path, knobs):
    """One busy second decides nothing."""
    assert verdict_on_run(load_run(write_run(tmp_path, **knobs))).findings == ()


@pytest.mark.slow
@pytest.mark.parametrize(("slow_ms", "word"), [(20.0, Word.PASS), (3000.0, Word.INVALID)])
def test_a_disturbance_decides_if_its_seconds_change_a_threshold(tmp_path, slow_ms, word):
    """One second of 30, too few to decide by themselves: its slow requests make the difference, or don't."""
    path = write_run(tmp_path, loop_delay_s=0.4, disturbed=range(20, 21))
    cell = (20, "steady", "balance", "ok")
    rows = [(*cell, "response", bucket_of(round(slow_ms * 1000)), 100), (*cell, "good", 0, 100 if slow_ms < 500 else 0)]
    append_intervals(path / files.INTERVALS, rows)
    (finding,) = [one for one in verdict_on_run(load_run(path)).findings if "event loop" in one.what]
    assert finding.word is word


@pytest.mark.slow
@pytest.mark.parametrize(("repeated", "is_told"), [(1, False), (50, True)])
def test_requests_sent_twice_are_reported(tmp_path, repeated, is_told):
    """Besides their outcomes, above one in a thousand."""
    path = write_run(tmp_path)
    append_intervals(path / files.INTERVALS, [IntervalRow(12, "steady", "balance", "ok", REPEATED, 0, repeated)])
    run = load_run(path)
    assert tally(run.intervals).repeated == repeated
    assert any("were sent twice" in finding.what for finding in verdict_on_run(run).findings) == is_told


@pytest.mark.slow
@pytest.mark.parametrize(("untold", "word"), [(1, Word.INCONCLUSIVE), (500, Word.INVALID)])
def test_unreported_outcomes_are_never_ignored(tmp_path, untold, word):
    """A few may be all that a threshold on rare errors allows."""
    path = write_run(tmp_path)
    append_intervals(path / files.INTERVALS, [IntervalRow(12, "steady", "balance", "", UNREPORTED, 0, untold)])
    verdict = verdict_on_run(load_run(path))
    assert verdict.word is word
    assert f"never reported the outcome of {untold} request{'s' if untold > 1 else ''}" in verdict.reason
    assert verdict.next_step.startswith("Use `catch_response=True`")
    (path / files.LOCUST_EXCEPTIONS).write_text(RAISED.format(times=9))
    verdict = verdict_on_run(load_run(path))
    assert ", and their code raised division by zero" in verdict.reason
    assert verdict.next_step.startswith("Fix the locustfile")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("share", "word"), [(0.001, Word.PASS), (0.5, Word.PASS), (0.6, Word.INCONCLUSIVE), (1, Word.INVALID)]
)
def test_answers_from_other_hosts_dont_pass_for_the_target(tmp_path, share, word):
    """A locustfile with whole URLs loads the hosts in them, whatever the target is."""
    path = write_run(tmp_path)
    times = int(share * tally(load_run(path).intervals).sent)
    append_intervals(path / files.INTERVALS, [IntervalRow(12, "steady", "balance", "", ELSEWHERE, 0, times)])
    verdict = verdict_on_run(load_run(path))
    (finding,) = (one for one in verdict.findings if "other addresses than the target's" in one.what)
    assert finding.what.startswith(f"{times:,} of ")
    assert (finding.word, verdict.word) == (word, word)
    assert f"{times:,} of " in verdict.reason


@pytest.mark.slow
@pytest.mark.parametrize(("unsent", "word"), [(1, Word.PASS), (500, Word.INVALID)])
@pytest.mark.parametrize(
    ("want", "told"), [("ports", "no free port"), ("files", "no file left to open"), ("memory", "no memory")]
)
def test_what_the_generators_machine_lacked_is_not_the_targets_fault(tmp_path, want, told, unsent, word):
    """Such requests never reached the target; if there are very few, their seconds are weighed."""
    path = write_run(tmp_path)
    append_intervals(path / files.INTERVALS, [IntervalRow(12, "steady", "balance", "", WANTS[want], 0, unsent)])
    row = GeneratorRow(12, "2", 0.3, 0.0, 0.001, 0.001, users=1, in_flight=1, sent=unsent, dropped=0, abandoned=0)
    files.append_rows(path / files.GENERATOR, [row])
    run = load_run(path)
    verdict = verdict_on_run(run)
    (finding,) = verdict.findings
    assert (finding.word, verdict.word) == (word, word)
    assert finding.what.startswith(f"phase steady: {unsent} of ")
    assert f"the generator's machine had {told}" in finding.what
    assert tally(run.intervals).outcomes["connection"] == 0


@pytest.mark.slow
def test_unsent_requests_have_a_column_on_the_page(tmp_path):
    """Next to the outcomes, but none of them."""
    path = write_run(tmp_path)
    append_intervals(path / files.INTERVALS, [IntervalRow(12, "steady", "balance", "", WANTS["ports"], 0, 1)])
    run = load_run(path)
    assert "unsent (ours)" in render_run_page(run, verdict_on_run(run))


@pytest.mark.slow
def test_planned_arrivals_that_were_never_offered_are_the_generators_fault(tmp_path):
    """Arrivals sent late or dropped were offered; nothing else explains a missing one."""
    plan = open_scenario()
    whole = verdict_on_run(load_run(write_run(tmp_path / "whole", plan=plan)))
    assert "planned arrivals were offered" not in str(whole.findings)
    path = write_run(tmp_path / "less", plan=plan, lived_s=18)
    found = [one for one in verdict_on_run(load_run(path)).findings if "planned arrivals" in one.what]
    assert [one.word for one in found] == [Word.INVALID] * 2
    assert found[0].what.startswith("phase spike: ")
    cut_short = write_run(tmp_path / "cut", plan=plan, lived_s=18, ending="interrupted")
    assert "planned arrivals" not in str(verdict_on_run(load_run(cut_short)).findings)


def test_half_an_arrival_doesnt_count(tmp_path):
    """A short phase of 12.5 arrivals has twelve."""
    phases = [{"name": "short", "duration": "1500 ms", "rate": "10 rps", "ramp": "500 ms"}]
    plan = open_scenario(phases=phases, mix={"balance": {"share": "100 %"}})
    run = load_run(write_run(tmp_path, plan=plan))
    assert tally(run.intervals).sent == 12
    assert "planned arrivals" not in str(verdict_on_run(run).findings)


@pytest.mark.slow
def test_dropping_while_users_are_free_is_the_generators_fault(tmp_path):
    """With fewer in flight than allowed, slow answers can't be the reason."""
    path = write_run(tmp_path, plan=open_scenario())
    row = GeneratorRow(12, "2", 0.3, 0.0, 0.001, 0.001, users=1, in_flight=999, sent=0, dropped=4, abandoned=0)
    files.append_rows(path / files.GENERATOR, [row])
    assert "4 arrivals were dropped while users were free" in str(verdict_on_run(load_run(path)).findings)
    (tmp_path / "full").mkdir()
    path = write_run(tmp_path / "full", plan=open_scenario())
    files.append_rows(path / files.GENERATOR, [row._replace(in_flight=1000)])
    assert "dropped while" not in str(verdict_on_run(load_run(path)).findings)


RAISED = """Count,Message,Traceback,Nodes
3,'balance'," File ""/srv/locustfiles/pay.py"", line 12, in transfer\n    amount = account['balance']\n",local
{times},division by zero," File ""/usr/lib/x.py"", line 3, in run\n File ""/srv/pay.py"", line 7, in part\n",local
"""


@pytest.mark.slow
@pytest.mark.parametrize(("times", "word"), [(5, Word.PASS), (500, Word.INCONCLUSIVE)])
def test_exceptions_in_users_own_code_are_reported(tmp_path, times, word):
    """With the most frequent one and its place, in the report too; too many of them mean a different load."""
    path = write_run(tmp_path)
    (path / files.LOCUST_EXCEPTIONS).write_text(RAISED.format(times=times))
    run = load_run(path)
    verdict = verdict_on_run(run)
    (finding,) = verdict.findings
    told = f"the users' own code raised {times + 3} exceptions, most often division by zero (pay.py, line 7, in part)"
    assert (finding.word, finding.what) == (word, told)
    assert verdict.word is word
    page = render_run_page(run, verdict)
    assert "Exceptions in the users' own code" in page
    assert "pay.py, line 12, in transfer" in page


@pytest.mark.slow
def test_a_slow_target_is_never_the_generators_fault(tmp_path):
    """Slow, failing and throttling: FAIL, not INVALID."""
    slow = verdict_on_run(load_run(write_run(tmp_path / "slow", median_ms=dict.fromkeys(scenario().mix, 900.0))))
    failing = verdict_on_run(load_run(write_run(tmp_path / "failing", outcomes_of=outcomes(server_error=0.9))))
    throttling = verdict_on_run(load_run(write_run(tmp_path / "throttling", outcomes_of=outcomes(throttled=0.9))))
    assert [verdict.word for verdict in (slow, failing, throttling)] == [Word.FAIL] * 3


@pytest.mark.slow
def test_invalid_beats_fail_beats_inconclusive_beats_pass(tmp_path):
    """A broken measurement proves nothing about the target."""
    invalid = write_run(tmp_path / "1", cpu=0.99, outcomes_of=outcomes(server_error=0.5))
    fail = write_run(tmp_path / "2", ending="interrupted", lived_s=20, outcomes_of=outcomes(server_error=0.5))
    inconclusive = write_run(tmp_path / "3", outcomes_of=outcomes(server_error=0.01))
    words = [verdict_on_run(load_run(path)).word for path in (invalid, fail, inconclusive)]
    assert words == [Word.INVALID, Word.FAIL, Word.INCONCLUSIVE]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("knobs", "code"),
    [
        ({}, ExitCode.PASS),
        ({"outcomes_of": outcomes(server_error=0.5)}, ExitCode.FAIL),
        ({"cpu": 0.99}, ExitCode.INVALID),
        ({"outcomes_of": outcomes(server_error=0.01)}, ExitCode.INCONCLUSIVE),
        ({"ending": "interrupted"}, ExitCode.INTERRUPTED),
        ({"ending": "terminated"}, ExitCode.TERMINATED),
    ],
)
def test_the_exit_code_is_the_verdicts_or_the_signals(tmp_path, knobs, code):
    """One table, in loadproof.errors."""
    run = load_run(write_run(tmp_path, **knobs))
    assert exit_code(verdict_on_run(run), run.manifest) is code


@pytest.mark.slow
def test_every_verdict_says_what_to_do_next(tmp_path):
    """And names the deciding threshold, with its numbers."""
    verdict = verdict_on_run(load_run(write_run(tmp_path, median_ms={"balance": 400.0})))
    assert verdict.word is Word.FAIL
    assert verdict.reason.startswith("Balance · steady: p(95) is ")
    assert "(expected p(95) < 200 ms)" in verdict.reason
    assert "Look at balance in steady" in verdict.next_step


@pytest.mark.slow
@pytest.mark.parametrize(("tls", "is_told"), [(None, False), ({}, False), ({"verify": False}, True)])
def test_an_unverified_certificate_is_a_note(tmp_path, tls, is_told):
    """Any server could have answered; the word is the same."""
    path = write_run(tmp_path)
    manifest = read_manifest(path)
    settings = None if tls is None else TlsSettings(**tls)
    target = manifest.target.model_copy(update={"tls": settings, "base_url": "https://127.0.0.1:1"})
    write_manifest(path, manifest.model_copy(update={"target": target}))
    run = load_run(path)
    verdict = verdict_on_run(run)
    assert verdict.word is Word.PASS
    assert [(finding.is_note, finding.what.partition(":")[0]) for finding in verdict.findings] == [
        (True, "the server's certificate was not verified, so any server could have answered")
    ] * is_told
    assert ("nothing (verify: false)" in render_run_page(run, verdict)) is is_told
