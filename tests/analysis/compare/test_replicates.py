"""Run directories as replicates: one value per run for each row."""

from __future__ import annotations

import pytest

from loadproof.analysis.compare.replicates import Row, replicate_of, replicates, row_of, sources_of, usable_replicates
from loadproof.analysis.estimates.metrics import counted_estimate
from loadproof.analysis.estimates.scope import in_scope
from loadproof.analysis.estimates.summary import summary
from loadproof.analysis.frames.run import load_run
from loadproof.errors import InvalidRunError, RunDirectoryError
from simulation.rundirs import scenario, write_run

PLAN = scenario(
    phases=[
        {"name": "warm-up", "warm_up": True, "duration": "2 s", "users": 100},
        {"name": "steady", "duration": "10 s", "users": 100},
        {"name": "more", "duration": "10 s", "users": 100},
    ],
    thresholds=[
        {"endpoint": "balance", "phase": "steady", "expect": "p(95) < 200 ms"},
        {"endpoint": ["balance", "health"], "expect": "p(95) <= 1.10 * baseline"},
        {"expect": "error_ratio < 1 %"},
        {"phase": "more", "series": "service", "expect": "mean < 1 s"},
        {"expect": "goodput_ratio >= 98 %"},
        {"expect": "count > 10"},
    ],
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "run", plan=PLAN)


@pytest.mark.slow
def test_each_endpoint_and_phase_has_a_row_for_each_metric(path):
    """In measured phases; all endpoints together come first."""
    (run,) = replicates([path])
    row = Row("all endpoints", "steady", "p(95)")
    by_place = {(found.endpoint, found.phase.name): found for found in summary(load_run(path))}
    assert run.values[row] == by_place[None, "steady"].response[0.95].value
    assert run.values[Row("balance", "more", "p(50)")] == by_place["balance", "more"].response[0.5].value
    assert run.values[Row("health", "steady", "throughput")] == by_place["health", "steady"].throughput_rps
    assert run.values[Row("health", "steady", "error_ratio")] == 0
    assert not [row for row in run.values if row.phase == "warm-up"]
    assert len([row for row in run.values if row.phase == "steady"]) == 7 * 5
    assert run.histograms["balance", "more"].sum() == by_place["balance", "more"].response[0.5].n


@pytest.mark.slow
def test_a_run_is_read_once_for_each_scope_and_not_for_each_row(path, monkeypatch):
    """A history has dozens of rows for each of its runs; values are the same as row by row."""
    run = load_run(path)
    one_by_one = {row: counted_estimate(source.metric, run, source.scope) for row, source in sources_of(PLAN).items()}
    read = []
    monkeypatch.setattr(
        "loadproof.analysis.estimates.metrics.in_scope", lambda rows, scope: read.append(scope) or in_scope(rows, scope)
    )
    assert replicate_of(run).estimates == one_by_one
    assert len(read) == len(set(read)) < len(one_by_one) / 5


def test_a_threshold_names_a_row():
    """By the table's name if it is in it; several phases or endpoints together are separate rows."""
    rows = [row_of(threshold, PLAN) for threshold in PLAN.thresholds]
    assert rows[:5] == [
        ("balance", "steady", "p(95)"),
        ("balance + health", "all phases", "p(95)"),
        ("all endpoints", "all phases", "error_ratio"),
        ("all endpoints", "more", "mean of service"),
        ("all endpoints", "all phases", "goodput_ratio"),
    ]
    assert set(rows[:5]) <= set(sources_of(PLAN))
    assert rows[5] not in sources_of(PLAN)


def test_a_scenario_with_one_endpoint_has_no_second_row_for_it():
    """All endpoints together are the same."""
    plan = scenario(mix={"balance": {"share": "100 %", "every": "1 s"}}, thresholds=[{"expect": "error_ratio < 1 %"}])
    assert {row.endpoint for row in sources_of(plan)} == {"balance"}


@pytest.mark.slow
def test_blocks_are_as_given(path):
    """One for each run."""
    assert [run.block for run in replicates([path, path], [3, 4])] == [3, 4]


@pytest.mark.slow
def test_runs_that_are_no_measurement_are_named_all_at_once(path, tmp_path):
    """And so are those that can't be read."""
    late = write_run(tmp_path / "late", plan=PLAN, lag_ms=60)
    cut = write_run(tmp_path / "cut", plan=PLAN, lived_s=10, ending="interrupted")
    with pytest.raises(InvalidRunError) as refused:
        replicates([path, late, cut])
    assert [problem.where for problem in refused.value.problems] == [str(late), str(cut)]
    assert "the run is INVALID" in str(refused.value)
    assert "cut short, got 'interrupted'" in str(refused.value)
    usable, errors = usable_replicates([late, path])
    assert ([run.path for run in usable], len(errors)) == ([path], 1)
    with pytest.raises(RunDirectoryError, match="no readable manifest"):
        replicates([late, tmp_path])


def test_a_run_that_the_target_ended_has_no_values_and_stays(tmp_path):
    """Its first half is no replicate of complete runs."""
    died = write_run(tmp_path / "died", plan=PLAN, lived_s=10, ending="target_died")
    (run,) = replicates([died])
    assert run.broke
    assert run.values == {}
