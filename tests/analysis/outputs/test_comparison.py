"""A comparison's files: for programs, for CI systems, for people."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import jsonschema_rs
import numpy as np
import pytest
from rich.console import Console

from loadproof.analysis.compare.comparison import compare
from loadproof.analysis.compare.conclusion import conclusion_of
from loadproof.analysis.outputs.ci.comparisonresults import NOTHING_ELSE, concluded_comparison
from loadproof.analysis.outputs.ci.junit import TRUSTED
from loadproof.analysis.outputs.comparisonfile import comparison_schema
from loadproof.analysis.outputs.comparisontables import comparison_view
from loadproof.analysis.report.compare_page import COMPARE, comparison_files
from loadproof.rundir import files
from simulation.releases import Noise, plan_of_releases, release
from tests.commands import ROOT

pytestmark = pytest.mark.slow

HERE = Path("somewhere")
EXPECT = "p(95) <= 1.10 * baseline"


def compared(n=5, **slower):
    random = np.random.default_rng(3)
    plan = plan_of_releases(EXPECT)
    baseline = release(random, n, noise=Noise(between=0.01), step=2, plan=plan)
    return compare(baseline, release(random, n, noise=Noise(between=0.01), slower=slower, first=1, step=2, plan=plan))


@pytest.fixture(scope="module")
def worse():
    """A row that no threshold names regressed, too."""
    return compared(balance=0.3, health=0.3)


def written(comparison):
    return {path.name: text for path, text in comparison_files(comparison, HERE).items()}


def cases_of(comparison):
    suite = ElementTree.fromstring(written(comparison)[files.JUNIT])
    return {case.get("name"): [child.tag for child in case] for case in suite}


def shown(comparison, width=110):
    console = Console(width=width)
    with console.capture() as capture:
        console.print(comparison_view(comparison))
    return capture.get()


@pytest.mark.parametrize("n", [1, 5])
def test_the_json_matches_its_schema(n):
    """Including single runs, about which almost nothing is known."""
    content = json.loads(written(compared(n))[COMPARE])
    jsonschema_rs.validate(comparison_schema(), content)
    row = next(each for each in content["rows"] if each["named"] and each["metric"] == "p(95)")
    assert row["unit"] == "s"
    assert (row["word"] is None, row["change"]["low"] is None) == (n == 1, n == 1)
    assert len(content["baseline"]) == row["baseline"]["n"] == n
    assert bool(content["shifts"]) == (n > 1)


def test_the_committed_schema_is_the_current_one():
    """`make schema` writes it."""
    committed = json.loads((ROOT / "reports/compare.schema.json").read_text(encoding="utf-8"))
    assert committed == comparison_schema()


def test_the_word_and_the_deciding_numbers_are_in_every_output(worse):
    """In the terminal, the summary, the page and the file for programs."""
    texts = written(worse)
    reason = conclusion_of(worse).reason
    assert reason.startswith("Worse: p(95) of balance in steady +")
    assert json.loads(texts[COMPARE])["reason"] == reason
    assert texts[files.SUMMARY].startswith("## regressed: ")
    assert '<header class="verdict fail">' in texts[files.REPORT]
    assert shown(worse, width=300).startswith(f"regressed  {reason}")
    percent = f"{100 * next(row for row in worse.rows if row.is_named and row.metric.quantile).change.ratio:+.1f} %"
    for text in (shown(worse), texts[files.REPORT], texts[files.SUMMARY].replace("\\", "")):
        assert percent in text


def test_the_terminal_shows_deciding_rows_and_counts_the_rest(worse):
    """A hundred rows help nobody."""
    lines = shown(worse)
    assert f"{EXPECT}: " in lines
    assert "more rows: " in lines
    assert lines.count("goodput_ratio") == 1


def test_each_deciding_row_has_a_case_and_the_rest_share_one(worse):
    """Case names are stable from run to run."""
    cases = cases_of(worse)
    assert cases["balance · steady: p(95)"] == ["failure"]
    assert cases[f"balance · all phases: {EXPECT}"] == ["failure"]
    assert cases["all endpoints · steady: error_ratio"] == []
    assert cases[NOTHING_ELSE] == ["failure"]
    assert cases[TRUSTED] == []
    single = cases_of(compared(1))
    assert set(single) == set(cases)
    assert single["balance · steady: p(95)"] == single[TRUSTED] == ["error"]


def test_annotations_name_what_is_worse(worse):
    """An undecided row is a warning if INCONCLUSIVE may pass."""
    commands = list(concluded_comparison(worse).annotations(lenient=False))
    assert commands[0].startswith("::error title=synthetic%3A FAIL::Worse: p(95) of balance")
    assert any("nothing else regressed: " in command and "health" in command for command in commands)
    few = compared(1)
    (command,) = concluded_comparison(few).annotations(lenient=True)
    assert command.startswith("::warning title=synthetic%3A INCONCLUSIVE::1 and 1 runs")


@pytest.mark.drawn
def test_the_page_draws_shifts_and_runs_and_marks_the_margin(worse):
    """Each chart has a description; nothing is loaded from elsewhere."""
    page = written(worse)[files.REPORT]
    assert page.count('aria-label="By how much each percentile') >= 2
    assert 'aria-label="p(95) of each run of baseline and candidate' in page
    assert 'class="mark"' in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_names_in_runs_are_only_shown():
    """Whatever a directory is called."""
    comparison = compared(5)
    odd = replace(comparison.baseline[0], path=Path("<b>|x|</b>\x1b[31m"))
    comparison = replace(comparison, baseline=(odd, *comparison.baseline[1:]))
    texts = written(comparison)
    assert "<b>|x|" not in texts[files.REPORT]
    assert "\x1b" not in texts[files.REPORT]


@pytest.mark.parametrize("width", [30, 40, 60])
def test_a_narrow_terminal_loses_no_column(worse, width):
    """A row's name and its change take more lines instead."""
    rows = [line.split("│")[1:-1] for line in shown(worse, width).splitlines() if line.startswith("│")]
    texts = ["".join(cell.strip() for cell in column) for column in zip(*rows, strict=True)]
    assert len(texts) == 5
    assert all(texts)
    assert "equivalent" in texts[0] or "regressed" in texts[0]
