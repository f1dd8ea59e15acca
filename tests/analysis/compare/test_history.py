"""A scenario's runs over time: what changed in which row, on which machine, and which runs can't be compared."""

from __future__ import annotations

import io
import json
import re
import shutil
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console

from loadproof.analysis.compare.baseline.sides import machine_of
from loadproof.analysis.compare.history import RunHistory, Stretch, Trend, history_of, judged, largest_p
from loadproof.analysis.compare.replicates import Replicate, Row
from loadproof.analysis.compare.statistics.changepoints import best_p
from loadproof.analysis.estimates.estimate import exact
from loadproof.analysis.outputs.ci.judged import Judged
from loadproof.analysis.outputs.ci.junit import HELD
from loadproof.analysis.outputs.historyconclusion import ENOUGH, concluded_history, headline, history_step, run_text
from loadproof.analysis.outputs.historyfile import (
    history_json,
    history_markdown,
    history_schema,
    history_terminal,
)
from loadproof.analysis.report import history_page
from loadproof.analysis.report.history_page import history_files, render_history
from loadproof.analysis.word import Word
from loadproof.errors import InputError, InvalidRunError, Problem
from loadproof.rundir.manifest import read_manifest, write_manifest
from simulation.rundirs import manifest, scenario, write_run
from simulation.traffic import autocorrelated
from tests.commands import in_process

P95 = Row("balance", "steady", "p(95)")
GOOD = Row("balance", "steady", "goodput_ratio")
DAY_S = 86_400
GOODPUT = [{"expect": "goodput_ratio >= 99 %"}]


def runs_with(tmp_path, values, *, good=None, host=None):
    """One run a day, each with this p95 in s."""
    plan = manifest(scenario(), ending="completed")
    return tuple(
        Replicate(
            tmp_path / str(number),
            plan.model_copy(
                update={
                    "run_id": f"run-{number}",
                    "start_unix_s": plan.start_unix_s + number * DAY_S,
                    "revision": f"r{number}",
                    "host": host or plan.host,
                }
            ),
            {P95: exact(float(value), 1000), GOOD: exact(1.0 if good is None else float(good[number]), 1000)},
        )
        for number, value in enumerate(values)
    )


def series(*, n=40, slower_from=None, until=None, seed=1):
    noise = 0.03 * autocorrelated(np.random.default_rng(seed), n, phi=0.3)
    slow = np.zeros(n)
    if slower_from is not None:
        slow[slower_from:until] = np.log(1.2)
    return 0.1 * np.exp(noise + slow)


def history_with(tmp_path, values, **more):
    return RunHistory("synthetic", judged([("a machine", runs_with(tmp_path, values, **more))], 0.05), ())


def row_of(history, row=P95):
    return next(one for one in history.stretches[0].rows if one.row == row)


def test_a_slower_release_is_reported_with_when_and_how_much(tmp_path):
    """And is news while it is recent."""
    history = history_with(tmp_path, series(slower_from=35))
    row = row_of(history)
    (event,) = row.events
    assert row.trend is Trend.REGRESSED
    assert event.first == 35
    assert event.low <= 0.2 <= event.high
    assert row.level == pytest.approx(0.12, rel=0.05)
    assert 0.02 < row.spread < 0.04
    assert [one.row for one in history.latest_regressions] == [P95]
    assert headline(history) == "1 row regressed within the last 10 runs, and has not recovered."


def test_the_next_step_is_wherever_the_headline_is(tmp_path):
    """With the place and size of the surest change, so that nobody has to search the table."""
    history = history_with(tmp_path, series(slower_from=35))
    assert re.fullmatch(
        r"Look for what changed at run 36 \(.*, r35\).*: it moved p\(95\) of balance in steady by \+1\d.*, "
        r"which is the surest change\. `loadproof duel` shows whether it was the release\.",
        history_step(history),
    )
    console = Console(file=io.StringIO(), width=200)
    console.print(history_terminal(history))
    for shown in (history_markdown(history).replace("**", ""), render_history(history), console.file.getvalue()):
        assert "Next:" in shown
        assert "Look for what changed at run 36" in shown


def test_a_short_history_says_how_many_runs_it_lacks(tmp_path):
    """And one without news asks for nothing."""
    assert history_step(history_with(tmp_path, series(n=19))).startswith("Make 1 more run on this machine, or")
    assert history_step(history_with(tmp_path, series())) == "Nothing to do."


def test_a_regression_that_recovered_a_little_is_still_one(tmp_path):
    """Although the latest change is for the better."""
    recovered = series() * np.select([np.arange(40) >= 36, np.arange(40) >= 32], [1.35, 1.5], 1.0)
    history = history_with(tmp_path, recovered)
    assert [event.trend for event in row_of(history).events] == [Trend.REGRESSED, Trend.IMPROVED]
    assert row_of(history).trend is Trend.REGRESSED
    assert [one.row for one in history.latest_regressions] == [P95]


def test_a_recent_improvement_is_news(tmp_path):
    """And isn't reported as an earlier one."""
    history = history_with(tmp_path, series()[::-1] / (1 + 0.2 * (np.arange(40) >= 35)))
    assert headline(history) == "1 row improved within the last 10 runs; nothing regressed in them."


def test_rows_that_never_vary_hide_nothing_in_others(tmp_path):
    """They can't have changed, so they aren't opportunities for false alarms."""
    values = series(n=24, seed=7) * np.where(np.arange(24) >= 21, 1.06, 1.0)
    assert 0.025 < best_p(np.log(values)) < 0.05
    assert row_of(history_with(tmp_path, values)).trend is Trend.REGRESSED
    wavering = 1 - 0.01 * (np.arange(24) % 2)
    assert row_of(history_with(tmp_path, values, good=wavering)).trend is Trend.STABLE


@pytest.mark.parametrize(("now", "is_told"), [(0.2, True), (0.05, False), (0.1, False)])
def test_a_latest_run_that_is_far_worse_is_reported_before_it_is_a_change(tmp_path, now, is_told):
    """One run is no change, and no alarm; the next one will tell. Far better is no news."""
    history = history_with(tmp_path, [*series(n=25), now])
    words = headline(history), history_step(history)
    assert ("The latest run alone is far worse in 1 row, like p(95) of balance" in words[0]) is is_told
    assert ("Make another run" in words[1]) is is_told
    assert concluded_history(history).word is Word.PASS
    assert bool(row_of(history).odd) is (now != 0.1)


def test_a_usual_run_after_a_much_better_one_is_not_worse(tmp_path):
    """It is compared with what is usual, and the run before it is not."""
    history = history_with(tmp_path, [*series(n=24), 0.05, 0.1])
    assert "The latest run alone is far worse" not in headline(history)


def test_losing_an_improvement_that_had_become_usual_is_a_regression(tmp_path):
    """That it was as slow once before is no excuse; but a few lucky runs are no new level to be kept."""
    at = np.arange(60)
    lost = history_with(tmp_path / "lost", series(n=60) / np.where((at >= 20) & (at < 55), 1.25, 1.0))
    assert [one.row for one in lost.latest_regressions] == [P95]
    assert concluded_history(lost).word is Word.FAIL
    brief = history_with(tmp_path / "brief", series(n=60) / np.where((at >= 48) & (at < 55), 1.25, 1.0))
    assert row_of(brief).trend is Trend.WENT_AWAY
    assert concluded_history(brief).word is Word.PASS


@pytest.mark.parametrize(("was", "since", "now", "is_told"), [(1, 2, 0.14, False), (2, 1, 0.18, True)])
def test_a_latest_run_is_compared_with_the_level_that_it_follows(tmp_path, was, since, now, is_told):
    """Not with that of long before."""
    history = history_with(tmp_path, [*was * series(n=40), *since * series(n=15, seed=2), now])
    assert ("The latest run alone is far worse" in headline(history)) is is_told


@pytest.mark.parametrize(("bad", "word"), [([0.5], Word.PASS), ([0.5, 0.5], Word.FAIL)])
def test_a_single_bad_run_after_runs_that_were_all_alike_is_odd(tmp_path, bad, word):
    """Nothing had ever failed, so there is no usual difference; two such runs are a change."""
    history = history_with(tmp_path, series(n=24 + len(bad)), good=[1.0] * 24 + bad)
    assert concluded_history(history).word is word
    assert ("The latest run alone is far worse" in headline(history)) is (word is Word.PASS)


def test_an_old_regression_is_no_news(tmp_path):
    """But it is shown."""
    history = history_with(tmp_path, series(slower_from=15))
    assert history.latest_regressions == ()
    assert row_of(history).trend is Trend.REGRESSED
    assert headline(history).startswith("Nothing new: 1 of 2 rows")


def test_a_change_that_went_away_is_reported_as_such(tmp_path):
    """With its time."""
    history = history_with(tmp_path, series(slower_from=20, until=30))
    (event,) = row_of(history).events
    assert (event.first, event.until) == (20, 30)
    assert row_of(history).trend is Trend.WENT_AWAY
    assert "back since run 31" in history_markdown(history)


def test_faster_and_more_goodput_are_improvements(tmp_path):
    """And less goodput isn't."""
    history = history_with(tmp_path, series()[::-1] / (1 + 0.2 * (np.arange(40) >= 30)))
    assert row_of(history).trend is Trend.IMPROVED
    good = np.where(np.arange(40) >= 36, 0.95, 1.0)
    history = history_with(tmp_path, series(), good=good)
    row = row_of(history, GOOD)
    assert row.trend is Trend.REGRESSED
    assert row.events[0].shift == pytest.approx(-0.05, abs=0.005)
    assert "-5.0 points" in history_markdown(history)


def test_small_changes_are_shown_but_are_no_news(tmp_path):
    """Below the scenario's margin."""
    history = history_with(tmp_path, 0.1 * (1 + 0.03 * (np.arange(40) >= 20)) * (1 + 0.001 * (np.arange(40) % 2)))
    assert row_of(history).trend is Trend.SMALL
    assert history.latest_regressions == ()


def test_stable_runs_show_no_change(tmp_path):
    """Every row is listed with its level."""
    history = history_with(tmp_path, series())
    assert headline(history) == "No change in 2 rows over 40 runs."
    assert re.search(r"stable \| balance, steady \| p\\\(95\\\) \| [\d.]+ ms", history_markdown(history))


def test_a_run_is_shown_with_the_release_that_was_loaded(tmp_path):
    """By its given name; loadproof's own revision is only the release of the embedded API."""
    (run,) = runs_with(tmp_path, [0.1])
    own = run.manifest.target.model_copy(update={"kind": "own"})

    def shown(**changes):
        return run_text(replace(run, manifest=run.manifest.model_copy(update=changes)))

    assert shown() == "2026-11-23, r0"
    assert shown(target=own) == "2026-11-23"
    assert shown(target=own, release="v1.4.2") == shown(release="v1.4.2") == "2026-11-23, v1.4.2"


def test_below_20_runs_there_are_too_few(tmp_path):
    """Whatever they show."""
    history = history_with(tmp_path, series(n=19, slower_from=10))
    assert row_of(history).trend is Trend.TOO_FEW
    assert headline(history).startswith("Too few runs to tell change from noise: 19 on this machine, 20 are needed")


def test_rows_of_earlier_thresholds_are_shown_as_far_as_they_go(tmp_path):
    """Thresholds may change from release to release, because they don't affect what is sent."""
    threshold = {"endpoint": "balance", "phase": "steady", "expect": "p(97) < 1 s"}
    former, gone = scenario(thresholds=[threshold, *GOODPUT]), Row("balance", "steady", "p(97)")
    runs = runs_with(tmp_path, series())
    runs = [
        replace(
            run,
            manifest=run.manifest.model_copy(update={"scenario": former}),
            estimates={**run.estimates, gone: run.estimates[P95]},
        )
        if number < 4
        else run
        for number, run in enumerate(runs)
    ]
    history = RunHistory("synthetic", judged([("a machine", tuple(runs))], 0.05), ())
    assert row_of(history, gone).trend is Trend.TOO_FEW
    assert row_of(history).trend is Trend.STABLE


def test_each_machine_has_a_separate_history(tmp_path):
    """A slower machine is no slower release."""
    fast, slow = series(seed=1), series(seed=2) * 1.5
    stretches = judged([("slow", runs_with(tmp_path, slow)), ("fast", runs_with(tmp_path, fast))], 0.05)
    assert [row.trend for stretch in stretches for row in stretch.rows] == [Trend.STABLE] * 4


def test_a_newer_kernel_is_the_same_machine():
    """A different number of cores is not, nor is a different processor."""
    host = {"system": "Linux 6.1 x86_64", "cores": "2", "memory": "8.0 GiB", "cpu": "A"}
    plan = manifest(scenario())

    def machine(**changes):
        return machine_of(plan.model_copy(update={"host": host | changes}))

    assert machine() == machine(system="Linux 6.2 x86_64", memory="7.9 GiB") == "A, 2 cores x86_64"
    assert len({machine(), machine(cores="4"), machine(cpu="B"), machine(system="Linux 6.1 aarch64")}) == 4


def test_many_rows_need_more_evidence():
    """By Benjamini and Hochberg's limit; without evidence no row has a change."""
    assert largest_p([0.04]) == pytest.approx(0.05)
    assert largest_p([0.04, *[0.9] * 9]) == 0
    assert largest_p([0.004, 0.009, *[0.9] * 8]) == pytest.approx(0.01)
    assert largest_p([]) == 0


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """Five runs: three alike, one of them on another machine; one with other phases, one with another target."""
    path = tmp_path_factory.mktemp("runs")
    for number in range(5):
        plan = scenario() if number else scenario(phases=[{"name": "steady", "duration": "20 s", "users": 100}])
        run = write_run(path / f"run-{number}", plan=plan, seed=number)
        changes = {"run_id": run.name, "start_unix_s": 1_795_413_600.0 + number * DAY_S}
        if number == 1:
            changes["host"] = {"cores": "64"}
        written = read_manifest(run)
        if number == 4:
            facts = {"kind": "own", "base_url": "http://staging.example:8000"}
            changes |= {"target": written.target.model_copy(update=facts), "start_unix_s": 1_795_413_600.0}
        write_manifest(run, written.model_copy(update=changes))
    return path


@pytest.mark.slow
def test_runs_are_sorted_by_time_and_machine_and_others_are_left_out(directory):
    """With the reason."""
    history = history_of(sorted(directory.iterdir(), reverse=True))
    assert [[run.manifest.run_id for run in stretch.runs] for stretch in history.stretches] == [
        ["run-2", "run-3"],
        ["run-1"],
    ]
    told = {problem.where[-5:]: problem.what for problem in history.left_out}
    assert told == {
        "run-0": "not like the latest run: other phases",
        "run-4": "not like the latest run: other target",
    }


@pytest.mark.slow
def test_a_copy_of_a_run_counts_once(directory, tmp_path):
    """Whatever its directory is called."""
    copy = shutil.copytree(directory / "run-3", tmp_path / "run-3-again")
    history = history_of([directory / "run-2", copy, directory / "run-3"])
    assert [len(stretch.runs) for stretch in history.stretches] == [2]
    (left_out,) = history.left_out
    assert (left_out.where, left_out.what) == (str(directory / "run-3"), "the same run once more")


def test_the_reasons_for_leaving_out_runs_are_shown(tmp_path):
    """Most common first: if the latest run is unlike all others, little else is left to see."""
    left_out = tuple(Problem("run", what, "none") for what in ["a", *"bcdef", "a"])
    history = replace(history_with(tmp_path, series(n=20)), left_out=left_out)
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(history_terminal(history))
    told = [line.strip() for line in console.export_text().splitlines() if "left out" in line]
    assert told[0] == "2 left out: a"
    assert len(told) == 6
    assert told[-1] == "1 left out for other reasons: the report has them"


@pytest.mark.parametrize(
    ("values", "broken", "word", "verdict"),
    [
        ({"slower_from": 35}, 0, "regressed", "FAIL"),
        ({"slower_from": 20}, 0, "nothing new", "PASS"),
        ({"n": 19}, 0, "too few", "INCONCLUSIVE"),
        ({}, 1, "target gone", "FAIL"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_output_says_whether_it_alarms(tmp_path, monkeypatch, values, broken, word, verdict):
    """With the same names as in compare.json, so programs need no table of rows; the page has its colour."""
    history = replace(history_with(tmp_path, series(**values)), broken=broken)
    content = json.loads(history_json(history))
    told = {"word": word, "verdict": verdict, "reason": headline(history), "next_step": history_step(history)}
    assert {key: content[key] for key in told} == told
    assert list(content)[:5] == ["format", *told]
    assert f"## History of synthetic: {word}\n" in history_markdown(history)
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(history_terminal(history))
    assert console.export_text().startswith(f"{word}  synthetic: ")
    monkeypatch.setattr(history_page, "row_chart", lambda *_: "")
    header = render_history(history)
    assert f'class="verdict {verdict.lower()}"' in header
    assert f'<p class="word">{word}</p>' in header
    concluded = concluded_history(history)
    broken_cases = {case.get("name") for case in ElementTree.fromstring(concluded.junit) if len(case)}
    assert (
        broken_cases
        == {
            "regressed": {"balance · steady: p(95)"},
            "nothing new": set(),
            "too few": {ENOUGH},
            "target gone": {HELD},
        }[word]
    )
    lines = list(Judged("synthetic", result=concluded).annotations(lenient=False))
    assert bool(lines) is (verdict != "PASS")
    assert all(line.startswith(f"::error title=synthetic%3A {verdict}::") for line in lines)


def test_the_threshold_says_which_way_is_better(tmp_path):
    """Refusals that come sooner than a threshold wants are no improvement."""
    late = {"endpoint": "balance", "phase": "steady", "outcome": "throttled", "expect": "p(50) > 50 ms"}
    plan, row = scenario(thresholds=[late, *GOODPUT]), Row("balance", "steady", "p(50) of throttled")
    runs = tuple(
        replace(
            run,
            manifest=run.manifest.model_copy(update={"scenario": plan}),
            estimates={row: exact(1 / run.values[P95], 1000)},
        )
        for run in runs_with(tmp_path, series(slower_from=35))
    )
    assert row_of(RunHistory("synthetic", judged([("a machine", runs)], 0.05), ()), row).trend is Trend.REGRESSED


@pytest.mark.parametrize(("gone", "is_told"), [(1, True), (10, True), (11, False), (0, False)])
def test_a_request_that_is_no_longer_sent_is_no_pass(tmp_path, gone, is_told):
    """The users of a locustfile don't get that far any more; its rows just end."""
    sent = {Row("health", "steady", "error_ratio"): exact(0.0, 100)}
    runs = [replace(run, estimates=run.estimates | sent) for run in runs_with(tmp_path, series(n=30))]
    for number in range(30 - gone, 30):
        plan = runs[number].manifest.scenario
        plan = plan.model_copy(update={"mix": {name: kind for name, kind in plan.mix.items() if name != "health"}})
        runs[number] = replace(runs[number], manifest=runs[number].manifest.model_copy(update={"scenario": plan}))
    history = RunHistory("synthetic", judged([("a machine", tuple(runs))], 0.05), ())
    concluded = concluded_history(history)
    assert concluded.word is (Word.INCONCLUSIVE if is_told else Word.PASS)
    told = "The latest run didn't send health, which the runs before did."
    assert (headline(history) == told) is is_told
    assert ("users no longer get that far" in history_step(history)) is is_told
    assert ("health is sent" in [case.name for case in concluded.cases]) is is_told


@pytest.mark.slow
def test_runs_that_are_no_measurement_are_left_out(directory, tmp_path):
    """It is only an error if there are no others."""
    broken = write_run(tmp_path / "broken", lost=5)
    history = history_of([broken, directory / "run-3"])
    assert [len(stretch.runs) for stretch in history.stretches] == [1]
    assert "INVALID" in history.left_out[0].what
    with pytest.raises(InvalidRunError, match="INVALID"):
        history_of([broken])


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["target_died", pytest.param("aborted", marks=pytest.mark.long)])
def test_a_target_that_ended_the_latest_runs_is_news(directory, tmp_path, ending):
    """Exit code 1, however stable it was before; until a later run has values."""
    for number, name in ((2, "run-2"), (5, "run-5"), (6, "run-6")):
        run = write_run(tmp_path / "runs" / name, seed=number)
        told = {"run_id": name, "start_unix_s": 1_795_413_600.0 + number * DAY_S}
        told["ending"] = "completed" if number == 2 else ending
        write_manifest(run, read_manifest(run).model_copy(update=told))
    broke = [tmp_path / "runs" / name for name in ("run-2", "run-5", "run-6")]
    history = history_of(broke)
    assert headline(history).startswith("The target ended each of the latest 2 runs")
    assert [len(stretch.runs) for stretch in history.stretches] == [1]
    assert in_process("history", tmp_path / "runs", "--out", tmp_path / "out").returncode == 1
    assert history_of([*broke[1:], directory / "run-3"]).broken == 2
    assert history_of([broke[0], directory / "run-3"]).broken == 0
    with pytest.raises(InputError, match="the target ended the run"):
        history_of(broke[1:])


@pytest.mark.slow
def test_the_command_writes_its_files_and_says_too_few(directory, tmp_path):
    """Exit code 3: there is no answer yet."""
    done = in_process("history", directory, "--out", tmp_path, "--annotate", "github")
    assert done.returncode == 3, done.stderr
    assert "Too few runs" in done.stdout
    assert "::error title=synthetic%3A INCONCLUSIVE::Too few runs" in done.stdout
    (written,) = tmp_path.iterdir()
    assert {path.name for path in written.iterdir()} == {"history.json", "junit.xml", "summary.md", "report.html"}
    content = json.loads((written / "history.json").read_text(encoding="utf-8"))
    assert [len(machine["runs"]) for machine in content["machines"]] == [2, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: no such directory; give the directory that `loadproof run --out` wrote to"),
        (["--scenario", "else"], "--scenario: no runs of this scenario, got 'else'; choose one of: synthetic (5)"),
        (["--smallest", "5"], "--smallest: expected a ratio like '1 %' (units: %), got '5'; write it like '5 %'"),
    ],
)
def test_wrong_arguments_give_one_message(directory, arguments, message):
    """Exit code 2."""
    where = [] if arguments == ["nowhere"] else [directory]
    done = in_process("history", *where, *arguments)
    assert done.returncode == 2
    assert done.stderr.strip() == message


@pytest.mark.slow
@pytest.mark.drawn
def test_outputs_have_the_results_and_no_markup(tmp_path):
    """JSON by its schema; names from elsewhere are text."""
    jsonschema_rs = pytest.importorskip("jsonschema_rs")
    history = history_with(tmp_path, series(slower_from=35))
    row = row_of(history)
    hostile = replace(row, row=Row("<script>x</script>", "a|b", "p(95)"))
    stretch = Stretch("a machine", history.stretches[0].runs, (hostile, *history.stretches[0].rows))
    history = replace(history, stretches=(stretch,))
    content = json.loads(history_json(history))
    jsonschema_rs.validator_for(history_schema()).validate(content)
    assert content["machines"][0]["rows"][0]["events"][0]["trend"] == "regressed"
    page = render_history(history)
    assert "<script>x" not in page
    assert page.count("<svg") >= 2
    assert "a\\|b" in history_markdown(history)
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(history_terminal(history))
    assert "regressed" in console.export_text()
    assert set(history_files(history, tmp_path)) == {
        tmp_path / name for name in ("history.json", "junit.xml", "summary.md", "report.html")
    }
