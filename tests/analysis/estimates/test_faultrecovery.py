"""Recovery from a fault within a phase: to the second, never before goodput is back, unknown without evidence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from loadproof.analysis.estimates.faultrecovery import _fewest_in_step, recoveries_from_faults
from loadproof.analysis.judge.degradation import degradation_of, notes
from loadproof.analysis.judge.thresholds import judge_threshold
from loadproof.analysis.word import Word
from loadproof.plan.decidability import undecidable
from loadproof.plan.phases import expected_requests, plan_phases
from loadproof.rundir.rows import RETRIED
from simulation.faulted import BEGINS_S, ENDS_S, PAUSE, RECOVERY, fault_events, faulted, faulted_plan, happened
from simulation.rundirs import scenario
from simulation.traffic import poisson, run_of_seconds

STEADY = {"name": "steady", "duration": "60 s", "rate": "50 rps"}


def judged(run):
    return judge_threshold(run.manifest.scenario.thresholds[0], run)


@pytest.mark.parametrize(
    ("hurt_until_s", "word", "reason"),
    [
        (ENDS_S, Word.PASS, "0 s"),
        (ENDS_S + 3, Word.PASS, "2.99 s"),
        (ENDS_S + 12, Word.FAIL, "beyond the limit"),
        (60, Word.FAIL, "not within 26 s"),
    ],
)
def test_recovery_lasts_from_the_faults_end_until_the_target_is_as_before(hurt_until_s, word, reason):
    """Never recovering violates any limit."""
    judgement = judged(faulted(hurt_until_s=hurt_until_s))
    assert (judgement.word, reason in judgement.reason) == (word, True), judgement.reason


def test_lost_requests_count_from_the_faults_beginning():
    """Half of the requests fail in the 3 s of the fault, and in 4 s after it."""
    (found,) = recoveries_from_faults(faulted(hurt_until_s=ENDS_S + 4), "steady", ("balance",))
    assert (found.trigger, found.before, found.was_hurt) == ("pause of target", "steady", True)
    assert found.lost == pytest.approx(25 * 7, rel=0.2)


def test_fewer_requests_dont_count_as_recovery():
    """Clients that back off for a minute send a tenth, and all of that is answered well."""
    plan = faulted_plan()
    random = np.random.default_rng(1)
    at_s = poisson(random, plan)
    at_s = at_s[(at_s < ENDS_S) | (random.uniform(size=at_s.size) < 0.1)]
    run = happened(plan, at_s, np.full(at_s.size, 0.02), np.full(at_s.size, "ok"))
    assert judged(run).word is Word.FAIL


def test_users_in_step_have_recovered():
    """Users who all waited for the fault then send at the same time, every three seconds, and nothing in between."""
    users = {"balance": {"share": "100 %", "every": "3 s"}}
    phases = [{"name": "steady", "duration": "60 s", "users": 150}]
    goodput = {"expect": "goodput_ratio >= 1 %"}
    plan = scenario(phases=phases, mix=users, faults=[PAUSE], thresholds=[RECOVERY, goodput])
    calm_s = np.arange(0, BEGINS_S, 0.02)
    step_s = np.repeat(np.arange(ENDS_S, 60, 3), 150) + np.tile(np.arange(150) / 10_000, 13)
    at_s = np.concatenate([calm_s, step_s])
    took_s = np.random.default_rng(1).lognormal(np.log(0.02), 0.2, at_s.size)
    assert judged(happened(plan, at_s, took_s, np.full(at_s.size, "ok"))).word is Word.PASS


def test_a_group_has_recovered_by_its_own_deadline():
    """60 ms more matter to requests that should take half a second, not to a group that may take 10 s."""
    names = ["balance", "cart"]
    mix, groups = {"balance": {"share": "100 %", "requests": names}}, {"buy": {"requests": names, "deadline": "10 s"}}
    at_s = np.arange(0, 60, 0.02)
    took_s = 0.02 + np.where(at_s >= BEGINS_S, 0.06, 1e-5 * (at_s.astype(int) % 2))
    run = happened(faulted_plan(mix=mix, groups=groups), at_s, took_s, np.full(at_s.size, "ok"))
    run = replace(run, groups=run.intervals.assign(endpoint="buy"))
    for read, name, has_recovered in ((run, "balance", False), (run.of_groups, "buy", True)):
        (found,) = recoveries_from_faults(read, "steady", (name,))
        assert (found.took_s is not None) is has_recovered


def test_each_fault_has_its_recovery_and_the_slowest_is_judged():
    """The second one begins when the first has been recovered from; two that overlap count as one."""
    later = PAUSE | {"at": "40 s", "lasts": "1 s"}
    slow = {"fault": "latency", "phase": "steady", "at": "22 s", "lasts": "1 s", "latency": "1 s"}
    run = faulted(hurt_until_s=ENDS_S + 2, plan=faulted_plan(faults=[later, PAUSE, slow]))
    found = recoveries_from_faults(run, "steady", ("balance",))
    assert [one.trigger for one in found] == ["pause of target and latency of target", "pause of target"]
    assert [round(one.took_s) for one in found] == [2, 0]
    assert judged(run).estimate.value == found[0].took_s


def test_starting_up_counts_as_recovery_time():
    """It was told to start at second 21, and was up at 25."""
    run = faulted(hurt_until_s=25, plan=faulted_plan(faults=[PAUSE | {"fault": "kill", "lasts": "1 s"}]))
    events = run.events.assign(time_s=[20.5, 25.01])
    (found,) = recoveries_from_faults(replace(run, events=events), "steady", ("balance",))
    assert (found.began_s, found.took_s) == (20.0, pytest.approx(4, abs=1))


@pytest.mark.parametrize(
    ("lived_s", "happens", "reason"),
    [
        (30, [PAUSE], "only 6 s were measured after pause of target"),
        (36, [PAUSE], "not within 2 s, straddles the limit"),
        (60, [], "no fault of steady began"),
    ],
)
def test_a_recovery_that_was_not_observed_decides_nothing(lived_s, happens, reason):
    """A run stopped soon after the fault, or without one."""
    run = faulted(hurt_until_s=60)
    lived = run.generator[run.generator["second"] < lived_s]
    judgement = judged(replace(run, generator=lived, events=fault_events(faulted_plan(faults=happens))))
    assert (judgement.word, reason in judgement.reason) == (Word.INCONCLUSIVE, True), judgement.reason


@pytest.mark.parametrize(
    ("good", "reason"), [(0.5, "steady before its first fault was not calm"), (0, "too little was")]
)
def test_without_calm_before_the_fault_recovery_is_unknown(good, reason):
    """Half of the requests failed, or none was sent."""
    run = faulted(hurt_until_s=ENDS_S)
    rows = run.intervals
    before = rows["second"] < BEGINS_S
    rows = rows[~(before & (rows["series"] == "good"))] if good else rows[~before]
    judgement = judged(replace(run, intervals=rows))
    assert (judgement.word, reason in judgement.reason) == (Word.INCONCLUSIVE, True), judgement.reason


def test_the_report_says_why_recovery_is_unknown():
    """Even if no threshold requires recovery."""
    run = faulted(hurt_until_s=ENDS_S)
    rows = run.intervals
    rows = rows[(rows["second"] >= BEGINS_S) | (rows["series"] != "good")]
    told = [note.what for note in notes(degradation_of(replace(run, intervals=rows)))]
    assert any(text.startswith("recovery in steady can't be determined: ") for text in told), told


def test_a_retry_storm_is_described_in_plain_words():
    """Goodput doesn't come back, and retries keep the target down."""
    run = faulted(hurt_until_s=60)
    sent = run.intervals[run.intervals["series"] == "response"].groupby("second")["count"].sum()
    late = sent[sent.index >= BEGINS_S]
    retried = run.intervals[run.intervals["series"] == "response"].head(len(late)).copy()
    retried = retried.assign(second=late.index, series=RETRIED, count=(late * 0.8).astype(int).to_numpy())
    rows = pd.concat([run.intervals.astype({"series": str}), retried.astype({"series": str})])
    told = [note.what for note in notes(degradation_of(replace(run, intervals=rows)))]
    (storm,) = [text for text in told if text.startswith("metastable")]
    assert "not recovered from pause of target, 36 s after it: goodput was 52.2 rps before, and is 24 rps now" in storm
    assert storm.endswith("79.5 % of the requests sent are retries")


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({}, None),
        ({"faults": [PAUSE | {"at": "4 s"}]}, "nothing to compare with before the fault"),
        ({"phases": [STEADY | {"ramp": "16 s"}]}, "nothing to compare with before the fault"),
        ({"phases": [STEADY | {"duration": "38 s"}]}, "too little time from the end of pause of target to the end of"),
        ({"faults": [PAUSE, PAUSE | {"at": "38 s"}]}, "too little time from the end of pause of target to the next"),
        ({"phases": [STEADY | {"name": "spike", "rate": "90 rps"}, STEADY]}, "there are two things to recover from"),
        (
            {"phases": [STEADY | {"name": "calm"}, STEADY], "faults": [PAUSE, PAUSE | {"phase": "calm", "at": "58 s"}]},
            "pause of target of an earlier phase lasts into it",
        ),
    ],
)
def test_a_plan_that_cant_show_recovery_is_refused(changes, what):
    """Before the run."""
    plan = faulted_plan(**changes)
    found = list(undecidable(plan, expected_requests(plan, plan_phases(plan)), where="x.yaml"))
    assert [what in problem.what for problem in found] == ([True] if what else []), found


def test_users_of_a_group_are_in_step_too():
    """Three turns of 3 s in ten seconds are 0.9 of the usual ones, for its requests as for the group."""
    mix = {"balance": {"share": "100 %", "every": "3 s", "requests": ["balance", "cart"]}}
    groups = {"checkout": {"requests": ["balance", "cart"], "deadline": "1 s"}}
    phases = [{"name": "steady", "duration": "60 s", "users": 150}]
    thresholds = [{"expect": "goodput_ratio >= 1 %"}]
    plan = scenario(phases=phases, mix=mix, groups=groups, faults=[PAUSE], thresholds=thresholds)
    run = run_of_seconds(plan, {("balance", "ok"): np.full(60, 50)})
    assert _fewest_in_step(run, ("balance",)) == _fewest_in_step(run, ("checkout",)) == pytest.approx(0.9)
