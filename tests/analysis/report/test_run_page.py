"""The report as a file: self-contained, bounded, reproducible, and inert."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from pathlib import Path

import pytest

from loadproof.analysis.estimates.estimate import Estimate
from loadproof.analysis.frames.run import load_run
from loadproof.analysis.judge.judgement import Judgement
from loadproof.analysis.judge.verdict import verdict_on_run
from loadproof.analysis.report.page import threshold_row
from loadproof.analysis.report.run_page import render_run_page
from loadproof.analysis.word import Word
from loadproof.rundir import files
from loadproof.rundir.manifest import read_manifest, write_manifest
from loadproof.rundir.rows import EventRow
from loadproof.scenario.scenario import Threshold
from simulation.rundirs import outcomes, scenario, write_run
from tests.commands import ROOT
from tests.hostile import HOSTILE

pytestmark = pytest.mark.slow
"""That share the pages made here."""


def rendered(path):
    run = load_run(path)
    return render_run_page(run, verdict_on_run(run))


@pytest.fixture(scope="module")
def failed(tmp_path_factory) -> Path:
    """A run in which some answers came too late, some were wrong, and some refused."""
    ended = outcomes(timeout=0.02, throttled=0.05, invalid=0.01)
    return write_run(tmp_path_factory.mktemp("failed"), outcomes_of=ended)


@pytest.fixture(scope="module")
def page(failed) -> str:
    return rendered(failed)


@pytest.fixture(scope="module")
def died(tmp_path_factory) -> str:
    """The page of a run in which everything was late and the target died, with names that try to be markup."""
    path = write_run(tmp_path_factory.mktemp("died"), ending="target_died", lived_s=20, lag_ms=12.0)
    update = {"ending_detail": HOSTILE, "run_id": HOSTILE, "command": HOSTILE, "host": {HOSTILE: HOSTILE}}
    write_manifest(path, read_manifest(path).model_copy(update=update))
    files.append_rows(path / files.EVENTS, [EventRow(18.0, "target_died", "exit code 1")])
    return rendered(path)


def test_nothing_is_loaded_from_anywhere(page):
    """No URL in an attribute or a style; a policy forbids it, and any script except its own."""
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!#)""", page)
    assert "url(http" not in page
    assert "@import" not in page
    assert page.count("<script>") == 1
    (script,) = re.findall("<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page
    assert set(re.findall("<script( [^>]*)>", page)) == {' type="application/json"'}
    assert "default-src 'none'" in page


def test_no_chart_shows_tex(page):
    """Neither an axis nor a legend; load curves have a longer test."""
    assert page.count("<figure") >= 3
    assert "mathdefault" not in page


def test_the_verdict_its_reason_and_the_next_step_come_first(page):
    """Before any table or chart."""
    first_table = page.index("<table")
    for part in ('<p class="word">FAIL</p>', '<p class="reason">', "<strong>Next:</strong>"):
        assert page.index(part) < first_table
    assert page.index("<h2>Thresholds</h2>") < page.index("<h2>Load and goodput</h2>")


def test_the_header_says_when_against_what_and_by_which_revision(page):
    """A page that is passed on has to speak for itself."""
    header = page[page.index("<header") : page.index("</header>")]
    assert "2026-11-23 06:00:00 UTC · http://127.0.0.1:8000 · loadproof at revision 0123456789ab" in header


@pytest.mark.long
def test_a_report_of_a_long_run_stays_small(tmp_path):
    """An hour of phases is drawn with as many points as a picture can show."""
    plan = scenario(
        phases=[{"name": "long", "duration": "1 h", "users": 1}], thresholds=[{"expect": "goodput_ratio >= 1 %"}]
    )
    assert len(rendered(write_run(tmp_path / "run", plan=plan)).encode()) < 900_000


@pytest.mark.long
@pytest.mark.drawn
def test_the_same_run_gives_the_same_bytes(failed, page):
    """No clock, no random identifiers in the SVG."""
    assert rendered(failed) == page


def test_hostile_text_is_inert(died):
    """Tags are text, control and direction characters are shown as escapes."""
    assert "<img" not in died
    assert not any(character in died for character in "\x00\x1b\u202e")
    assert died.count("&lt;img src=x") >= 4


DAMAGES = {
    "empty": lambda _: b"",
    "garbage": lambda _: bytes(range(256)) * 20,
    "torn": lambda whole: whole[: len(whole) // 2],
}


def damage(file: Path, how: str) -> None:
    if how == "missing":
        file.unlink()
    else:
        file.write_bytes(DAMAGES[how](file.read_bytes()))


@pytest.mark.parametrize(
    ("name", "how", "word", "told"),
    [
        (files.INTERVALS, "missing", Word.INVALID, "No request can be read: intervals.csv.gz is missing"),
        (files.INTERVALS, "empty", Word.INVALID, "No request was recorded"),
        (files.INTERVALS, "garbage", Word.INVALID, "No request can be read: intervals.csv.gz is damaged"),
        (files.INTERVALS, "torn", Word.INVALID, "are accounted for: intervals.csv.gz is damaged"),
        (files.GENERATOR, "missing", Word.INVALID, "no record of the generator's health"),
        (files.GENERATOR, "torn", Word.INVALID, "are accounted for"),
        (files.TARGET, "garbage", Word.PASS, "40 unreadable lines"),
        (files.EVENTS, "torn", Word.INCONCLUSIVE, "no samples"),
    ],
)
def test_damaged_files_are_judged_by_what_is_left(tmp_path, name, how, word, told):
    """The report says what is missing, and no damage to deciding files lets a run pass."""
    path = write_run(tmp_path / "run")
    damage(path / name, how)
    run = load_run(path)
    verdict = verdict_on_run(run)
    assert verdict.word is word
    assert told in " ".join([verdict.reason, *run.damage])
    if name in verdict.reason or how == "missing":
        assert verdict.next_step.startswith("Restore the run directory as the run left it, or run again")


@pytest.mark.parametrize("how", ["missing", "garbage", "torn"])
def test_damaged_files_still_give_a_report(tmp_path, how):
    """All of them at once."""
    path = write_run(tmp_path / "run")
    for name in (files.INTERVALS, files.GENERATOR, files.TARGET, files.EVENTS):
        damage(path / name, how)
    assert '<p class="word">INVALID</p>' in rendered(path)


@pytest.mark.parametrize(
    ("ending", "lived_s"),
    [*(("interrupted", lived_s) for lived_s in (0.0, 0.5, 3.0, 6.0, 37.0)), ("target_died", 3.0), ("running", 6.0)],
)
def test_a_run_cut_short_at_any_time_does_not_pass(tmp_path, lived_s, ending):
    """Down to one that never sent anything."""
    run = load_run(write_run(tmp_path / "run", lived_s=lived_s, ending=ending))
    assert verdict_on_run(run).word is not Word.PASS


def test_a_run_that_sent_nothing_gives_a_report(tmp_path):
    """Other runs cut short are among the golden ones."""
    text = rendered(write_run(tmp_path / "run", lived_s=0.0, ending="interrupted"))
    assert '<p class="word">INCONCLUSIVE</p>' in text
    assert "No response was <code>ok</code>." in text


def test_a_run_where_everything_failed_gives_a_report(tmp_path):
    """Without ok answers there is no response time to draw."""
    text = rendered(write_run(tmp_path / "run", outcomes_of=outcomes(connection=1.0)))
    assert '<p class="word">FAIL</p>' in text
    assert "No response was <code>ok</code>." in text


def test_the_targets_resources_are_shown_from_the_first_to_the_last_measured_second(page):
    """Memory, descriptors, and threads if it reports them; warm-up is left out."""
    row = re.search(r"<td>memory, MiB</td>(.*?)</tr>", page)[1]
    assert re.findall(r">([\d.]+)<", row) == ["57.3", "57.6", "57.6"]
    assert "open descriptors" in page
    assert "<td>threads</td>" not in page


def test_the_start_lag_of_requests_is_reported(died):
    """Two quantiles, and how many requests were too late."""
    told = re.search(r"Start lag was 12 ms at p50 and 12 ms at p99; ([\d,]+) of ([\d,]+) requests", died)
    assert told is not None
    assert told[1] == told[2] != "0"


def test_mishaps_are_marked_in_charts(died, page):
    """A target that died, in every chart over time."""
    assert died.count("target died</text>") >= 4
    assert "target died</text>" not in page


@pytest.mark.parametrize(
    ("expect", "estimate", "is_drawn"),
    [
        ("p(95) < 200 ms", Estimate(0.1, 0.09, 0.11, 500), True),
        ("p(95) < 200 ms", Estimate(0.1, 0.09, math.inf, 50), False),
        ("p(95) < 200 ms", None, False),
        ("p(95) <= 1.10 * baseline", Estimate(0.1, 0.09, 0.11, 500), False),
        ("drift(p(50)) < 20 %", Estimate(0.1, 0.05, 0.15, 500), True),
        ("drift(p(50)) < 20 %", Estimate(0.0, -0.1, 0.1, 500), False),
        ("goodput_ratio >= 99 %", Estimate(0.995, 0.993, 0.997, 5000), True),
    ],
)
def test_bars_are_only_drawn_if_there_is_a_limit_to_compare_with(expect, estimate, is_drawn):
    """Not for an open interval, a drift below zero, or a limit on the baseline; a bar has limit and interval."""
    mark = threshold_row(Judgement(Threshold(expect=expect), Word.INCONCLUSIVE, estimate, ""))["mark"]
    assert (mark is not None) == is_drawn
    assert mark is None or 0 <= mark["low"] < mark["high"] <= 100 >= mark["limit"] >= 0


def test_each_threshold_has_its_bar(failed, page):
    """If it has an interval to draw."""
    assert page.count('<svg class="mark"') == len(load_run(failed).manifest.scenario.thresholds)


@pytest.mark.parametrize(
    "template", sorted((ROOT / "analysis/report/templates").glob("*.html")), ids=lambda each: each.name
)
def test_no_colour_is_explained_by_how_dark_it_is(template):
    """In dark mode, darker means less."""
    text = template.read_text(encoding="utf-8")
    assert not re.search(r"\b(dark|light|bright)er\b", text)
