"""A search's result, for people and programs."""

from __future__ import annotations

import json
import math
from xml.etree import ElementTree

import jsonschema_rs
import pytest
from rich.console import Console

from loadproof.analysis.capacity.capacity import Capacity, Found, GoalCapacity, capacity_of
from loadproof.analysis.estimates.estimate import Estimate
from loadproof.analysis.outputs.capacityfile import (
    capacity_json,
    capacity_markdown,
    capacity_next_step,
    capacity_schema,
    capacity_terminal,
    facts,
    load_text,
    sentence_of,
)
from loadproof.analysis.outputs.capacityresults import concluded_capacity
from loadproof.analysis.outputs.ci.judged import Judged
from loadproof.analysis.outputs.ci.junit import HELD, TRUSTED
from loadproof.analysis.report.capacity_page import write_capacity
from loadproof.errors import ExitCode
from loadproof.rundir import files
from loadproof.rundir.trials import CAPACITY, Trial
from simulation.trials import search_for
from tests.analysis.capacity.searched import FOUND
from tests.analysis.capacity.searched import search as two_goals


def result(found: Found, why: str = "", half: Estimate | None = None, lower=None, upper=None) -> Capacity:
    together = GoalCapacity("all goals", None, lower, upper, None, half)
    return Capacity(found, why, together, (), (), (), None, None, None, 0)


@pytest.mark.parametrize(
    ("half", "text"),
    [
        (Estimate(975.2, 957.1, 993.4, 21), "975 rps (957 to 993)"),
        (Estimate(12.34, 11.87, 12.91, 21), "12.3 rps (11.9 to 12.9)"),
        (Estimate(12_345.0, 11_870.0, 12_910.0, 21), "12,345 rps (11,870 to 12,910)"),
        (Estimate(975.2, 957.1, math.inf, 4), "about 975 rps (957 or more)"),
        (Estimate(975.2, 0.0, 993.4, 4), "about 975 rps (up to 993)"),
        (Estimate(975.2, 0.0, math.inf, 4), "–"),
        (None, "–"),
    ],
)
def test_a_load_comes_with_its_interval(half, text):
    """With three digits, or as a whole number."""
    assert load_text(half) == text


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (result(Found.FOUND, half=Estimate(975.2, 957.1, 993.4, 21)), "It sustains 975 rps (957 to 993)."),
        (
            result(Found.ROUGH, lower=900.0, upper=1000.0),
            (
                "It sustains roughly 949 rps: it sustained 900 rps but not 1,000 rps. "
                "These are bounds, not a confidence interval."
            ),
        ),
        (result(Found.TOO_HIGH, "goals already fail"), "Not found: goals already fail."),
        (
            result(Found.UNFINISHED, "the search was interrupted", half=Estimate(975.2, 0.0, math.inf, 3)),
            "Not found: the search was interrupted. By the trials so far, it sustains about 975 rps.",
        ),
        (
            result(Found.DIED, "it is gone", half=Estimate(141.4, 0.0, math.inf, 2), lower=50.0, upper=400.0),
            "Not found: it is gone. By the trials so far, it sustains 50 rps but not 400 rps.",
        ),
    ],
)
def test_the_result_is_one_sentence(result, text):
    """Whatever the result is."""
    assert sentence_of(result) == text


@pytest.mark.parametrize(("from_rps", "longer"), [(100.0, ""), (2.5, " and longer trials (--trial 20)")])
def test_a_suggested_lower_start_can_be_searched(from_rps, longer):
    """With few requests a second a trial has to be longer, or the search would be refused."""
    step = capacity_next_step(two_goals(from_rps=from_rps), result(Found.TOO_HIGH))
    assert step == f"Start lower with --from{longer}, or check with `loadproof run` why the goals fail at this load."


@pytest.mark.parametrize("is_quick", [True, False])
def test_only_a_quick_search_is_told_to_leave_quick_out(is_quick):
    """A full search may also end with nothing but bounds."""
    step = capacity_next_step(two_goals(is_quick=is_quick), result(Found.ROUGH, lower=900.0, upper=1000.0))
    assert ("leave out --quick" in step) is is_quick


def test_every_ending_has_its_exit_code():
    """All endings there are."""
    codes = {
        found: Judged("x", result=concluded_capacity(two_goals(), result(found))).exit_code(lenient=False)
        for found in Found
    }
    assert codes[Found.FOUND] is codes[Found.ROUGH] is ExitCode.PASS
    assert codes[Found.INVALID] is ExitCode.INVALID
    assert codes[Found.DIED] is ExitCode.FAIL
    assert codes[Found.TOO_HIGH] is codes[Found.TOO_LOW] is codes[Found.UNFINISHED] is ExitCode.INCONCLUSIVE


@pytest.mark.parametrize(
    ("found", "case", "kind"),
    [
        (Found.TOO_HIGH, "a capacity was found", "error"),
        (Found.INVALID, TRUSTED, "error"),
        (Found.DIED, HELD, "failure"),
    ],
)
def test_a_ci_job_gets_a_test_case_and_an_annotation_for_what_went_wrong(found, case, kind):
    """And none for what didn't; the result is in the suite's output."""
    concluded = concluded_capacity(two_goals(), result(found, "because of <this>"))
    suite = ElementTree.fromstring(concluded.junit)
    assert suite.get("name") == "loadproof.capacity.simulated"
    (broken,) = [each for each in suite if each.get("name") == case]
    assert [(child.tag, child.get("message")) for child in broken] == [(kind, "Not found: because of <this>.")]
    (line,) = Judged("simulated", result=concluded).annotations(lenient=False)
    assert line.startswith("::error title=simulated%3A ")
    assert line.endswith("::Not found: because of <this>.")
    held = concluded_capacity(two_goals(), result(Found.FOUND, half=Estimate(975.2, 957.1, 993.4, 21)))
    assert not list(held.annotations(lenient=False))
    suite = ElementTree.fromstring(held.junit)
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "0", "0")
    assert suite.findtext("system-out").startswith("It sustains 975 rps (957 to 993).")


def test_every_output_has_the_result_its_method_and_the_next_step():
    """Terminal and Markdown alike: the estimate, each goal's attributes, what breaks first, and 20 % beyond."""
    search = two_goals(ceiling_rps=4000.0, others=["recovery <= 10 s"])
    capacity = capacity_of(search, FOUND)
    console = Console(width=200, record=True)
    with console.capture() as captured:
        console.print(capacity_terminal(search, capacity))
    markdown = capacity_markdown(search, capacity).replace("\\", "")
    for text in (captured.get(), markdown):
        assert "at which half of the trials of 10 s meet all goals" in text
        assert "Breaks first: p(95) < 20 ms; the requests that failed: late" in text
        assert "beyond it, 40 % of the load is goodput" in text
        assert "The generator alone sends at least 4,000 rps on time" in text
        assert "recovery <= 10 s" in text
    assert "loss ratio 5 %, exceed ratio 50 %, final trial duration 10 s, duration sum 10 s" in markdown
    assert "Min load 100 rps, max load 4,000 rps; the first 2 s of each trial are discarded" in markdown


def test_results_that_were_not_reached_are_mentioned():
    """No knee if every load was served; and a note if the trial beyond it only measured the generator."""
    search = two_goals()
    held = capacity_of(search, [one for one in FOUND if one.load_rps == 900])
    assert held.found is Found.TOO_LOW
    assert "No knee yet: up to 900 rps offered, goodput keeps up with the load." in list(facts(search, held))
    starved = [*FOUND[:-1], FOUND[-1].model_copy(update={"invalid": "late"})]
    unknown = "What happens beyond its capacity is unknown: no valid trial was made there."
    assert unknown in list(facts(search, capacity_of(search, starved)))
    assert unknown not in list(facts(search, capacity_of(search, FOUND)))


@pytest.mark.parametrize("trials", [[], FOUND[:1], FOUND], ids=["none", "one", "all"])
def test_capacity_json_matches_its_schema(trials):
    """However little there is to report."""
    search = two_goals()
    content = json.loads(capacity_json(search, trials, capacity_of(search, trials)))
    jsonschema_rs.validate(capacity_schema(), content)
    assert len(content["trials"]) == len(trials)


@pytest.mark.drawn
@pytest.mark.slow
def test_the_page_draws_every_valid_trial(tmp_path):
    """And lists the others; a goal that allows no loss at all is drawn, too."""
    search = search_for(100.0, 4000.0)
    strict = search.goals[0].model_copy(update={"goal": "max < 1 s", "loss_ratio": 0.0})
    search = search.model_copy(update={"goals": [*search.goals, strict]})
    trials = [with_strict(one) for one in FOUND]
    trials.append(trials[0].model_copy(update={"number": 99, "invalid": "<b>late</b>"}))
    write_capacity(tmp_path, search, trials, capacity_of(search, trials))
    page = (tmp_path / files.REPORT).read_text()
    assert page.count("<svg") == 2
    assert "&lt;b&gt;late&lt;/b&gt;" in page
    assert page.count("trials/run-") == len(trials)
    assert {CAPACITY, files.JUNIT, files.SUMMARY, files.REPORT} == {file.name for file in tmp_path.iterdir()}


def with_strict(one: Trial) -> Trial:
    """A trial with the goals of the page's search."""
    losses = [
        loss.model_copy(update={"goal": goal, "allowed": allowed})
        for loss, (goal, allowed) in zip(one.losses, (("p(95) < 20 ms", 0.05), ("max < 1 s", 0.0)), strict=True)
    ]
    return one.model_copy(update={"losses": losses})
