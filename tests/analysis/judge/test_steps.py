"""Hand-made steps of a load curve: what happened to the rest, what held, what failed, and the law through them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from loadproof.analysis.estimates.estimate import Estimate, ratio_estimate
from loadproof.analysis.estimates.scope import Tally
from loadproof.analysis.judge.loadcurve import LoadCurve, Past, Step, collapse_in, load_curve, scalability
from loadproof.analysis.word import Word
from loadproof.outcome import Outcome
from simulation.countedseconds import BOTH
from simulation.rundirs import open_scenario
from simulation.traffic import run_of_seconds


def step(load: float = 100, **changes) -> Step:
    tally = Tally(dict.fromkeys(Outcome, 0) | {Outcome.OK: 1000}, good=1000, dropped=0, abandoned=0)
    values = {
        "phase": f"at-{load:g}",
        "load": load,
        "offered_rps": load,
        "throughput_rps": load,
        "goodput_rps": load,
        "goodput_ratio": ratio_estimate(1000, 1000),
        "in_flight": load / 50,
        "response": {},
        "shedding": None,
        "tally": tally,
        "word": Word.PASS,
        "broken": "",
    }
    return Step(**values | changes)


def curve_of(*steps: Step) -> LoadCurve:
    return LoadCurve(False, steps, (), None, None)


@pytest.mark.parametrize(
    ("words", "held", "broke"),
    [
        ("PPP", 2, None),
        ("PPF", 1, 2),
        ("PIF", 0, 2),
        ("FPP", None, 0),
        ("PFP", 0, 1),
        ("III", None, None),
    ],
)
def test_a_load_held_if_all_lower_ones_did(words, held, broke):
    """It failed at the first step with a goal that certainly didn't hold."""
    kinds = {"P": Word.PASS, "F": Word.FAIL, "I": Word.INCONCLUSIVE}
    curve = curve_of(*(step(100 * number, word=kinds[kind]) for number, kind in enumerate(words, 1)))
    place = {each.phase: number for number, each in enumerate(curve.rising)}
    assert (curve.held and place[curve.held.phase]) == held
    assert (curve.broke and place[curve.broke.phase]) == broke


@pytest.mark.parametrize(
    ("ended", "good", "dropped", "past"),
    [
        ({Outcome.OK: 800, Outcome.THROTTLED: 180, Outcome.TIMEOUT: 20}, 800, 0, Past.SHED),
        ({Outcome.OK: 800, Outcome.THROTTLED: 179, Outcome.TIMEOUT: 21}, 800, 0, Past.FAILED),
        ({Outcome.OK: 800, Outcome.TIMEOUT: 100}, 800, 100, Past.UNSENT),
        ({Outcome.OK: 800, Outcome.TIMEOUT: 102}, 800, 98, Past.FAILED),
        ({Outcome.OK: 900, Outcome.TIMEOUT: 100}, 800, 0, Past.LATE),
        ({Outcome.OK: 898, Outcome.TIMEOUT: 102}, 800, 0, Past.FAILED),
        ({Outcome.OK: 1000}, 1000, 0, None),
    ],
)
def test_what_happened_to_most_of_the_rest(ended, good, dropped, past):
    """Refused if nine tenths were; unsent or late if half were."""
    tally = Tally(dict.fromkeys(Outcome, 0) | ended, good=good, dropped=dropped, abandoned=0)
    found = step(tally=tally, goodput_ratio=Estimate(0.8, 0.7, 0.9, 1000))
    assert found.past is past
    assert replace(found, word=Word.INVALID).past is None
    assert replace(found, goodput_ratio=None).past is None
    assert replace(found, goodput_ratio=Estimate(0.99, 0.9, 0.999, 1000)).past is None


@pytest.mark.parametrize(("goodput_rps", "collapsed"), [(90.0, False), (89.9, True)])
def test_losing_more_than_a_tenth_of_the_peak_is_a_collapse(goodput_rps, collapsed):
    """Exactly a tenth is not."""
    found = collapse_in((step(100), step(200, goodput_rps=goodput_rps)))
    assert (found is not None) == collapsed


def test_a_law_needs_four_different_loads():
    """And something in flight at each."""
    steps = [step(load) for load in (50, 100, 150, 200)]
    assert scalability(tuple(steps)) is not None
    assert scalability(tuple(steps[:3])) is None
    assert scalability((*steps[:3], replace(steps[3], in_flight=steps[2].in_flight))) is None
    assert scalability((replace(steps[0], in_flight=0.0), *steps[1:], step(250))) is None
    law = scalability(tuple(steps))
    assert law.throughput(np.array([1.0]))[0] == pytest.approx(law.single_rps)


def test_two_loads_make_a_curve_of_whole_seconds():
    """Rates are over each step's own duration, without ramp and warm-up."""
    phases = [
        {"name": "warm", "warm_up": True, "duration": "5 s", "rate": "10 rps"},
        {"name": "low", "duration": "10 s", "rate": "50 rps"},
        {"name": "high", "duration": "10 s", "rate": "100 rps", "ramp": "4 s"},
        {"name": "back", "duration": "5 s", "rate": "50 rps"},
    ]
    plan = open_scenario(phases=phases, mix=BOTH, thresholds=[{"expect": "goodput_ratio >= 50 %"}])
    sent = np.repeat([10, 50, 999, 100, 50], [5, 10, 4, 6, 5])
    curve = load_curve(run_of_seconds(plan, {("balance", "ok"): sent}))
    assert [(each.phase, each.load, each.offered_rps) for each in curve.rising] == [("low", 50, 50), ("high", 100, 100)]
    assert [each.phase for each in curve.falling] == ["back"]
    assert {each.goodput_rps for each in curve.rising} == {50, 100}
    assert {each.throughput_rps for each in curve.rising} == {50, 100}
    assert {(each.word, each.broken) for each in curve.rising} == {(Word.PASS, "")}
    assert curve.is_closed is False


def test_a_step_cut_off_counts_its_actual_seconds():
    """Not the planned ones."""
    phases = [
        {"name": "low", "duration": "10 s", "rate": "50 rps"},
        {"name": "high", "duration": "10 s", "rate": "100 rps"},
    ]
    plan = open_scenario(phases=phases, mix=BOTH, thresholds=[{"expect": "goodput_ratio >= 50 %"}])
    run = run_of_seconds(plan, {("balance", "ok"): np.repeat([50, 100, 0], [10, 4, 6])})
    run = replace(run, generator=run.generator[run.generator["second"] < 14])
    assert [each.offered_rps for each in load_curve(run).rising] == [50, 100]


@pytest.mark.parametrize(("contention", "crosstalk"), [(3.0, 0.0), (0.0, 3.0)])
def test_no_law_has_a_share_above_one(contention, crosstalk):
    """Contention and crosstalk are shares, even if a value above 1 would fit better."""
    steps = [
        step(n, in_flight=n, throughput_rps=100 * n / (1 + contention * (n - 1) + crosstalk * n * (n - 1)))
        for n in (1.0, 2.0, 4.0, 8.0, 16.0)
    ]
    law = scalability(tuple(steps))
    assert max(law.contention, law.crosstalk) <= 1


@pytest.mark.slow
def test_a_steps_intervals_only_use_seconds_at_full_load():
    """Its ramp doesn't affect their correlation: as if the flat part were a separate phase."""
    low, high = {"name": "low", "duration": "10 s", "rate": "50 rps"}, {"name": "high", "rate": "100 rps"}
    apart = [low, {**low, "name": "ramp"}, {**high, "duration": "20 s"}]
    together = [low, {**high, "duration": "30 s", "ramp": "10 s"}]
    failed = np.concatenate([np.zeros(20, dtype=int), np.tile([0, 0, 10, 10], 5)])
    sent = np.concatenate([np.full(10, 50), np.arange(55, 105, 5), np.full(20, 100)])
    counted = {("balance", "ok"): sent - failed, ("balance", "server_error"): failed}
    ratios = []
    for phases in (apart, together):
        plan = open_scenario(phases=phases, mix=BOTH, thresholds=[{"expect": "goodput_ratio >= 50 %"}])
        ratios.append(load_curve(run_of_seconds(plan, counted)).rising[-1].goodput_ratio)
    assert ratios[0] == ratios[1]
