"""What a comparison says in one sentence, and what to do next."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from loadproof.analysis.compare.comparedrow import ChangeWord
from loadproof.analysis.compare.comparison import compare
from loadproof.analysis.compare.conclusion import conclusion_of, signed_text
from loadproof.analysis.compare.duel.findings import findings_of
from loadproof.analysis.compare.replicates import Row
from loadproof.analysis.compare.statistics.welch import Scale
from loadproof.analysis.outputs.ci.comparisonresults import concluded_comparison
from loadproof.analysis.outputs.ci.junit import TRUSTED
from loadproof.analysis.outputs.comparisontables import facts_of
from loadproof.analysis.word import Word
from loadproof.run.experiments.duel import looks_problem
from loadproof.rundir.duel import DuelRun
from simulation.releases import PHASE, Noise, plan_of_releases, release
from tests.planned import PLANNED

P95 = Row("balance", PHASE, "p(95)")


@pytest.fixture(scope="module")
def sides():
    """Six runs of each of two equal releases, alternately; a threshold allows one row more than the margin."""
    random, noise = np.random.default_rng(5), Noise(between=0.002)
    plan = plan_of_releases("p(95) <= 1.25 * baseline")
    return tuple(release(random, 6, noise=noise, first=first, step=2, plan=plan) for first in (0, 1))


def with_row(runs, change):
    """The same runs with a row changed, or without it."""
    estimates = [{row: change(row, estimate) for row, estimate in run.estimates.items()} for run in runs]
    return [
        replace(run, estimates={row: value for row, value in each.items() if value is not None})
        for run, each in zip(runs, estimates, strict=True)
    ]


def slower(factor):
    def change(row, estimate):
        if row != P95:
            return estimate
        return replace(estimate, **{name: factor * getattr(estimate, name) for name in ("value", "low", "high")})

    return change


def test_a_row_with_a_wider_margin_is_not_said_to_be_within_the_common_one(sides):
    """It is 12 % slower, and 25 % are allowed."""
    reason = conclusion_of(compare(sides[0], with_row(sides[1], slower(1.12)))).reason
    within = "Every row that a threshold names is within 5 % of the baseline"
    assert reason == f"{within}, but p(95) of balance in steady within the 25 % that its threshold allows."


def test_an_outlier_is_to_be_explained_before_dozens_more_runs_are_made(sides):
    """All requests of one run in six failed: a share can't change by more than 100 points."""
    row = Row("all endpoints", PHASE, "error_ratio")
    failed = replace(sides[1][0].estimates[row], value=1.0)
    odd = replace(sides[1][0], estimates={**sides[1][0].estimates, row: failed})
    comparison = replace(compare(sides[0], [odd, *sides[1][1:]]), far_off=1)
    step = "Find out what happened in the run that is far from the others. If nothing explains it: Make about"
    assert conclusion_of(comparison).next_step.startswith(step)
    assert any(f"{odd.path.name} is far from the other runs" in each.what for each in comparison.findings)
    few = compare(sides[0][:3], [odd, *sides[1][1:3]])
    (change,) = (each.change for each in few.rows if each.row == row)
    assert (change.low < 0, change.high) == (True, 1)
    assert "not even a change of all requests would have shown" in conclusion_of(few).reason


def test_a_row_without_values_doesnt_need_more_runs(sides):
    """Those wouldn't have any either."""
    gone = with_row(sides[1], lambda row, estimate: None if row == P95 else estimate)
    found = conclusion_of(compare(sides[0], gone))
    assert "p(95) of balance in steady has no values in the candidate's runs" in found.reason
    assert found.next_step == (
        "Check the reports of the candidate's runs for why balance has nothing to measure there."
    )


def test_a_row_that_few_runs_have_doesnt_need_more_runs(sides):
    """And the detectable change is unknown."""
    rare = [sides[1][0], *with_row(sides[1][1:], lambda row, estimate: None if row == P95 else estimate)]
    found = conclusion_of(compare(sides[0], rare))
    assert found.reason.endswith("undecided: p(95) of balance in steady has values in 1 of the candidate's runs only.")
    assert found.next_step == (
        "Check the reports of the candidate's runs for why balance has nothing to measure there."
    )


@pytest.mark.parametrize(
    ("ending", "reason", "verdict"),
    [
        ("interrupted", "the duel was interrupted (SIGINT)", Word.INCONCLUSIVE),
        ("unmeasured", "a run was INVALID 4 times in a row", Word.INVALID),
        ("died", "the baseline died", Word.INVALID),
    ],
)
def test_an_unfinished_duel_says_how_it_ended_and_how_to_go_on(sides, tmp_path, ending, reason, verdict):
    """It has no words yet, and noise isn't the reason."""
    last = DuelRun(run="baseline/x", side="baseline", block=0, invalid="gone")
    duel = PLANNED.model_copy(
        update={"ending": ending, "reason": "SIGINT" if "SIGINT" in reason else reason, "runs": (last,)}
    )
    bare = compare(*sides, family=())
    unfinished = replace(bare, findings=(*findings_of(duel, tmp_path / "a duel"), *bare.findings))
    found = conclusion_of(unfinished)
    assert found.reason == f"{reason[0].upper()}{reason[1:]} after 0 valid runs: not decided at any look."
    how = f"Continue it with `loadproof duel --resume '{tmp_path}/a duel'`."
    assert found.next_step == ("Its output is in baseline.log." if ending == "died" else how)
    assert found.verdict is verdict
    cases = {case.name: case for case in concluded_comparison(unfinished).cases}
    assert cases[TRUSTED].word is verdict
    assert cases["balance · steady: p(95)"].message.startswith("no word yet: ")


def test_whatever_changed_between_equals_is_called_a_false_alarm(sides):
    """And isn't to be fixed; nor is a release that beat itself the next baseline."""
    worse = replace(compare(sides[0], with_row(sides[1], slower(1.6))), of_equals=True)
    found = conclusion_of(worse)
    assert found.reason.startswith("A false alarm: both sides are the same release; worse: p(95) of balance")
    assert "Fix" not in found.next_step
    equal = conclusion_of(replace(compare(*sides), of_equals=True))
    assert equal.reason.startswith("No false alarm: every row that a threshold names is within 5 %")
    assert "baseline of the next release" not in equal.next_step
    thin = conclusion_of(replace(compare(sides[0][:1], sides[1][:1]), of_equals=True))
    assert thin.reason.startswith("No false alarm: nothing is called changed, but it isn't shown to be equal either")


def test_equals_that_violate_a_threshold_are_still_equal(sides):
    """Everything that a threshold names is equivalent; the release is not fit to ship all the same."""
    plan = plan_of_releases("p(95) < 1 ms")
    violating = [
        [replace(run, manifest=run.manifest.model_copy(update={"scenario": plan})) for run in side] for side in sides
    ]
    found = conclusion_of(replace(compare(*violating), of_equals=True))
    assert found.verdict is Word.INCONCLUSIVE
    told = "No false alarm: nothing is called changed; each run of the candidate violates p(95) < 1 ms"
    assert found.reason.startswith(told)


def test_a_row_that_beat_itself_is_a_false_alarm_whatever_is_undecided(sides):
    """It counts as one, so it isn't said that nothing changed."""
    faster = compare(sides[0], with_row(sides[1], slower(0.5)))
    rows = [
        replace(row, word=ChangeWord.INCONCLUSIVE) if row.is_named and row.row != P95 else row for row in faster.rows
    ]
    found = conclusion_of(replace(faster, rows=tuple(rows), of_equals=True))
    assert found.verdict is Word.INCONCLUSIVE
    assert found.reason.startswith("A false alarm: both sides are the same release; better: p(95) of balance")
    assert found.next_step.startswith("Repeat it on a quieter machine")


@pytest.fixture(scope="module")
def undecided():
    """Four noisy runs of each of two equal releases, alternately."""
    random, noise = np.random.default_rng(5), Noise(between=0.05)
    plan = plan_of_releases("p(95) <= 1.05 * baseline")
    return compare(*(release(random, 4, noise=noise, first=first, step=2, plan=plan) for first in (0, 1)))


def test_an_undecided_duel_says_with_which_looks_to_repeat_it(undecided):
    """Looks are fixed beforehand: with the same ones it would end as early again."""
    advice = conclusion_of(undecided).next_step
    runs = int(re.fullmatch(r"Make about (\d+) runs of each release, alternately: that many would .*", advice)[1])
    of_duel = conclusion_of(replace(undecided, looks=(4, 6, 8, 12))).next_step
    looks = [int(look) for look in re.match(r"Duel again with `--looks ([\d,]+)`, about", of_duel)[1].split(",")]
    assert looks_problem(tuple(looks)) is None
    assert runs <= looks[-1] <= runs + 1


def test_no_duel_is_suggested_that_is_longer_than_allowed(undecided):
    """`--looks` would refuse it."""
    rows = tuple(replace(row, runs_to_decide=150) for row in undecided.rows)
    assert conclusion_of(replace(undecided, rows=rows, looks=(4, 6, 8, 12))).next_step == (
        "Make longer runs, or raise the scenario's margin: "
        "about 150 runs of each release would decide, more than a duel makes."
    )


def test_a_test_is_only_named_if_one_was_made(sides):
    """Single runs are not tested."""
    assert facts_of(compare(sides[0][:1], sides[1][:1])).startswith("1 and 1 runs of synthetic. A change within 5 %")
    assert ", compared within blocks made beside each other. " in facts_of(compare(*sides))


def test_zero_has_no_minus():
    """On either scale."""
    assert signed_text(-0.00001, Scale.DIFFERENCE) == "+0.00 points"
    assert signed_text(-0.0001, Scale.RELATIVE) == "+0.0 %"
    assert signed_text(-0.0123, Scale.RELATIVE) == "-1.2 %"
