"""Thresholds on windows: a short disturbance violates them, noise doesn't, and the first violated window is named."""

from __future__ import annotations

import pytest

from loadproof.analysis.judge.thresholds import judge_threshold
from loadproof.analysis.word import Word
from loadproof.errors import InputError
from loadproof.plan.decidability import undecidable
from loadproof.plan.phases import expected_requests, plan_phases
from loadproof.scenario.document import parse_yaml
from loadproof.scenario.loading import check_scenario
from simulation.badseconds import minute, minute_plan


def judged(expect: str, **disturbance: object):
    run = minute(expect, **disturbance)
    return judge_threshold(run.manifest.scenario.thresholds[0], run)


@pytest.mark.parametrize(
    ("expect", "disturbance", "word", "reason"),
    [
        ("p(90) < 60 ms for 10 s", {}, Word.PASS, "at worst"),
        ("p(90) < 60 ms for 10 s", {"slow": range(20, 30)}, Word.FAIL, "from 12 s to 22 s"),
        ("p(90) < 60 ms for 10 s", {"slow": range(20, 30), "seed": 4}, Word.FAIL, "beyond the limit"),
        ("p(90) < 34 ms for 10 s", {}, Word.INCONCLUSIVE, "straddles"),
        ("p(90) > 60 ms for 10 s", {}, Word.FAIL, "from 0 s to 10 s"),
        ("error_ratio < 5 % for 10 s", {}, Word.PASS, "at worst"),
        ("error_ratio < 5 % for 10 s", {"failing": range(40, 44)}, Word.FAIL, "beyond"),
        ("error_ratio < 5 % for 10 s", {"failing": range(59, 60)}, Word.FAIL, "from 50 s to 60 s"),
        ("goodput_ratio >= 95 % for 10 s", {"failing": range(40, 44)}, Word.FAIL, "beyond"),
        ("goodput_ratio >= 95 % for 5 s", {}, Word.PASS, "at worst"),
        ("burn_rate(99) < 10 x for 10 s", {}, Word.PASS, "0 x"),
        ("burn_rate(99) < 10 x for 10 s", {"failing": range(40, 44)}, Word.FAIL, "x from"),
        ("goodput >= 70 rps for 10 s", {}, Word.PASS, "at worst"),
        ("goodput >= 92 rps for 10 s", {}, Word.INCONCLUSIVE, "s would decide"),
        ("goodput >= 80 rps for 10 s", {"failing": range(40, 44)}, Word.FAIL, "beyond"),
        ("throughput >= 80 rps for 10 s", {"silent": range(40, 44)}, Word.FAIL, "beyond"),
        ("error_ratio < 1 % for 10 s", {}, Word.INCONCLUSIVE, "samples in the window, needs 1,"),
        ("error_ratio < 3 % for 10 s", {"failing": range(40, 41), "part": 0.3}, Word.INCONCLUSIVE, "would decide"),
        ("p(90) < 60 ms for 10 s", {"silent": range(40, 50)}, Word.INCONCLUSIVE, "no samples"),
        ("error_ratio < 99 % for 10 s", {"silent": range(40, 50)}, Word.INCONCLUSIVE, "no samples"),
    ],
)
def test_each_state_of_each_kind(expect, disturbance, word, reason):
    """The truth table."""
    judgement = judged(expect, **disturbance)
    assert judgement.word is word, judgement.reason
    assert reason in judgement.reason


@pytest.mark.parametrize(
    ("threshold", "what"),
    [
        ("{expect: max < 1 s for 10 s}", "not judged by windows"),
        ("{expect: p(95) <= 1.1 * baseline for 10 s}", "not judged by windows"),
        ("{expect: p(95) < 1 s for 1500 ms}", "parts of a second"),
        ("{expect: p(95) < 1 s for 2 min}", "longer than a phase"),
        ("{expect: p(95) < 1 s, abort: true}", "no window"),
        ("{expect: spread <= 1.1 * baseline}", "not comparable"),
    ],
)
def test_a_window_that_makes_no_sense_is_refused(threshold, what):
    """With a remedy."""
    text = f"""
name: windows
model: open
client_count: 10
deadline: 1 s
mix: {{balance: {{share: 100 %}}}}
phases: [{{name: steady, duration: 60 s, rate: 100 rps}}]
thresholds: [{threshold}, {{expect: goodput_ratio >= 99 %}}]
"""
    with pytest.raises(InputError, match=what):
        check_scenario(parse_yaml(text, "windows.yaml"))


@pytest.mark.parametrize(
    ("expect", "what"),
    [
        ("error_ratio < 1 % for 10 s", "it needs 1,"),
        ("error_ratio < 5 % for 10 s", None),
        ("goodput >= 90 rps for 10 s", "by chance alone windows reach from 8"),
        ("goodput >= 70 rps for 10 s", None),
        ("throughput < 110 rps for 10 s", "by chance alone"),
        ("throughput < 140 rps for 10 s", None),
        ("p(99) < 1 s for 10 s", "it needs 1,"),
        ("p(90) < 1 s for 10 s", None),
    ],
)
def test_a_threshold_that_no_target_could_pass_is_refused_before_the_run(expect, what):
    """At the confidence that all windows together need; and a perfect target passes whatever isn't refused."""
    plan = minute_plan(expect)
    problems = list(undecidable(plan, expected_requests(plan, plan_phases(plan)), where="x.yaml"))
    assert [what in problem.what for problem in problems] == ([True] if what else [])
    if what is None:
        assert judged(expect).word is Word.PASS


def test_a_window_with_too_few_samples_is_refused_before_the_run():
    """However many samples the whole phase has."""
    plan = minute_plan("p(99) < 1 s for 5 s")
    (problem,) = undecidable(plan, expected_requests(plan, plan_phases(plan)), where="x.yaml")
    assert "samples a window" in problem.what
    assert problem.got == "500 expected"
