"""The load curve of simulated servers whose capacity is known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from analysis.estimates.estimate import ratio_estimate
from analysis.estimates.metrics import Tally
from analysis.judge.disturbances import disturbances
from analysis.judge.judgement import Word
from analysis.judge.loadcurve import LoadCurve, Past, collapse_in, goals, load_curve, scalability
from loadproof.histogram import bucket_of
from loadproof.outcome import Outcome
from simulation.rundirs import open_scenario, scenario
from simulation.traffic import poisson, queue, run_of

if TYPE_CHECKING:
    from loadproof.scenario.scenario import Scenario

RATES = (50, 100, 150, 200, 250, 300)
CAPACITY_RPS = 200
SERVERS = 4


def stairs(rates: tuple[int, ...] = RATES, **changes: object) -> Scenario:
    phases = [{"name": f"at-{rate}", "duration": "40 s", "rate": f"{rate} rps"} for rate in rates]
    content = {
        "phases": phases,
        "mix": {"balance": {"share": "100 %"}},
        "thresholds": [{"expect": "goodput_ratio >= 98 %"}, {"expect": "p(95) < 400 ms"}],
    }
    return open_scenario(**content | changes)


def served(plan: Scenario, seed: int = 1, **outcome: float) -> object:
    """Four servers of 20 ms each: 200 requests a second."""
    random = np.random.default_rng(seed)
    at_s = poisson(random, plan)
    return at_s, queue(at_s, random.exponential(SERVERS / CAPACITY_RPS, at_s.size), servers=SERVERS)


@pytest.fixture(scope="module")
def curve() -> LoadCurve:
    """Of one run up the stairs."""
    plan = stairs()
    return load_curve(run_of(plan, *served(plan)))


def test_past_its_capacity_a_queue_answers_too_late(curve):
    """Goodput collapses, while throughput stays."""
    assert curve.collapse is not None
    assert curve.rising[-1].past is Past.LATE
    assert curve.rising[-1].throughput_rps == pytest.approx(CAPACITY_RPS, rel=0.1)


@pytest.mark.parametrize(("ended", "past"), [("throttled", Past.SHED), ("server_error", Past.FAILED)])
def test_shedding_is_told_from_failure(ended, past):
    """Either keeps its goodput; who failed is no better for it."""
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
def test_what_became_of_the_rest(curve, ended, good, dropped, past):
    """By what most of it was."""
    tally = Tally({outcome: ended.get(outcome, 0) for outcome in Outcome}, good=good, dropped=dropped, abandoned=0)
    assert replace(curve.rising[0], tally=tally, goodput_ratio=ratio_estimate(good, tally.offered)).past is past


@pytest.mark.parametrize(
    ("goodputs", "collapsed"),
    [((100, 200, 170), 2), ((100, 200, 185), None), ((200, 100, 100), 1), ((5, 5, 5), None), ((100, 50, 400), 1)],
)
def test_a_tenth_less_goodput_under_more_load_is_a_collapse(curve, goodputs, collapsed):
    """The first step at which it is seen."""
    steps = tuple(replace(step, goodput_rps=rps) for step, rps in zip(curve.rising, goodputs, strict=False))
    found = collapse_in(steps)
    assert (found and found.step) == (None if collapsed is None else steps[collapsed])
    # A later and higher peak is not what was lost.
    assert found is None or found.peak.goodput_rps == max(goodputs[:collapsed])


def test_less_goodput_under_the_same_load_is_no_collapse(curve):
    """It may be anything else."""
    before, step = curve.rising[:2]
    step = replace(step, load=before.load, goodput_rps=before.goodput_rps / 2)
    assert collapse_in((before, step)) is None


def test_users_who_wait_show_a_collapse_too():
    """Though they offer the less, the slower the target is; and capacity is told in users."""
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


def test_a_law_is_found_again(curve):
    """The parameters by which throughputs were made, within what was tested."""
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


def test_a_step_at_which_the_generator_was_late_tells_nothing():
    """It is INVALID, and capacity is told without it; no threshold reads it, so that the run is not."""
    thresholds = [{"phase": "at-50", "expect": "goodput_ratio >= 98 %"}, {"phase": "at-50", "expect": "p(95) < 400 ms"}]
    plan = stairs(thresholds=thresholds)
    run = run_of(plan, *served(plan))
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


def test_one_load_is_no_curve():
    """Nor is a single phase."""
    plan = stairs(rates=(50, 50)[:1])
    assert load_curve(run_of(plan, *served(plan))) is None


def test_what_was_after_the_most_load_is_told_apart():
    """Going back is for recovery to judge, and moves no capacity."""
    phases = [
        {"name": name, "duration": "40 s", "rate": f"{rate} rps"}
        for name, rate in (("low", 50), ("high", 150), ("back", 50))
    ]
    plan = stairs(phases=phases)
    curve = load_curve(run_of(plan, *served(plan)))
    assert [step.phase for step in curve.rising] == ["low", "high"]
    assert [step.phase for step in curve.falling] == ["back"]
    assert curve.held.phase == "high"
    assert curve.broke is None


def test_goals_of_other_phases_count_where_a_step_has_none():
    """But its own go before them."""
    thresholds = [
        {"phase": "at-50", "expect": "p(95) < 10 ms"},
        {"phase": "at-100", "expect": "p(95) < 100 ms"},
        {"expect": "goodput_ratio >= 98 %"},
        {"expect": "goodput >= 1 rps"},
    ]
    plan = stairs(thresholds=thresholds)
    assert [goal.expect for goal in goals(plan, "at-100")] == ["p(95) < 100 ms", "goodput_ratio >= 98 %"]
    assert [goal.expect for goal in goals(plan, "at-300")][:2] == ["p(95) < 10 ms", "p(95) < 100 ms"]


def test_without_goals_no_step_is_said_to_hold():
    """Nor to break."""
    plan = stairs(thresholds=[{"expect": "goodput >= 1 rps"}])
    curve = load_curve(run_of(plan, *served(plan)))
    assert (curve.held, curve.broke) == (None, None)
    assert {step.word for step in curve.rising} == {Word.INCONCLUSIVE}
