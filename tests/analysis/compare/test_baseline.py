"""A run beside its baseline: the difference is shown, and one run a side decides nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from analysis.compare.baseline import changes, differences, load_baseline
from analysis.frames.run import load_run
from analysis.judge.judgement import Word
from analysis.judge.thresholds import judge
from analysis.judge.verdict import decide
from analysis.report.run_page import render_report
from loadproof.errors import RunDirectoryError
from loadproof.rundir.manifest import read_manifest
from simulation.rundirs import scenario, write_run
from tests.commands import in_process

PLAN = scenario(
    thresholds=[
        {"phase": "steady", "endpoint": "balance", "expect": "p(95) <= 1.10 * baseline"},
        {"expect": "error_ratio <= 2 * baseline"},
        {"expect": "goodput_ratio >= 98 %"},
    ]
)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """The candidate takes half as long again as the baseline."""
    path = tmp_path_factory.mktemp("pair")
    runs = [
        load_run(write_run(path / name, plan=PLAN, median_ms={"balance": median_ms}, seed=seed))
        for name, median_ms, seed in (("baseline", 20, 1), ("candidate", 30, 2))
    ]
    return runs[1], runs[0]


def test_the_difference_is_told_and_inconclusive(pair):
    """However large it is."""
    judgement = judge(PLAN.thresholds[0], *pair)
    assert judgement.word is Word.INCONCLUSIVE
    assert " x the baseline's " in judgement.reason
    assert float(judgement.reason.partition(", ")[2].partition(" x")[0]) == pytest.approx(1.5, abs=0.2)
    assert "one run a side" in judgement.reason


def test_a_baseline_of_nothing_has_no_ratio(pair):
    """No errors then, none now."""
    assert "the baseline's 0 % (" in judge(PLAN.thresholds[1], *pair).reason


def test_without_a_baseline_the_remedy_is_told(pair):
    """Or without samples in it."""
    assert "add --baseline RUN" in judge(PLAN.thresholds[0], pair[0]).reason
    empty = replace(pair[1], intervals=pair[1].intervals.iloc[:0])
    assert "no samples of it" in judge(PLAN.thresholds[0], pair[0], empty).reason


def test_all_phases_and_endpoints_stand_side_by_side(pair):
    """Warm-up left out."""
    found = changes(*pair)
    assert {change.candidate.phase.name for change in found} == {"steady", "bursts"}
    assert len(found) == 2 * 5
    assert all(change.baseline.endpoint == change.candidate.endpoint for change in found)


def test_the_report_shows_it(pair):
    """Under the thresholds."""
    page = render_report(pair[0], decide(*pair), pair[1])
    assert "<h2>Beside the baseline</h2>" in page
    assert page.index("<h2>Thresholds</h2>") < page.index("Beside the baseline") < page.index("Load and goodput")


def test_what_else_differs_is_told(pair):
    """The seed, the versions, the machine."""
    candidate, baseline = pair
    other = baseline.manifest.model_copy(update={"seed": 7, "versions": {"loadproof": "0.0.9"}})
    assert differences(candidate, replace(baseline, manifest=other)) == ["seed: 7 → 1", "loadproof: 0.0.9 → 0.1.0"]
    assert differences(candidate, baseline) == []


def test_the_next_step_is_one_that_can_be_taken(pair):
    """No longer run decides it."""
    only = PLAN.model_copy(update={"thresholds": PLAN.thresholds[:1]})
    candidate = replace(pair[0], manifest=pair[0].manifest.model_copy(update={"scenario": only}))
    assert "one run a side can't decide it" in decide(candidate, pair[1]).next_step
    assert decide(candidate).next_step.startswith("Add --baseline RUN")


def test_a_broken_measurement_is_no_baseline(tmp_path):
    """Its numbers would be shown as if they were the last release's."""
    late = write_run(tmp_path / "late", plan=PLAN, lag_ms=60)
    with pytest.raises(RunDirectoryError, match="it is INVALID"):
        load_baseline(late, PLAN)


def test_what_a_baseline_does_not_go_with_is_refused(pair, tmp_path):
    """A run beside itself, a log."""
    log = tmp_path / "log.csv"
    log.write_text("seconds,name,response_ms,status\n1,/pay,20,200\n")
    run = pair[0].path
    for source, what in (([run], "the same run"), (["--log", log], "is for run directories")):
        done = in_process("report", *source, "--baseline", run)
        assert (done.returncode, what in done.stderr) == (2, True), done.stderr


def test_a_run_of_another_scenario_is_no_baseline(pair, tmp_path):
    """Its phases are not the same."""
    other = write_run(tmp_path / "other", plan=scenario(phases=[{"name": "steady", "duration": "9 s", "users": 10}]))
    with pytest.raises(RunDirectoryError, match="another scenario's run"):
        load_baseline(other, PLAN)
    assert load_baseline(pair[1].path, PLAN).manifest.run_id == read_manifest(pair[1].path).run_id
