"""What a run shows about its target besides its thresholds, and what is worth a note."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from loadproof.analysis.estimates.metrics import counted_estimate
from loadproof.analysis.estimates.scope import Scope
from loadproof.analysis.judge.degradation import degradation_of, notes
from loadproof.analysis.report.degradationview import degradation_view
from loadproof.analysis.word import Word
from loadproof.scenario.thresholds.expectation import parse_expectation
from simulation.rundirs import open_scenario
from simulation.stairs import served, stairs
from simulation.traffic import poisson, queue, run_of, run_of_seconds


@pytest.mark.slow
def test_recovery_is_only_looked_for_after_the_load_falls():
    """Not on the way up, although each step has calmer ones before it."""
    found = degradation_of(served(stairs([50, 100, 150, 50], seconds=20), capacity_rps=400))
    assert [recovery.phase for recovery in found.recoveries] == ["at-50-2"]
    assert list(notes(found)) == []


@pytest.mark.parametrize(("slow", "until_s", "told"), [(1.0, 0, []), (8.0, 66, ["at-100-3"]), (8.0, 90, ["at-100-3"])])
def test_a_fault_at_the_same_load_is_recovered_from(slow, until_s, told):
    """If it hurt; it is metastable if it never recovered."""
    plan = stairs([100, 100, 100], seconds=30)
    random = np.random.default_rng(1)
    at_s = poisson(random, plan)
    hurt = (at_s >= 30) & (at_s < until_s)
    run = run_of(plan, at_s, random.lognormal(np.log(np.where(hurt, slow * 0.02, 0.02)), 0.3))
    found = degradation_of(run)
    assert [recovery.phase for recovery in found.recoveries] == told
    metastable = [finding.what for finding in notes(found) if finding.what.startswith("metastable")]
    assert len(metastable) == (until_s == 90)


@pytest.mark.slow
def test_a_queue_that_doesnt_drain_is_reported_as_metastable_and_collapsed():
    """With what to look for."""
    found = degradation_of(served(stairs([50, 150, 400, 90], seconds=20), capacity_rps=100))
    told = [finding.what for finding in notes(found)]
    assert any(what.startswith("goodput collapsed: ") for what in told)
    assert any(what.startswith("metastable: ") for what in told)
    assert {finding.word for finding in notes(found)} == {Word.PASS}


@pytest.mark.slow
def test_nothing_is_concluded_if_the_generator_was_late():
    """No collapse, metastable state, slow refusals, law, drift or capacity: it measured itself."""
    plan = stairs([20, 50, 80, 120, 200, 80], seconds=20)
    random = np.random.default_rng(1)
    at_s = poisson(random, plan)
    refused = (at_s >= 80) & (random.uniform(size=at_s.size) < 0.3)
    response_s = queue(at_s, random.exponential(4 / 100, at_s.size), servers=4)
    run = run_of(plan, at_s, np.where(refused, 3, 1) * response_s, np.where(refused, "throttled", "ok"))
    told = [finding.what for finding in notes(degradation_of(run))]
    assert [any(what in finding for finding in told) for what in ("collapsed", "metastable", "refused slowly")] == [
        True
    ] * 3
    late = replace(run, generator=run.generator.assign(cpu_ratio=1.0, lag_p99_s=0.5))
    found = degradation_of(late)
    assert [finding.what for finding in notes(found)] == []
    assert {step.word for step in found.curve.rising} == {Word.INVALID}
    assert (found.curve.law, found.curve.collapse, found.recoveries, found.drifts, found.shedding) == (
        None,
        None,
        (),
        (),
        None,
    )
    view = degradation_view(late, found)
    assert view["curve"]["text"] == ["Nothing can be concluded: the generator was late at every step."]
    assert (view["curve"]["chart"], view["curve"]["lost"], view["curve"]["law"]) == (None, None, None)
    assert {row["past"] for row in view["curve"]["rows"]} == {"–"}


@pytest.mark.slow
def test_a_deciding_disturbance_spoils_its_phase():
    """One long standstill of the event loop is only a few seconds, and yet the load was not as planned."""
    run = served(stairs([50, 60, 70], seconds=20), capacity_rps=400)
    second = run.generator["second"]
    stood = replace(run, generator=run.generator.assign(loop_delay_s=np.where(second == 25, 1.5, 0.0)))
    assert [step.word for step in degradation_of(stood).curve.rising] == [Word.PASS, Word.INVALID, Word.PASS]
    asleep = replace(run, generator=run.generator.assign(asleep_s=np.where(second == 25, 60.0, 0.0)))
    assert {step.word for step in degradation_of(asleep).curve.rising} == {Word.INVALID}


@pytest.mark.slow
def test_a_warm_up_that_was_too_short_is_reported():
    """With when the run settled."""
    phases = [
        {"name": "warm-up", "warm_up": True, "duration": "10 s", "rate": "50 rps"},
        {"name": "steady", "duration": "190 s", "rate": "50 rps"},
    ]
    plan = open_scenario(phases=phases, mix={"balance": {"share": "100 %"}}, thresholds=[{"expect": "goodput > 1 rps"}])
    random = np.random.default_rng(2)
    at_s = poisson(random, plan)
    run = run_of(plan, at_s, random.lognormal(np.log(np.where(at_s < 40, 0.2, 0.02)), 0.3))
    (finding,) = notes(degradation_of(run))
    assert finding.what.startswith("response times: settled after 4")


@pytest.mark.slow
def test_the_view_has_a_chart_and_a_sentence_for_each():
    """For a long run that had everything."""
    run = served(stairs([50, 100, 200, 300, 50], seconds=130), capacity_rps=150)
    view = degradation_view(run, degradation_of(run))
    assert view["curve"]["text"][0].startswith("Capacity: every goal held up to ")
    assert len(view["recoveries"]) == 1
    assert len(view["drifts"]) == 5


def test_planned_arrivals_are_shown_next_to_offered_requests():
    """Arrivals are tasks: if each sends two requests, twice as many are offered."""
    plan = stairs([30, 40], seconds=20)
    at_s = np.repeat(poisson(np.random.default_rng(1), plan), 2)
    run = run_of(plan, at_s, np.full(at_s.size, 0.02))
    view = degradation_view(run, degradation_of(run))["curve"]
    assert [row["cells"][:2] for row in view["rows"]] == [["30 rps", "60 rps"], ["40 rps", "80 rps"]]
    assert view["planned"] == "Arrivals per second; each runs one task of a user"


@pytest.mark.slow
def test_if_every_goal_held_no_capacity_is_claimed():
    """Only that they held as far as was tested."""
    run = served(stairs([50, 60], seconds=20), capacity_rps=400)
    view = degradation_view(run, degradation_of(run))
    assert view["curve"]["text"][0].startswith("Every goal held up to ")


def test_a_burn_rate_lies_in_its_interval():
    """One in a hundred is ten times what an objective of 99.9 % allows."""
    plan = stairs([200, 210], seconds=20)
    at_s = poisson(np.random.default_rng(1), plan)
    failed = np.arange(at_s.size) % 100 == 0
    run = run_of(plan, at_s, np.full(at_s.size, 0.02), np.where(failed, "server_error", "ok"))
    estimate = counted_estimate(
        parse_expectation("burn_rate(99.9) < 2 x").metric, run, Scope(("at-200", "at-210"), ("balance",))
    )
    assert estimate.value == pytest.approx(10, rel=0.05)
    assert estimate.low < estimate.value < estimate.high


@pytest.mark.slow
@pytest.mark.parametrize(("seconds", "drifts"), [(119, 0), (120, 4)])
def test_drift_is_reported_from_two_minutes_on(seconds, drifts):
    """For quantiles and errors; not for a phase in which the generator was late."""
    plan = stairs([20], seconds=seconds)
    run = run_of_seconds(plan, {("balance", "ok"): np.full(seconds, 20)})
    assert len(degradation_of(run).drifts) == drifts
    late = replace(run, generator=run.generator.assign(cpu_ratio=1.0))
    assert degradation_of(late).drifts == ()


def test_settling_is_only_reported_if_the_target_was_measured():
    """Not if the generator was late."""
    warm_up = {"name": "warm-up", "warm_up": True, "duration": "10 s", "rate": "20 rps"}
    phases = [warm_up, {"name": "steady", "duration": "60 s", "rate": "20 rps"}]
    plan = open_scenario(phases=phases, mix={"balance": {"share": "100 %"}}, thresholds=[{"expect": "goodput > 1 rps"}])
    run = run_of_seconds(plan, {("balance", "ok"): np.full(70, 20)})
    assert degradation_of(run).settling.phase == "steady"
    assert degradation_of(replace(run, generator=run.generator.assign(cpu_ratio=1.0))).settling is None


def test_refusals_in_the_warm_up_dont_count():
    """Nor do refusals in a phase in which the generator was late."""
    phases = [
        {"name": "warm-up", "warm_up": True, "duration": "10 s", "rate": "20 rps"},
        {"name": "steady", "duration": "10 s", "rate": "20 rps"},
    ]
    plan = open_scenario(phases=phases, mix={"balance": {"share": "100 %"}}, thresholds=[{"expect": "goodput > 1 rps"}])
    refused = np.repeat([9, 0], 10)
    run = run_of_seconds(plan, {("balance", "ok"): 20 - refused, ("balance", "throttled"): refused})
    assert degradation_of(run).shedding is None
    run = run_of_seconds(plan, {("balance", "ok"): np.full(20, 11), ("balance", "throttled"): np.full(20, 9)})
    assert degradation_of(run).shedding.refused == 90
    assert degradation_of(replace(run, generator=run.generator.assign(cpu_ratio=1.0))).shedding is None


@pytest.mark.slow
@pytest.mark.parametrize(("late", "phases"), [(range(0), ["at-50-2"]), (range(20, 40), []), (range(40, 60), [])])
def test_no_recovery_is_reported_if_the_generator_was_late(late, phases):
    """Neither in the phase that hurt nor in the one after it."""
    run = run_of_seconds(stairs([50, 100, 50], seconds=20), {("balance", "ok"): np.repeat([50, 100, 50], 20)})
    busy = run.generator["second"].isin(late)
    found = degradation_of(replace(run, generator=run.generator.assign(cpu_ratio=np.where(busy, 1.0, 0.0))))
    assert [recovery.phase for recovery in found.recoveries] == phases


def test_correlated_seconds_are_only_reported_if_the_target_was_measured():
    """Slow for half of a phase: its seconds are correlated, unless that was the generator's doing."""
    plan = stairs([50], seconds=40)
    at_s = np.arange(0, 40, 0.02)
    run = run_of(plan, at_s, np.where(at_s < 20, 0.02, 0.1))
    assert [alike.phase for alike in degradation_of(run).too_alike] == ["at-50"]
    assert degradation_of(replace(run, generator=run.generator.assign(cpu_ratio=1.0))).too_alike == ()
