"""A run compared with its baseline: the difference is shown, and one run a side decides nothing."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from rich.console import Console

from loadproof.analysis.compare.baseline.baseline import differences, load_baseline
from loadproof.analysis.estimates.changes import changes, largest_moves
from loadproof.analysis.frames.run import load_run
from loadproof.analysis.judge.judgement import Wanting
from loadproof.analysis.judge.thresholds import judge_threshold
from loadproof.analysis.judge.verdict import verdict_on_run
from loadproof.analysis.outputs.tables import summary_markdown, terminal_view
from loadproof.analysis.report.run_page import render_run_page
from loadproof.analysis.word import Word
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


def test_the_difference_is_reported_and_inconclusive(pair):
    """However large it is."""
    judgement = judge_threshold(PLAN.thresholds[0], *pair)
    assert judgement.word is Word.INCONCLUSIVE
    assert " x the baseline's " in judgement.reason
    assert float(judgement.reason.partition(", ")[2].partition(" x")[0]) == pytest.approx(1.5, abs=0.2)
    assert "one run on each side" in judgement.reason


def test_a_baseline_of_zero_has_no_ratio(pair):
    """No errors then, none now."""
    assert "the baseline's 0 % (" in judge_threshold(PLAN.thresholds[1], *pair).reason


def test_without_a_baseline_the_remedy_is_reported(pair):
    """Or without samples in it."""
    assert "add --baseline RUN" in judge_threshold(PLAN.thresholds[0], pair[0]).reason
    empty = replace(pair[1], intervals=pair[1].intervals.iloc[:0])
    assert "no samples for it" in judge_threshold(PLAN.thresholds[0], pair[0], empty).reason


def test_all_phases_and_endpoints_are_compared(pair):
    """Except warm-up."""
    found = changes(*pair)
    assert {change.candidate.phase.name for change in found} == {"steady", "bursts"}
    assert len(found) == 2 * 5
    assert all(change.baseline.endpoint == change.candidate.endpoint for change in found)


@pytest.mark.slow
def test_the_report_shows_the_comparison(pair):
    """Below the thresholds."""
    page = render_run_page(pair[0], verdict_on_run(*pair), pair[1])
    assert "<h2>Compared with the baseline</h2>" in page
    assert page.index("<h2>Thresholds</h2>") < page.index("Compared with the baseline") < page.index("Load and goodput")


def test_other_differences_are_reported(pair):
    """The seed, the connection, the versions, the machine."""
    candidate, baseline = pair
    target = candidate.manifest.target.model_copy(update={"proxy": "http://127.0.0.1:3128"})
    behind = replace(candidate, manifest=candidate.manifest.model_copy(update={"target": target}))
    assert differences(behind, baseline) == ["proxy: none → http://127.0.0.1:3128"]
    other = baseline.manifest.model_copy(update={"seed": 7, "versions": {"loadproof": "0.0.9"}})
    assert differences(candidate, replace(baseline, manifest=other)) == ["seed: 7 → 1", "loadproof: 0.0.9 → 0.1.0"]
    assert differences(candidate, baseline) == []
    other = scenario(thresholds=[{"expect": "goodput_ratio >= 98 %"}], settings={"limiter": "off"})
    run = replace(candidate, manifest=candidate.manifest.model_copy(update={"scenario": other}))
    assert differences(run, baseline) == ['settings.limiter: "local" → "off"']
    patient = baseline.manifest.scenario.model_copy(update={"deadline": 9.0})
    own = baseline.manifest.target.model_copy(update={"kind": "own"})
    other = baseline.manifest.model_copy(update={"scenario": patient, "target": own})
    assert differences(candidate, replace(baseline, manifest=other)) == [
        f"target: {own.base_url} → embedded",
        "the scenario's deadline",
    ]


def test_the_next_step_can_actually_decide(pair):
    """A longer run wouldn't."""
    only = PLAN.model_copy(update={"all_thresholds": PLAN.thresholds[:1]})
    candidate = replace(pair[0], manifest=pair[0].manifest.model_copy(update={"scenario": only}))
    step = "Make several runs of each release: `loadproof gate SCENARIO --runs 5 --baseline DIR` makes five of"
    assert verdict_on_run(candidate, pair[1]).next_step.startswith(step)
    assert verdict_on_run(candidate).next_step.startswith(step)
    empty = replace(pair[1], intervals=pair[1].intervals.iloc[:0])
    assert verdict_on_run(candidate, empty).next_step.startswith("Check the reports for why one side measured nothing")
    assert judge_threshold(only.thresholds[0], empty, pair[1]).wanting is Wanting.SAMPLES


def beside(path, *, was_ms, now_ms, seed=2):
    """A candidate that passes, its baseline, and the verdict on the candidate compared with it."""
    plan = scenario(thresholds=[{"expect": "goodput_ratio >= 98 %"}])
    baseline, candidate = (
        load_run(write_run(path / name, plan=plan, median_ms=dict.fromkeys(plan.mix, median_ms), seed=number))
        for name, median_ms, number in (("baseline", was_ms, 1), ("candidate", now_ms, seed))
    )
    return candidate, baseline, verdict_on_run(candidate, baseline)


def shown(candidate, baseline, verdict):
    """In the terminal, the summary, and the header of the page."""
    page = render_run_page(candidate, verdict, baseline)
    console = Console(width=400)
    with console.capture() as capture:
        console.print(terminal_view(verdict))
    summary = summary_markdown(candidate, verdict).replace("\\", "")
    return capture.get(), summary, page[page.index("<header") : page.index("</header>")]


@pytest.mark.slow
def test_slower_than_the_baseline_is_never_nothing_to_do(tmp_path):
    """Even if every threshold holds: the change is shown wherever the verdict is."""
    found = beside(tmp_path, was_ms=20, now_ms=23)
    verdict = found[2]
    assert verdict.word is Word.PASS
    assert "Nothing to do" not in verdict.next_step
    assert verdict.next_step.startswith("Check what got worse before you keep this run as a baseline: p")
    for text in shown(*found):
        assert re.search(
            r"Compared with 20261123T060000Z-synthetic: p\d\d of .* ms → .* ms \(\+\d+\.?\d* %\), and \d+ more", text
        )


@pytest.mark.slow
def test_an_unchanged_run_is_reported_as_such(tmp_path):
    """And an improvement is reported, but no reason to hesitate."""
    same = beside(tmp_path / "same", was_ms=20, now_ms=20, seed=1)
    better = beside(tmp_path / "better", was_ms=30, now_ms=20, seed=1)
    for found, what in ((same, "no time changed by 5% or more"), (better, "(-3")):
        assert found[2].next_step.startswith("Nothing to do")
        assert what in found[2].beside


def test_fewer_good_answers_than_the_baseline_are_a_change(pair):
    """Even if times are the same."""
    good = pair[1].intervals["series"] == "good"
    rows = pair[1].intervals
    fewer = replace(pair[1], intervals=rows.assign(count=rows["count"].where(~good | (rows["second"] % 20 > 0), 0)))
    assert largest_moves(fewer, pair[1])[0].what.startswith("goodput ratio of ")


def test_a_broken_measurement_is_no_baseline(tmp_path):
    """Its numbers would be shown as if they were the last release's."""
    late = write_run(tmp_path / "late", plan=PLAN, lag_ms=60)
    with pytest.raises(RunDirectoryError, match="it is INVALID"):
        load_baseline(late, PLAN)


def test_options_that_dont_go_with_a_baseline_are_refused(pair, tmp_path):
    """Comparing a run with itself, or a log."""
    log = tmp_path / "log.csv"
    log.write_text("seconds,name,response_ms,status\n1,/pay,20,200\n")
    run = pair[0].path
    for source, what in (([run], "the same run"), (["--log", log], "is for run directories")):
        done = in_process("report", *source, "--baseline", run)
        assert (done.returncode, what in done.stderr) == (2, True), done.stderr


def test_a_run_of_another_scenario_is_no_baseline(pair, tmp_path):
    """Its phases are different."""
    other = write_run(tmp_path / "other", plan=scenario(phases=[{"name": "steady", "duration": "9 s", "users": 10}]))
    with pytest.raises(RunDirectoryError, match="another scenario's run"):
        load_baseline(other, PLAN)
    assert load_baseline(pair[1].path, PLAN).manifest.run_id == read_manifest(pair[1].path).run_id


def test_a_request_that_only_the_candidate_sent_is_not_compared(pair):
    """A locustfile's requests are whatever it sent; this was an exception."""
    candidate, baseline = pair
    fewer = PLAN.model_copy(update={"mix": {name: mix for name, mix in PLAN.mix.items() if name != "webhooks"}})
    older = replace(
        baseline,
        manifest=baseline.manifest.model_copy(update={"scenario": fewer}),
        intervals=baseline.intervals[baseline.intervals["endpoint"] != "webhooks"],
    )
    assert {change.candidate.endpoint for change in changes(candidate, older)} == {None, *fewer.mix}
    assert verdict_on_run(candidate, older).beside
