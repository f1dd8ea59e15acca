"""The load curve of simulated servers with a known capacity."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from loadproof.analysis.estimates.estimate import ratio_estimate
from loadproof.analysis.estimates.scope import Scope, Tally
from loadproof.analysis.estimates.summary import summary
from loadproof.analysis.judge.disturbance import Disturbance
from loadproof.analysis.judge.disturbances import disturbances
from loadproof.analysis.judge.loadcurve import LoadCurve, Past, collapse_in, goals, load_curve, scalability
from loadproof.analysis.judge.thresholds import estimate_of, judge_threshold
from loadproof.analysis.outputs.verdict.runverdict import RowJson
from loadproof.analysis.word import Word
from loadproof.histogram import bucket_of
from loadproof.outcome import Outcome
from loadproof.plan.phases import plan_phases
from loadproof.scenario.scenario import Threshold
from simulation.rundirs import scenario
from simulation.stairs import CAPACITY_RPS, RATES, served, stairs
from simulation.traffic import autocorrelated, poisson, queue, run_of


@pytest.fixture(scope="module")
def curve() -> LoadCurve:
    """Of one run up the steps."""
    plan = stairs()
    return load_curve(served(plan))


@pytest.mark.slow
def test_beyond_its_capacity_a_queue_answers_too_late(curve):
    """Goodput collapses, while throughput stays."""
    assert curve.collapse is not None
    assert curve.rising[-1].past is Past.LATE
    assert curve.rising[-1].throughput_rps == pytest.approx(CAPACITY_RPS, rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize(("ended", "past"), [("throttled", Past.SHED), ("server_error", Past.FAILED)])
def test_shedding_is_distinguished_from_failure(ended, past):
    """Both keep their goodput; failing doesn't look better for it."""
    plan = stairs()
    random = np.random.default_rng(1)
    at_s = poisson(random, plan)
    offered = np.array(RATES)[np.minimum((at_s // 40).astype(int), len(RATES) - 1)]
    refused = random.uniform(size=at_s.size) > CAPACITY_RPS / np.maximum(offered, CAPACITY_RPS)
    response_s = np.where(refused, 0.002, random.exponential(0.02, at_s.size))
    curve = load_curve(run_of(plan, at_s, response_s, np.where(refused, ended, "ok")))
    assert curve.collapse is None
    assert [step.past for step in curve.rising] == [None] * 4 + [past] * 2
    assert (curve.held.phase, curve.broke.phase) == ("at-200", "at-250")


@pytest.mark.parametrize(
    ("ended", "good", "dropped", "past"),
    [
        ({Outcome.OK: 10_000}, 9_999, 0, None),
        ({Outcome.OK: 8_000, Outcome.THROTTLED: 2_000}, 8_000, 0, Past.SHED),
        ({Outcome.OK: 8_000, Outcome.THROTTLED: 1_000, Outcome.TIMEOUT: 1_000}, 8_000, 0, Past.FAILED),
        ({Outcome.OK: 10_000}, 8_000, 0, Past.LATE),
        ({Outcome.OK: 8_000}, 8_000, 2_000, Past.UNSENT),
    ],
)
def test_the_fate_of_the_load_beyond_goodput(curve, ended, good, dropped, past):
    """By what happened to most of it."""
    tally = Tally({outcome: ended.get(outcome, 0) for outcome in Outcome}, good=good, dropped=dropped, abandoned=0)
    assert replace(curve.rising[0], tally=tally, goodput_ratio=ratio_estimate(good, tally.offered)).past is past


@pytest.mark.parametrize(
    ("goodputs", "collapsed"),
    [((100, 200, 170), 2), ((100, 200, 185), None), ((200, 100, 100), 1), ((5, 5, 5), None), ((100, 50, 400), 1)],
)
def test_a_tenth_less_goodput_under_more_load_is_a_collapse(curve, goodputs, collapsed):
    """At the first step that shows it."""
    steps = tuple(replace(step, goodput_rps=rps) for step, rps in zip(curve.rising, goodputs, strict=False))
    found = collapse_in(steps)
    assert (found and found.step) == (None if collapsed is None else steps[collapsed])
    # A later and higher peak is not what was lost.
    assert found is None or found.peak.goodput_rps == max(goodputs[:collapsed])


def test_less_goodput_under_the_same_load_is_no_collapse(curve):
    """It may have any other cause."""
    before, step = curve.rising[:2]
    step = replace(step, load=before.load, goodput_rps=before.goodput_rps / 2)
    assert collapse_in((before, step)) is None


def test_users_who_wait_show_a_collapse_too():
    """Although they offer less, the slower the target is; and capacity is given in users."""
    users = {"u10": (10, 100), "u20": (20, 180), "u40": (40, 60)}
    phases = [{"name": name, "duration": "20 s", "users": count} for name, (count, _) in users.items()]
    mix = {"balance": {"share": "100 %", "every": "100 ms"}}
    plan = scenario(phases=phases, mix=mix, thresholds=[{"expect": "goodput_ratio >= 98 %"}])
    at_s = np.concatenate(
        [np.linspace(20 * place, 20 * place + 20, 20 * rps, False) for place, (_, rps) in enumerate(users.values())]
    )
    curve = load_curve(run_of(plan, at_s, np.full(at_s.size, 0.02)))
    assert (curve.collapse.peak.phase, curve.collapse.step.phase) == ("u20", "u40")
    assert (curve.is_closed, [step.load for step in curve.rising]) == (True, [10, 20, 40])


def test_a_known_law_is_recovered(curve):
    """The parameters that generated the throughputs, and the range tested."""
    n = np.array([1, 2, 4, 8, 16, 32])
    made = 100 * n / (1 + 0.05 * (n - 1) + 0.001 * n * (n - 1))
    steps = tuple(
        replace(curve.rising[0], in_flight=float(each), throughput_rps=float(rps))
        for each, rps in zip(n, made, strict=True)
    )
    law = scalability(steps)
    assert (law.single_rps, law.contention, law.crosstalk) == pytest.approx((100, 0.05, 0.001), rel=0.01)
    assert law.tested == (1, 32)
    assert scalability(steps[:3]) is None


@pytest.mark.slow
def test_a_step_with_a_late_generator_shows_nothing():
    """It is INVALID, and capacity is given without it; no threshold reads it, so the run isn't INVALID."""
    thresholds = [{"phase": "at-50", "expect": "goodput_ratio >= 98 %"}, {"phase": "at-50", "expect": "p(95) < 400 ms"}]
    plan = stairs(thresholds=thresholds)
    run = served(plan)
    late = run.generator["second"].between(200, 239)
    lags = run.intervals[run.intervals["second"].between(200, 239) & (run.intervals["series"] == "response")]
    lags = lags.assign(series="lag", bucket=bucket_of(200_000))
    run = replace(
        run,
        generator=run.generator.assign(lag_p99_s=np.where(late, 0.2, 0.0)),
        intervals=pd.concat([run.intervals, lags]),
    )
    steps = {step.phase: step for step in load_curve(run).rising}
    assert (steps["at-300"].word, steps["at-300"].broken) == (Word.INVALID, "the generator was late")
    (finding,) = [finding for finding in disturbances(run) if "start lag" in finding.what]
    assert finding.word is Word.PASS


@pytest.mark.slow
def test_a_steps_intervals_equal_those_of_a_threshold_on_it():
    """Both allow for correlated seconds; as if independent, they would be far narrower."""
    plan = stairs([50, 60])
    random = np.random.default_rng(3)
    at_s = poisson(random, plan)
    level = autocorrelated(random, 80, phi=0.8)[at_s.astype(int)]
    fails = random.uniform(size=at_s.size) < 0.1 * np.exp(level - 0.5)
    run = run_of(plan, at_s, 0.02 * np.exp(0.5 * level), np.where(fails, "server_error", "ok"))
    for step in load_curve(run).rising:
        for expect, shown in (("goodput_ratio >= 98 %", step.goodput_ratio), ("p(95) < 400 ms", step.response[0.95])):
            threshold = Threshold.model_validate({"phase": step.phase, "expect": expect})
            assert shown == estimate_of(threshold.expectation.metric, run, Scope.of(threshold, plan))
        alone = ratio_estimate(step.tally.good, step.tally.offered)
        assert step.goodput_ratio.high - step.goodput_ratio.low > 1.5 * (alone.high - alone.low)


def test_no_second_of_the_next_step_counts_for_this_one():
    """A phase that ends within a second shares it with the next; neither has it in its load curve."""
    phases = [{"name": f"at-{rate}", "duration": "10500 ms", "rate": f"{rate} rps"} for rate in (20, 400)]
    plan = stairs(phases=phases)
    at_s = np.concatenate([np.arange(0, 10.5, 1 / 20), np.arange(10.5, 21, 1 / 400)])
    low, high = load_curve(run_of(plan, at_s, np.full(at_s.size, 1e-3))).rising
    assert [low.throughput_rps, low.goodput_rps, low.offered_rps] == pytest.approx([20] * 3)
    assert [high.throughput_rps, high.goodput_rps, high.offered_rps] == pytest.approx([400] * 3, rel=1e-3)


@pytest.mark.parametrize("unanswered", ["timeout", "connection"])
def test_a_phase_has_the_same_throughput_everywhere(unanswered):
    """A queue ends 80 of 100 requests a second, and the rest in the calm after it: threshold, table, curve, file.

    Each fourth request gets no answer, and none is counted for it.
    """
    phases = [
        {"name": "calm", "duration": "20 s", "rate": "20 rps"},
        {"name": "high", "duration": "20 s", "rate": "100 rps"},
        {"name": "after", "duration": "20 s", "rate": "20 rps"},
    ]
    expects = [{"phase": each["name"], "expect": "throughput > 1 rps"} for each in phases]
    plan = stairs(phases=phases, thresholds=[*expects, {"phase": "high", "expect": "throughput > 1 rps for 20 s"}])
    at_s = np.concatenate([np.arange(0, 20, 1 / 20), np.arange(20, 40, 1 / 100), np.arange(40, 60, 1 / 20)])
    took_s, is_answered = queue(at_s, np.full(at_s.size, 1 / 80), servers=1), np.arange(at_s.size) % 4 > 0
    run = run_of(plan, at_s, took_s, np.where(is_answered, "ok", unanswered))
    truth = np.histogram((at_s + took_s)[is_answered], [0, 20, 40, 60])[0] / 20
    assert truth == pytest.approx([15, 60, 30], rel=0.01)
    curve = load_curve(run)
    steps = {step.phase: step.throughput_rps for step in (*curve.rising, *curve.falling)}
    rows = {row.phase.name: row for row in summary(run) if row.endpoint is None}
    for threshold, told in zip(plan.thresholds, truth, strict=False):
        value = estimate_of(threshold.expectation.metric, run, Scope.of(threshold, plan)).value
        row = rows[threshold.phase]
        assert [value, row.throughput_rps, RowJson.of(row).throughput_rps, steps[threshold.phase]] == [told] * 4
    assert judge_threshold(plan.thresholds[-1], run).estimate.value == truth[1]


@pytest.mark.slow
def test_no_more_are_in_flight_than_may_be():
    """Requests answered after the step only count as in flight while the step lasts."""
    phases = [
        {"name": "low", "duration": "10 s", "rate": "20 rps"},
        {"name": "high", "duration": "10 s", "rate": "40 rps"},
    ]
    plan = stairs(phases=phases, max_in_flight=400)
    at_s = np.concatenate([np.arange(0, 10, 1 / 20), np.arange(10, 20, 1 / 40)])
    response_s = np.where(at_s < 10, 0.5, np.where(at_s < 12, 1, 25.0))
    moments = np.arange(10, 20, 0.01)[:, None]
    truth = ((at_s <= moments) & (moments < at_s + response_s)).sum() / moments.size
    step = load_curve(run_of(plan, at_s, response_s)).rising[-1]
    assert step.in_flight == pytest.approx(truth, rel=0.03)
    assert load_curve(run_of(stairs(phases=phases, max_in_flight=100), at_s, response_s)).rising[-1].in_flight <= 100


def test_a_late_first_second_of_the_next_phase_excuses_nothing():
    """Each phase's lateness is looked for in its own seconds."""
    plan = stairs([50, 100])
    run = served(plan)
    lags = run.intervals[run.intervals["second"].lt(40) & (run.intervals["series"] == "response")]
    lags = lags.assign(series="lag", bucket=bucket_of(200_000))
    late = np.where(run.generator["second"] == 40, 0.2, 0.0)
    run = replace(run, generator=run.generator.assign(lag_p99_s=late), intervals=pd.concat([run.intervals, lags]))
    (finding,) = [finding for finding in disturbances(run) if "phase at-50" in finding.what]
    assert finding.word is Word.INVALID


def test_a_disturbed_second_counts_for_each_phase_that_it_overlaps():
    """And for no other."""
    phases = [{"name": f"at-{rate}", "duration": "10500 ms", "rate": f"{rate} rps"} for rate in (20, 400)]
    first, second = plan_phases(stairs(phases=phases))
    for number, is_spoiled in ((9, [True, False]), (10, [True, True]), (11, [False, True])):
        stop = Disturbance("a standstill", "wait", frozenset({number}), decides=True)
        assert [stop.spoils(first), stop.spoils(second)] == is_spoiled


def test_one_load_is_no_curve():
    """Nor is a single phase."""
    plan = stairs([50])
    assert load_curve(served(plan)) is None


@pytest.mark.slow
def test_steps_after_the_highest_load_are_separate():
    """Going back down shows recovery, and doesn't change capacity."""
    phases = [
        {"name": name, "duration": "40 s", "rate": f"{rate} rps"}
        for name, rate in (("low", 50), ("high", 150), ("back", 50))
    ]
    plan = stairs(phases=phases)
    curve = load_curve(served(plan))
    assert [step.phase for step in curve.rising] == ["low", "high"]
    assert [step.phase for step in curve.falling] == ["back"]
    assert curve.held.phase == "high"
    assert curve.broke is None


def test_goals_of_other_phases_count_if_a_step_has_none():
    """But its own take precedence."""
    thresholds = [
        {"phase": "at-50", "expect": "p(95) < 10 ms"},
        {"phase": "at-100", "expect": "p(95) < 100 ms"},
        {"expect": "goodput_ratio >= 98 %"},
        {"expect": "goodput >= 1 rps"},
    ]
    plan = stairs(thresholds=thresholds)
    assert [goal.expect for goal in goals(plan, "at-100")] == ["p(95) < 100 ms", "goodput_ratio >= 98 %"]
    assert [goal.expect for goal in goals(plan, "at-300")][:2] == ["p(95) < 10 ms", "p(95) < 100 ms"]


@pytest.mark.slow
def test_without_goals_no_step_is_said_to_hold():
    """Nor to fail."""
    plan = stairs(thresholds=[{"expect": "goodput >= 1 rps"}])
    curve = load_curve(served(plan))
    assert (curve.held, curve.broke) == (None, None)
    assert {step.word for step in curve.rising} == {Word.INCONCLUSIVE}
