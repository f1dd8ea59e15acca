"""`loadproof selftest`: what it keeps, what later runs show of it, and what its own runs show."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from loadproof.analysis.capacity.capacity import capacity_of
from loadproof.analysis.compare.calibration import accuracy_of, lag_of
from loadproof.analysis.compare.comparison import compare
from loadproof.analysis.compare.history import history_of
from loadproof.analysis.compare.replicates import replicates
from loadproof.analysis.frames.run import load_run
from loadproof.analysis.judge.verdict import verdict_on_run
from loadproof.analysis.outputs.selftesttext import doubt, selftest_line, sentences, sizes
from loadproof.analysis.report.capacity_page import write_capacity
from loadproof.analysis.report.compare_page import comparison_files
from loadproof.analysis.report.history_page import render_history
from loadproof.analysis.report.run_page import render_run_page
from loadproof.cli import selftest as command
from loadproof.errors import ExitCode, OutputError
from loadproof.plan.phases import peak_rps
from loadproof.run.experiments.selftest import ScriptedRun, Tried, perform
from loadproof.run.machine import selftests
from loadproof.run.processes.stopping import StopSignal
from loadproof.rundir.files import REPORT
from loadproof.rundir.files import SELFTEST as SELFTEST_FILE
from loadproof.rundir.manifest import read_manifest, write_manifest
from loadproof.rundir.selftest import Accuracy, HitRate, MeasuredChange, SelfTest, Size, read_selftest
from loadproof.rundir.trials import RUNS
from simulation.rundirs import START_UNIX_S, scenario, write_run
from simulation.trials import search_for
from tests.analysis.capacity.searched import FOUND
from tests.commands import in_process

HOST = {"cpu": "A", "cores": "2", "memory": "8.0 GiB", "system": "Linux 6.1 x86_64"}
SELFTEST = SelfTest(
    measured_unix_s=START_UNIX_S - 5 * 86_400,
    took_s=250,
    thorough=False,
    loadproof="1.0",
    host=HOST,
    ceiling_rps=4000,
    is_ceiling=True,
    lag_rps=500,
    lag_p50_s=0.0002,
    lag_p99_s=0.0011,
    accuracy=[Accuracy(quantile=0.95, true_s=0.033, reported_s=0.0332, n=10_000)],
    rates=[HitRate(name="A generator that stalls for 2 s", expected="INVALID", right=20, n=22)],
    same=MeasuredChange(ratio=0.004, low=-0.01, high=0.018, runs=4),
    planted=MeasuredChange(ratio=0.101, low=0.08, high=0.12, runs=4),
    planted_ratio=0.1,
    sizes=[Size(scenario="smoke", peak_rps=10, fits=True), Size(scenario="spike", peak_rps=9000, fits=False)],
)


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state/loadproof"


def test_a_selftest_is_kept_and_copied_into_later_runs(state, tmp_path):
    """Unchanged."""
    (tmp_path / "run").mkdir()
    selftests.carry(tmp_path / "run")
    assert read_selftest(tmp_path / "run") is None
    assert selftests.keep(SELFTEST) == state / "selftest.json"
    selftests.carry(tmp_path / "run")
    assert read_selftest(tmp_path / "run") == SELFTEST


def test_a_damaged_selftest_is_ignored(state, tmp_path):
    """A run is valid without it."""
    state.mkdir(parents=True)
    for text in ("", "{}", "[1]", json.dumps(SELFTEST.model_dump() | {"format": "x"})):
        (state / "selftest.json").write_text(text)
        selftests.carry(tmp_path)
        assert read_selftest(tmp_path) is None, text


def test_the_state_directory_is_the_users_own(monkeypatch, tmp_path):
    """A relative XDG_STATE_HOME is ignored; if it can't be written, only `selftest` fails."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert selftests.state_directory() == tmp_path / ".local/state/loadproof"
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null")
    selftests.carry(tmp_path)
    with pytest.raises(OutputError, match="can't be created"):
        selftests.keep(SELFTEST)


def test_results_are_shown_with_n_and_interval():
    """Never as a bare word."""
    told = " ".join(sentences(SELFTEST))
    assert "up to 4,000 requests/s" in told
    assert "INVALID in 20 of 22 (95 % interval 72% to 97%)" in told
    assert "+10.1% (95 % interval +8.0% to +12.0%, 4 runs a side)" in told
    assert "p95 33.2 ms (33 ms); 10,000 requests" in told
    assert sizes(SELFTEST).endswith("Too large for one process: spike (9,000 requests/s).")


def test_a_selftest_without_results_says_so():
    """If nothing could be measured."""
    nothing = SELFTEST.model_copy(
        update={"ceiling_rps": 0, "lag_rps": 0, "same": None, "planted": None, "accuracy": []}
    )
    nothing = nothing.model_copy(update={"rates": [HitRate(name="A", expected="INVALID", right=0, n=0)]})
    assert list(sentences(nothing))[1:] == ["A: not tried."]
    assert "sustained no rate" in next(sentences(nothing))
    assert sizes(nothing).startswith("It can't decide any scenario in this state")


@pytest.mark.parametrize(
    ("host", "days", "told"),
    [
        (HOST, 5, ""),
        (HOST, 40, "it is 40 days old; run `loadproof selftest` again"),
        ({**HOST, "cores": "4"}, 5, "the machine has changed since (cores): run `loadproof selftest` again"),
    ],
)
def test_an_old_selftest_or_one_of_another_machine_is_doubted(host, days, told):
    """Also in the run's line, in place of the results."""
    assert doubt(SELFTEST, host, SELFTEST.measured_unix_s + days * 86_400) == told
    run = replace_host(host, SELFTEST.measured_unix_s + days * 86_400)
    assert selftest_line(SELFTEST, run).endswith(told or "2 of 22 answers WRONG")


def replace_host(host, at_unix_s):
    from simulation.rundirs import manifest

    return manifest(scenario()).model_copy(update={"host": host, "start_unix_s": at_unix_s})


@pytest.mark.slow
def test_the_report_shows_the_selftest_with_the_measurements_quality(tmp_path):
    """And nothing if there is none."""
    run = load_run(write_run(tmp_path / "run"))
    verdict = verdict_on_run(run)
    assert "Self-test of" not in render_run_page(run, verdict)
    (run.path / "selftest.json").write_text(SELFTEST.model_dump_json())
    page = render_run_page(run, verdict).partition("Can you trust this result?")[2]
    assert "Self-test of 2026-11-18" in page
    assert "the machine has changed since" in page


@pytest.mark.slow
def test_pages_on_several_runs_show_the_selftest_too(tmp_path):
    """A comparison, a history and a capacity: from their latest run."""
    trials = [trial.model_copy(update={"run": f"run-{number}"}) for number, trial in enumerate(FOUND[:2])]
    runs = [write_run(tmp_path / RUNS / trial.run) for trial in trials]
    for run in runs:
        named(run)
        (run / SELFTEST_FILE).write_text(SELFTEST.model_dump_json())
    one, other = replicates(runs)
    history, search = history_of(runs), search_for(100.0, 4000.0)
    write_capacity(tmp_path, search, trials, capacity_of(search, trials))
    for page in (
        comparison_files(compare([one], [other]), tmp_path)[tmp_path / REPORT],
        render_history(history),
        (tmp_path / REPORT).read_text(),
    ):
        assert "Self-test of 2026-11-18" in page


@pytest.mark.slow
def test_the_busiest_phase_decides_which_scenarios_fit():
    """By its average rate."""
    assert peak_rps(ScriptedRun("x", rate_rps=700).scenario) == pytest.approx(700)
    fits = {size.scenario: size.fits for size in command._sizes(500)}
    assert fits["smoke"]
    assert not fits["spike-1000"]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A trial whose server is paused, which covers all that trials do."""
    out = tmp_path_factory.mktemp("selftest")
    return perform(ScriptedRun("stopped-server", rate_rps=100, seconds=4, stopped="server"), out, StopSignal())


@pytest.mark.long
@pytest.mark.process
def test_a_trial_leaves_a_run_and_the_servers_own_log(stopped):
    """The run reports what the server logged, plus the way there."""
    assert read_manifest(stopped.run).ending == "completed"
    assert stopped.log.shape == (500, 2)
    median = next(one for one in accuracy_of([(stopped.run, stopped.log)]) if one.quantile == 0.5)
    assert median.n == pytest.approx(400, abs=5)
    assert median.true_s == pytest.approx(0.02, rel=0.2)
    assert median.reported_s >= 0.98 * median.true_s


@pytest.mark.long
@pytest.mark.process
def test_lateness_is_reported(stopped, tmp_path):
    """A generator with start lag does not keep up; an empty log shows nothing."""
    p50_s, p99_s, keeps_up = lag_of(stopped.run)
    assert 0 < p50_s <= p99_s
    assert p99_s <= 0.01 or not keeps_up
    assert accuracy_of([(stopped.run, np.empty((0, 2)))]) == []
    late = write_run(tmp_path / "late", lag_ms=50)
    assert not lag_of(late)[2]


def named(run):
    """Give a run the id of its directory: runs with equal ids would count as copies."""
    write_manifest(run, read_manifest(run).model_copy(update={"run_id": run.name}))


def scripted(trial, out, _):
    """The trial on a machine where everything works and the generator keeps up 500 requests/s."""
    number = len(list(out.iterdir()))
    slower = float(trial.script.partition("*")[2] or 1) * (50 if trial.stopped == "server" else 1)
    path = write_run(
        out / f"{number:03}",
        plan=trial.scenario,
        median_ms={"balance": 20 * slower},
        lag_ms=50 if trial.rate_rps > 500 else 0.3,
        lost=5 if trial.stopped == "generator" else 0,
        seed=number,
    )
    named(path)
    at_s = np.linspace(START_UNIX_S + 1, START_UNIX_S + 6, 100)
    return Tried(trial, path, read_manifest(path), np.column_stack([at_s, at_s + 0.02]))


@pytest.mark.long
def test_a_machine_that_answers_right_passes_and_its_selftest_is_kept(state, tmp_path, monkeypatch):
    """Each case once; the ceiling is the last rate kept up. A machine that misses everything fails."""
    monkeypatch.setattr(command, "perform", scripted)
    monkeypatch.setattr(command, "_RATES_RPS", (100, 500, 1000, 2000))
    done = in_process("selftest", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stdout
    kept = read_selftest(state)
    assert (kept.ceiling_rps, kept.is_ceiling, kept.lag_rps) == (500, True, 500)
    assert [(rate.right, rate.n) for rate in kept.rates] == [(1, 1)] * 4
    assert kept.planted.low <= 0.1 <= kept.planted.high
    assert kept.same.low <= 0 <= kept.same.high
    assert kept.accuracy[0].true_s == pytest.approx(0.02)
    assert "WRONG" not in done.stdout

    def blind(trial, out, stop_signal):
        return scripted(replace(trial, stopped=None, script="steady"), out, stop_signal)

    monkeypatch.setattr(command, "perform", blind)
    done = in_process("selftest", "--out", tmp_path / "blind")
    assert done.returncode == 1
    assert done.stdout.count("WRONG") == 3


@pytest.mark.parametrize(
    ("answers", "ceiling_rps", "code"),
    [
        ([(1, 1), (2, 2)], 500, ExitCode.PASS),
        ([(0, 1), (0, 0)], 500, ExitCode.FAIL),
        ([(1, 1), (0, 0)], 500, ExitCode.INVALID),
        ([(1, 1), (1, 1)], 0, ExitCode.INVALID),
    ],
)
def test_the_exit_code_tells_wrong_answers_from_none(answers, ceiling_rps, code):
    """A machine that was too busy has measured nothing, and isn't called wrong."""
    rates = [SELFTEST.rates[0].model_copy(update={"right": right, "n": n}) for right, n in answers]
    assert command._exit_code(SELFTEST.model_copy(update={"rates": rates, "ceiling_rps": ceiling_rps})) is code


def test_a_machine_whose_selftest_was_disturbed_is_not_called_fit():
    """Whatever load its generator kept up, failed or missing cases qualify the result."""
    busy = SELFTEST.rates[0].model_copy(update={"right": 0, "n": 0})
    right = SELFTEST.rates[0].model_copy(update={"right": 1, "n": 1})
    disturbed = SELFTEST.model_copy(update={"rates": [right, busy]})
    assert sizes(disturbed).startswith("It is not known which scenarios it can decide: 1 of 2 questions")
    manifest = replace_host(HOST, SELFTEST.measured_unix_s)
    assert selftest_line(disturbed, manifest).endswith("1 of 1 answers right, 1 not tried")
    assert "wrong" not in sizes(disturbed)
    missed = right.model_copy(update={"right": 0})
    for ceiling_rps in (SELFTEST.ceiling_rps, 0):
        both = SELFTEST.model_copy(update={"rates": [missed, busy], "ceiling_rps": ceiling_rps})
        assert sizes(both).endswith(
            "But 1 answer was wrong: don't rely on verdicts from here until a self-test gets everything right."
        )
    wrong = sizes(SELFTEST)
    assert "that it can decide" not in wrong
    assert "But 2 answers were wrong" in wrong
    assert "that it can decide: smoke." in sizes(SELFTEST.model_copy(update={"rates": [right]}))
