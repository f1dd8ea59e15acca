"""Recovery is found to the second, never where there was none, and without false alarms on noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from loadproof.analysis.estimates.recovery import recovery_in
from loadproof.analysis.judge.degradation import degradation_of, notes
from loadproof.analysis.judge.thresholds import judge_threshold
from loadproof.analysis.judge.verdict import verdict_on_run
from loadproof.analysis.word import Word
from loadproof.plan.decidability import undecidable
from loadproof.plan.phases import expected_requests, plan_phases
from loadproof.scenario.scenario import Threshold
from simulation.rundirs import scenario
from simulation.spike import PHASES, RECOVERY, spike_plan, spiked
from simulation.traffic import poisson, run_of


def test_errors_count_as_well_as_slowness():
    """And lost requests are reported."""
    found = recovery_in(spiked(slow_until_s=50, good_from_s=56), "after", ("balance",))
    assert found.took_s == 6
    assert found.lost == pytest.approx(20 * 200 + 6 * 50, rel=0.1)


def test_a_few_remaining_errors_prevent_recovery():
    """One answer in ten is more than one in a hundred."""
    found = recovery_in(spiked(slow_until_s=50, good_from_s=57, failing=0.1), "after", ("balance",))
    assert found.took_s == pytest.approx(7, abs=1)


def test_a_second_without_arrivals_is_calm():
    """Poisson arrivals leave some seconds empty, which hurts nobody."""
    run = spiked(slow_until_s=0)
    empty = run.intervals[~run.intervals["second"].isin([51, 54, 58])]
    assert recovery_in(replace(run, intervals=empty), "after", ("balance",)).took_s == 0


def test_a_pause_between_two_waves_is_no_recovery():
    """Calm for four seconds, then slow again for two."""
    found = recovery_in(spiked(slow_until_s=50, relapse=range(54, 56)), "after", ("balance",))
    assert found.took_s == 6


def test_a_target_that_stays_down_never_recovers():
    """As long as it was observed."""
    found = recovery_in(spiked(slow_until_s=110), "after", ("balance",))
    assert (found.took_s, found.looked_s) == (None, 60)


def test_users_who_all_wait_are_not_calm():
    """In the closed model a frozen target gets no requests, which doesn't count as recovery."""
    phases = [{"name": phase["name"], "duration": phase["duration"], "users": 50} for phase in PHASES]
    phases[1]["users"] = 200
    plan = scenario(phases=phases, thresholds=[RECOVERY, {"expect": "goodput_ratio >= 1 %"}])
    run = spiked(slow_until_s=0)
    frozen = run.intervals[~run.intervals["second"].between(45, 70)]
    closed = run.manifest.model_copy(update={"scenario": plan, "phases": plan_phases(plan)})
    assert recovery_in(replace(run, manifest=closed, intervals=frozen), "after", ("balance",)).took_s == 21


def test_a_phase_that_ended_too_soon_shows_nothing():
    """The run was stopped a few seconds after the spike."""
    run = spiked(slow_until_s=50)
    cut = run.generator[run.generator["second"] < 55]
    assert recovery_in(replace(run, generator=cut), "after", ("balance",)) is None


@pytest.mark.parametrize(("longer_ms", "took_s"), [(0.0, 0), (3.0, 0), (30.0, None)])
def test_a_difference_too_small_to_notice_is_ignored(longer_ms, took_s):
    """However steady the target was before: 1 % of the deadline of half a second."""
    at_s = np.arange(0, 110, 0.02)
    response_s = 0.02 + np.where(at_s >= 50, longer_ms / 1000, 1e-5 * (at_s.astype(int) % 2))
    assert recovery_in(run_of(spike_plan(), at_s, response_s), "after", ("balance",)).took_s == took_s


@pytest.mark.parametrize(
    ("of_scenario", "of_group", "longer_ms", "took_s"),
    [("500 ms", "10 s", 60.0, 0), ("10 s", "1 s", 60.0, None)],
    ids=["longer", "shorter"],
)
def test_what_is_too_small_to_notice_in_a_group_depends_on_its_own_deadline(of_scenario, of_group, longer_ms, took_s):
    """Not on the scenario's, which is about its requests."""
    names = ["balance", "cart"]
    plan = spike_plan(
        deadline=of_scenario,
        mix={"balance": {"share": "100 %", "requests": names}},
        groups={"checkout": {"requests": names, "deadline": of_group}},
    )
    at_s = np.arange(0, 110, 0.02)
    response_s = 0.02 + np.where(at_s >= 50, longer_ms / 1000, 1e-5 * (at_s.astype(int) % 2))
    run = run_of(plan, at_s, response_s)
    run = replace(run, groups=run.intervals.assign(endpoint="checkout"))
    assert recovery_in(run.of_groups, "after", ("checkout",)).took_s == took_s


@pytest.mark.parametrize(
    ("slow_until_s", "word", "reason"),
    [(53, Word.PASS, "3 s"), (65, Word.FAIL, "beyond the limit"), (110, Word.FAIL, "not within 50 s")],
)
def test_a_threshold_on_recovery_is_judged(slow_until_s, word, reason):
    """Never recovering violates any limit."""
    run = spiked(slow_until_s=slow_until_s)
    judgement = judge_threshold(run.manifest.scenario.thresholds[0], run)
    assert (judgement.word, reason in judgement.reason) == (word, True), judgement.reason


@pytest.mark.slow
@pytest.mark.parametrize("good", [0.57, 0.85])
def test_being_as_bad_as_before_is_no_recovery(good):
    """If the calm phase itself was broken, the result is INCONCLUSIVE, not 'at once'."""
    random = np.random.default_rng(2)
    plan = spike_plan()
    at_s = poisson(random, plan)
    fails = random.uniform(size=at_s.size) > good
    run = run_of(plan, at_s, np.full(at_s.size, 0.02), np.where(fails, "server_error", "ok"))
    judgement = judge_threshold(plan.thresholds[0], run)
    assert judgement.word is Word.INCONCLUSIVE
    assert judgement.reason.startswith("nothing to compare with: calm before it was not calm (goodput ratio ")
    found = degradation_of(run)
    assert found.recoveries == ()
    assert [note.what for note in notes(found) if "can't be determined" in note.what] != []


@pytest.mark.slow
def test_the_next_step_points_to_the_recovery():
    """Not to an endpoint that is as fast as ever."""
    verdict = verdict_on_run(spiked(slow_until_s=65))
    assert verdict.next_step.startswith("Look at Recovery in the report")


@pytest.mark.parametrize(
    ("slow_until_s", "limit", "step"),
    [(61, "10 s", "Recovery took as long as the limit"), (110, "55 s", "Let the phase after the trigger last longer")],
)
def test_the_next_step_after_an_undecided_recovery_would_decide_it(slow_until_s, limit, step):
    """The phase before was calm and long enough, so it isn't blamed."""
    run = spiked(slow_until_s=slow_until_s)
    threshold = {"phase": "after", "expect": f"recovery <= {limit}"}
    plan = run.manifest.scenario.model_copy(update={"all_thresholds": [Threshold.model_validate(threshold)]})
    run = replace(run, manifest=run.manifest.model_copy(update={"scenario": plan}))
    verdict = verdict_on_run(run)
    assert verdict.word is Word.INCONCLUSIVE
    assert verdict.next_step.startswith(step)


def test_without_calm_before_there_is_nothing_to_judge():
    """Too few calm seconds, or none."""
    run = spiked(slow_until_s=50)
    late = run.intervals[run.intervals["second"] >= 27]
    assert recovery_in(replace(run, intervals=late), "after", ("balance",)) is None
    assert recovery_in(run, "spike", ("balance",)) is None


@pytest.mark.parametrize(
    ("threshold", "phases", "what"),
    [
        ({"phase": "spike", "expect": "recovery <= 5 s"}, PHASES, "nothing to compare with"),
        ({"phase": "after", "expect": "recovery <= 55 s"}, PHASES, "too short for it"),
        (RECOVERY, [PHASES[0] | {"warm_up": True}, *PHASES[1:]], "nothing to compare with"),
        (RECOVERY, PHASES, None),
    ],
)
def test_a_plan_that_cant_show_recovery_is_refused(threshold, phases, what):
    """Before the run."""
    plan = spike_plan(phases=phases, thresholds=[threshold, {"expect": "goodput_ratio >= 1 %"}])
    found = list(undecidable(plan, expected_requests(plan, plan_phases(plan)), where="x.yaml"))
    assert [what in problem.what for problem in found] == ([True] if what else [])


@pytest.mark.parametrize(("rps", "is_refused"), [(1, True), (2, False)])
def test_recovery_at_one_request_per_second_is_refused_before_the_run(rps, is_refused):
    """With one in five requests failing, five of twelve such runs looked as if they had recovered at once."""
    phases = [phase | {"rate": f"{rps} rps"} for phase in PHASES]
    plan = spike_plan(phases=phases)
    problems = undecidable(plan, expected_requests(plan, plan_phases(plan)), where="x.yaml")
    assert bool([problem for problem in problems if "10 s as before need 20" in problem.what]) is is_refused


def test_recovery_counts_from_where_the_trigger_ended_even_within_a_second():
    """It ended at 50.5 s; from second 55 on all is well again."""
    plan = spike_plan(phases=[PHASES[0], PHASES[1] | {"duration": "20500 ms"}, PHASES[2]])
    random = np.random.default_rng(2)
    at_s = poisson(random, plan)
    slow = (at_s >= 30) & (at_s < 55)
    run = run_of(plan, at_s, random.lognormal(np.log(np.where(slow, 0.2, 0.02)), 0.4))
    assert recovery_in(run, "after", ("balance",)).took_s == 4.5
