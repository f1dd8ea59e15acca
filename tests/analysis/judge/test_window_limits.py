"""Which window decides, on either side of a limit, and what is reported about it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from loadproof.analysis.estimates.scope import Scope
from loadproof.analysis.judge.windows import _starts, count_seconds, deciding_window, judge_windows
from loadproof.analysis.word import Word
from loadproof.plan.phases import plan_phases
from loadproof.scenario.scenario import Threshold
from loadproof.scenario.thresholds.expectation import parse_expectation
from simulation.countedseconds import BOTH, failing
from simulation.rundirs import open_scenario
from simulation.traffic import run_of_seconds


def window_of(failed, expect: str, until_s: float = 1e9, run=None):
    run = run or failing(failed)
    expectation, spans = parse_expectation(expect), run.manifest.phases
    scope = Scope(("steady",), ("balance", "health"))
    counted = count_seconds(expectation, run.intervals, scope, seconds=len(failed))
    return deciding_window(expectation, spans, counted, until_s=until_s)


@pytest.mark.parametrize(
    ("failed", "until_s", "window"),
    [
        ([0] * 10 + [80] * 10 + [0] * 5, 25, (7, 12, Word.FAIL)),
        ([0] * 10 + [80] * 10 + [0] * 5, 12, (7, 12, Word.FAIL)),
        ([0] * 10 + [80] * 10 + [0] * 5, 11.9, (6, 11, Word.INCONCLUSIVE)),
        ([0] * 25, 5, (0, 5, Word.PASS)),
        ([0] * 25, 4.9, None),
        ([0, 0, 0, 0, 0, 0, 0, 3, 0, 0], 25, (3, 8, Word.PASS)),
        ([80] * 5 + [0] * 5, 25, (0, 5, Word.FAIL)),
    ],
)
def test_the_first_violated_window_decides_once_it_is_over(failed, until_s, window):
    """Otherwise the worst of those that don't pass, or of all."""
    found = window_of(failed, "error_ratio < 15 % for 5 s", until_s)
    assert (found and (found.start_s, found.end_s, found.word)) == window
    assert found is None or found.when == f"from {window[0]} s to {window[1]} s"


@pytest.mark.parametrize(
    ("expect", "word"),
    [
        ("error_ratio < 15 % for 5 s", Word.PASS),
        ("error_ratio > 15 % for 5 s", Word.FAIL),
        ("goodput >= 70 rps for 5 s", Word.PASS),
        ("goodput >= 130 rps for 5 s", Word.FAIL),
        ("goodput <= 130 rps for 5 s", Word.PASS),
        ("burn_rate(90) < 1 x for 5 s", Word.PASS),
        ("burn_rate(90) > 1 x for 5 s", Word.FAIL),
        ("burn_rate(90) <= 1 x for 5 s", Word.PASS),
        ("burn_rate(90) >= 1 x for 5 s", Word.FAIL),
        ("p(90) < 200 ms for 5 s", Word.PASS),
        ("p(90) > 200 ms for 5 s", Word.FAIL),
        ("p(90) < 10 ms for 5 s", Word.FAIL),
        ("p(90) >= 10 ms for 5 s", Word.PASS),
    ],
)
def test_either_side_of_a_limit_can_be_the_good_one(expect, word):
    """100 requests a second, each good and of 20 ms."""
    assert window_of([0] * 10, expect).word is word


@pytest.mark.parametrize("expect", ["error_ratio < 15 %", "error_ratio < 99 %", "goodput_ratio >= 99 %"])
def test_an_empty_window_neither_passes_nor_fails(expect):
    """It decides if no other window fails."""
    run = failing([0] * 20)
    silent = run.intervals[~run.intervals["second"].between(5, 12)]
    found = window_of([0] * 20, f"{expect} for 5 s", run=replace(run, intervals=silent))
    assert (found.start_s, found.word, found.share) == (5, Word.INCONCLUSIVE, None)


@pytest.mark.parametrize(
    ("failed", "expect", "reason"),
    [
        ([0] * 20, "error_ratio < 15 % for 5 s", "at worst 0 % from 0 s to 5 s (0 % to 1.7 %)"),
        ([0] * 9 + [100] * 11, "goodput >= 70 rps for 5 s", "beyond the limit"),
        (
            [0] * 20,
            "error_ratio < 1 % for 5 s",
            "0 % from 0 s to 5 s (0 % to 1.7 %): 500 samples in the window, needs 865",
        ),
        ([10] * 20, "error_ratio < 12 % for 5 s", ", straddles the limit; about 2,306 samples a window would decide"),
        ([10] * 20, "goodput >= 88 rps for 5 s", ", straddles the limit; windows of about 197 s would decide"),
    ],
)
def test_a_windows_reason_has_its_value_and_its_seconds(failed, expect, reason):
    """And how much more would decide."""
    run = failing(failed)
    threshold = Threshold.model_validate({"expect": expect})
    judgement = judge_windows(threshold, run, Scope(("steady",), ("balance", "health")))
    assert reason in judgement.reason, judgement.reason


def test_a_burn_rates_interval_is_reversed():
    """The higher the goodput ratio, the lower the burn rate."""
    judgement = judge_windows(
        Threshold.model_validate({"expect": "burn_rate(90) < 5 x for 5 s"}),
        failing([10] * 20),
        Scope(("steady",), ("balance", "health")),
    )
    assert judgement.estimate.value == pytest.approx(1.0)
    assert 0.5 < judgement.estimate.low < 1 < judgement.estimate.high < 2


def test_a_quantiles_window_is_shown_as_a_time():
    """It is judged as a share of answers, but nobody specified that."""
    threshold = Threshold.model_validate({"expect": "p(90) < 200 ms for 5 s"})
    judgement = judge_windows(threshold, failing([0] * 20), Scope(("steady",), ("balance", "health")))
    assert judgement.estimate.value == pytest.approx(0.02, rel=0.01)
    assert judgement.estimate.n == 500
    assert judgement.reason == "at worst 20 ms from 0 s to 5 s (20 ms to 20.1 ms)"


def test_windows_have_whole_seconds_of_one_phase():
    """A second shared by two phases is in no window of either."""
    phases = [{"name": name, "duration": "10500 ms", "rate": "100 rps"} for name in ("first", "second")]
    plan = open_scenario(phases=phases, mix=BOTH, thresholds=[{"expect": "error_ratio < 15 %"}])
    first, second = plan_phases(plan)
    assert _starts(first, 5, math.inf).tolist() == [0, 1, 2, 3, 4, 5]
    assert _starts(second, 5, math.inf).tolist() == [11, 12, 13, 14, 15, 16]
    assert _starts(second, 5, 17.9).tolist() == [11, 12]


def test_a_window_that_does_not_pass_decides_before_a_worse_one_that_does():
    """3 % of 5,000 are certainly below 5 %; 2 % of 100 are not."""
    run = failing([30] * 5 + [0, 1, 1, 0, 0], rps=1000)
    few = (run.intervals["second"] >= 5) & (run.intervals["outcome"] == "ok")
    thin = run.intervals.assign(count=run.intervals["count"].where(~few, 20))
    found = window_of([0] * 10, "error_ratio < 5.5 % for 5 s", run=replace(run, intervals=thin))
    assert (found.start_s, found.word) == (5, Word.INCONCLUSIVE)


@pytest.mark.parametrize(
    ("took_s", "word"),
    [(0.198, Word.PASS), (0.1998, Word.INCONCLUSIVE), (0.2003, Word.INCONCLUSIVE), (0.202, Word.FAIL)],
)
def test_times_in_the_limits_own_bucket_neither_pass_nor_fail_a_window(took_s, word):
    """They are recorded as between 199.7 and 200.7 ms."""
    plan = open_scenario(phases=[{"name": "steady", "duration": "25 s", "rate": "80 rps"}])
    counts = dict.fromkeys([("balance", "ok"), ("health", "ok")], np.full(25, 40))
    run = run_of_seconds(plan, counts, took_s=took_s)
    assert window_of([0] * 25, "p(95) < 200 ms for 10 s", run=run).word is word
