"""What disturbs a measurement, at its limit and just beyond it; and whether it decides, and for which phase."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from loadproof.analysis.judge import disturbances
from loadproof.analysis.judge.disturbance import Disturbance, seconds_of_rows
from loadproof.analysis.judge.disturbances import disturbed_phases
from loadproof.analysis.judge.health import findings_in
from loadproof.analysis.word import Word
from loadproof.histogram import bucket_of
from loadproof.rundir.rows import FOLLOWED, LATE_MS, PRESENT_MS, WANTS
from simulation.rundirs import open_scenario, scenario
from simulation.traffic import run_of_seconds

PHASES = [
    {"name": "warm-up", "warm_up": True, "duration": "5 s", "rate": "50 rps"},
    {"name": "steady", "duration": "40 s", "rate": "50 rps"},
    {"name": "after", "duration": "40 s", "rate": "50 rps"},
]
GOALS = ({"expect": "p(95) < 400 ms"}, {"expect": "error_ratio < 10 %"}, {"expect": "goodput_ratio >= 50 %"})
CLOSED = [{"name": "steady", "duration": "40 s", "users": 10}, {"name": "after", "duration": "40 s", "users": 10}]


def calm(*thresholds: dict[str, str], **changes: Any):
    """50 requests a second of 20 ms each, and an idle generator."""
    content = {"phases": PHASES, "mix": {"balance": {"share": "100 %"}}, "thresholds": list(thresholds or GOALS)}
    plan = open_scenario(**content | changes)
    return run_of_seconds(plan, {("balance", "ok"): np.full(85, 50)})


def disturbed(seconds: range, run=None, **columns: float):
    """The same, with these values in the generator's record of these seconds."""
    run = run or calm()
    inside = run.generator["second"].isin(seconds)
    values = {name: np.where(inside, value, run.generator[name]) for name, value in columns.items()}
    return replace(run, generator=run.generator.assign(**values))


def found(run) -> list[tuple[str, bool, frozenset[int]]]:
    every = [disturbance for rule in disturbances.RULES for disturbance in rule(run)]
    return [(disturbance.what, disturbance.decides, disturbance.seconds) for disturbance in every]


def told(run) -> list[tuple[str, str]]:
    return [(str(finding.word), finding.what) for finding in disturbances.disturbances(run)]


def test_a_calm_run_has_no_disturbances():
    """And no disturbed phase."""
    assert found(calm()) == []
    assert told(calm()) == []
    assert disturbed_phases(calm()) == frozenset()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seconds", "columns", "what", "harmful"),
    [
        (
            range(9, 12),
            {"cpu_ratio": 0.95, "lag_p99_s": 0.01},
            "worker local at 95% CPU for 3 s, p99 start lag 10 ms",
            3,
        ),
        (range(9, 12), {"cpu_ratio": 0.949}, None, 0),
        (range(9, 11), {"cpu_ratio": 1.0}, None, 0),
        (range(5), {"cpu_ratio": 1.0}, None, 0),
        (range(3, 8), {"cpu_ratio": 1.0}, "worker local at 100% CPU for 3 s, p99 start lag 0 s", 3),
        (
            range(9, 12),
            {"wait_ratio": 0.1, "cpu_ratio": 0.3},
            "worker local waited for its core in 3 s, for up to 25% of the time that it was ready to run",
            0,
        ),
        (
            range(9, 12),
            {"wait_ratio": 0.2, "cpu_ratio": 0.2},
            "worker local waited for its core in 3 s, for up to 50% of the time that it was ready to run",
            3,
        ),
        (
            range(9, 12),
            {"wait_ratio": 0.19, "cpu_ratio": 0.2},
            "worker local waited for its core in 3 s, for up to 49% of the time that it was ready to run",
            0,
        ),
        (range(9, 12), {"wait_ratio": 0.1, "cpu_ratio": 0.31}, None, 0),
        (range(9, 11), {"wait_ratio": 0.5, "cpu_ratio": 0.1}, None, 0),
        (range(9, 12), {"wait_ratio": 0.004, "cpu_ratio": 0.0}, None, 0),
        (range(9, 10), {"loop_delay_s": 0.25}, None, 0),
        (range(9, 10), {"loop_delay_s": 0.26}, "worker local: the event loop stalled once, for up to 260 ms", 1),
        (range(9, 11), {"loop_delay_s": 1.0}, "worker local: the event loop stalled 2 times, for up to 1 s", 2),
        (range(9, 10), {"steal_ratio": 0.1}, "10% of the machine's CPU time was stolen in 1 s", 0),
        (range(9, 11), {"steal_ratio": 0.2}, "20% of the machine's CPU time was stolen in 2 s", 0),
        (range(9, 10), {"steal_ratio": 0.099}, None, 0),
        (range(5), {"steal_ratio": 0.5}, None, 0),
        (range(9, 10), {"clock_step_s": 0.5}, None, 0),
        (range(9, 11), {"clock_step_s": -0.6}, "worker local's wall clock was moved by 1.2 s", 0),
    ],
    ids=str,
)
def test_disturbances_of_seconds_are_reported_from_their_limit_on(seconds, columns, what, harmful):
    """None of them decides by itself; warm-up is left out, and harmful seconds are listed."""
    every = found(disturbed(seconds, **columns))
    assert [(text, decides) for text, decides, _ in every] == ([] if what is None else [(what, False)])
    assert [len(spoiled) for _, _, spoiled in every] == ([] if what is None else [harmful])


@pytest.mark.parametrize(
    ("seconds", "columns", "what"),
    [
        (range(9, 10), {"loop_delay_s": 1.01}, "worker local: the event loop stalled once, for up to 1.01 s"),
        (range(85), {"clock_skew_s": 0.101}, "worker local's clock is 101 ms ahead of the master's"),
        (range(85), {"clock_skew_s": -0.101}, "worker local's clock is 101 ms behind the master's"),
        (range(85), {"clock_skew_s": 0.1}, None),
        (range(84), {"clock_skew_s": 0.5}, None),
        (range(9, 10), {"asleep_s": 0.51}, "the machine slept for 510 ms"),
        (range(9, 10), {"asleep_s": 0.5}, None),
    ],
    ids=str,
)
def test_disturbances_that_decide_are_reported_beyond_their_limit(seconds, columns, what):
    """Whatever the thresholds are; a clock's skew is its last and best estimate."""
    every = found(disturbed(seconds, **columns))
    assert [(text, decides) for text, decides, _ in every] == ([] if what is None else [(what, True)])


@pytest.mark.parametrize(("missing", "what"), [(2, None), (3, "worker local was frozen for 3 s")])
def test_a_gap_in_the_record_is_a_frozen_process(missing, what):
    """Two seconds may get lost between two reports."""
    run = calm()
    rows = run.generator[~run.generator["second"].isin(range(20, 20 + missing))]
    every = found(replace(run, generator=rows.iloc[::-1]))
    assert [(text, decides) for text, decides, _ in every] == ([] if what is None else [(what, True)])


@pytest.mark.parametrize(
    ("missing", "which"),
    [(range(2), None), (range(3), "first 3 s"), (range(83, 85), None), (range(82, 85), "last 3 s")],
)
@pytest.mark.parametrize("ending", ["completed", "aborted"])
def test_a_completed_run_is_recorded_from_beginning_to_end(missing, which, ending):
    """A generator that stood still for half of a closed run used to get PASS; an aborted run may end early."""
    run = calm()
    run = replace(run, manifest=run.manifest.model_copy(update={"ending": ending}))
    every = found(replace(run, generator=run.generator[~run.generator["second"].isin(missing)]))
    is_told = which is not None and ending == "completed"
    assert every == ([(f"the generator left no record of the {which}", True, frozenset())] if is_told else [])


def test_each_worker_is_checked_separately():
    """Two workers busy for two seconds each don't make one that is busy for four."""
    run = disturbed(range(9, 11), cpu_ratio=1.0)
    other = disturbed(range(11, 13), cpu_ratio=1.0).generator.assign(worker="2")
    assert found(replace(run, generator=pd.concat([run.generator, other]))) == []


def with_lag(run, lag_s: float, seconds: range):
    """The run with requests of these seconds sent this late."""
    rows = run.intervals[(run.intervals["series"] == "response") & run.intervals["second"].isin(seconds)]
    lags = rows.assign(series="lag", bucket=bucket_of(round(lag_s * 1e6)))
    return replace(run, intervals=pd.concat([run.intervals, lags]))


@pytest.mark.parametrize(
    ("thresholds", "limit"),
    [
        (GOALS, "100 ms"),
        (({"expect": "p(95) < 400 ms"}, {"expect": "max < 200 ms"}, *GOALS[1:]), "50 ms"),
        (({"expect": "p(95) < 400 ms", "series": "service"}, *GOALS[1:]), "50 ms"),
        (({"expect": "p(95) < 400 ms", "phase": "after"}, *GOALS[1:]), "50 ms"),
        (({"expect": "p(95) <= 1.1 * baseline"}, *GOALS[1:]), "50 ms"),
        (({"expect": "mean < 800 ms"}, *GOALS[1:]), "125 ms"),
        (({"expect": "mean < 800 ms"}, {"expect": "error_ratio < 10 %"}), "200 ms"),
        (({"expect": "p(95) < 4 s"}, *GOALS[1:]), "125 ms"),
        (GOALS[1:], "50 ms"),
    ],
    ids=str,
)
def test_start_lag_may_be_a_quarter_of_the_tightest_limit_on_times(thresholds, limit):
    """On response times in that phase, or of the deadline if goodput is limited: 500 ms. Without any, it is 50 ms."""
    run = with_lag(calm(*thresholds), 0.3, range(5, 45))
    assert [text for text, _, _ in found(run)] == [
        f"phase steady: p99 start lag 300 ms, more than {limit}",
    ]


@pytest.mark.parametrize(("lag_s", "is_told"), [(0.098, False), (0.102, True)])
def test_start_lag_at_its_limit_is_accepted(lag_s, is_told):
    """Beyond it, it is a disturbance."""
    assert bool(found(with_lag(calm(), lag_s, range(5, 45)))) == is_told


@pytest.mark.parametrize(("followed", "is_told"), [(0, False), (1_800, True), (2_000, False)])
def test_start_lag_only_counts_turns_and_arrivals(followed, is_told):
    """Later requests of a journey are due when they begin: 15 late ones are 7.5 % of 200 arrivals."""
    run = calm()
    cell = run.intervals[run.intervals["series"] == "response"].iloc[[5]]
    lags = [cell.assign(series="lag", bucket=bucket_of(us), count=n) for us, n in ((10, 1985), (300_000, 15))]
    later = cell.assign(series=FOLLOWED, bucket=0, outcome="", count=followed)
    assert (
        bool(
            [
                what
                for what, *_ in found(replace(run, intervals=pd.concat([run.intervals, *lags, later])))
                if "lag" in what
            ]
        )
        == is_told
    )


def test_start_lag_that_no_second_explains_decides_for_its_phase():
    """If the record shows in which seconds of the phase it happened, those are weighed instead."""
    run = with_lag(calm(), 0.3, range(5, 45))
    assert [(decides, seconds) for _, decides, seconds in found(run)] == [(True, frozenset())]
    assert disturbed_phases(run) == {"steady"}
    late = disturbed(range(43, 47), run, lag_p99_s=0.2)
    assert [(decides, seconds) for _, decides, seconds in found(late)] == [(False, frozenset({43, 44}))]


@pytest.mark.parametrize(("late", "is_told"), [(20, False), (21, True)])
def test_one_in_a_hundred_may_be_late(late, is_told):
    """Of 2,000, the 1,980th decides."""
    run = calm()
    cell = run.intervals[run.intervals["series"] == "response"].iloc[[5]].assign(series="lag")
    lags = [cell.assign(bucket=bucket_of(us), count=n) for us, n in ((1_000, 2000 - late), (300_000, late))]
    assert bool(found(replace(run, intervals=pd.concat([run.intervals, *lags])))) == is_told


@pytest.mark.parametrize(
    ("workers", "in_flight", "is_told"), [(1, 10, False), (1, 9, True), (2, 5, False), (2, 4, True), (3, 3, True)]
)
def test_a_worker_only_drops_if_its_share_is_in_flight(workers, in_flight, is_told):
    """Ten in all, divided and rounded up."""
    run = disturbed(range(9, 10), calm(max_in_flight=10), dropped=1200, in_flight=in_flight)
    run = replace(run, manifest=run.manifest.model_copy(update={"workers": workers}))
    every = found(run)
    assert every == ([("1,200 arrivals were dropped while users were free", True, frozenset())] if is_told else [])


@pytest.mark.parametrize(("unsent", "decides"), [(2, False), (3, True)])
def test_more_than_one_unsent_request_in_a_thousand_decides(unsent, decides):
    """Out of 2,000 plus these; by phase. If there are fewer, their seconds are weighed."""
    run = calm()
    cell = run.intervals[run.intervals["series"] == "response"].iloc[[5]]
    rows = cell.assign(outcome="", series=WANTS["files"], bucket=0, count=unsent)
    kinds = run.intervals["series"].cat.categories
    rows["series"] = pd.Categorical(rows["series"], categories=kinds)
    ((what, does_decide, seconds),) = found(replace(run, intervals=pd.concat([run.intervals, rows])))
    lacking = "the generator's machine had no file left to open"
    assert what == f"phase steady: {unsent} of {2000 + unsent:,} requests were not sent: {lacking}"
    assert (does_decide, seconds) == (decides, frozenset({5}))


@pytest.mark.parametrize(("missing", "what"), [(20, None), (21, "phase steady: 1,979 of 2,000 planned arrivals were")])
def test_one_planned_arrival_in_a_hundred_may_be_missing(missing, what):
    """Not more; and only a completed run has to have them all."""
    run = calm()
    at = run.intervals.index[(run.intervals["series"] == "response") & (run.intervals["second"] == 5)]
    run.intervals.loc[at, "count"] -= missing
    assert [text[: len(what or "")] for text, _, _ in found(run)] == ([] if what is None else [what])
    ended = replace(run, manifest=run.manifest.model_copy(update={"ending": "interrupted"}))
    assert found(ended) == []


def with_bursts(run, *bursts: tuple[float, float, int]):
    details = [
        json.dumps({"burst": number, "sent": 10, "spread_s": spread_s, "peak_in_flight": 9, "late": late})
        for number, (_, spread_s, late) in enumerate(bursts, 1)
    ]
    times_s = [at_s for at_s, _, _ in bursts]
    return replace(run, events=pd.DataFrame({"time_s": times_s, "kind": "burst", "detail": details}))


def test_a_burst_that_is_spread_out_is_no_burst():
    """Beyond 50 ms, unless its users were still waiting for answers, which is the target's doing."""
    run = with_bursts(calm(), (10.0, 0.05, 0), (11.0, 0.051, 0), (12.0, 0.08, 1))
    assert found(run) == [("burst 2: 10 sends spread over 51 ms: not a simultaneous load", True, frozenset())]


@pytest.mark.parametrize(
    ("free_spread_s", "late", "is_ours"), [(0.8, 1, True), (0.8, 10, True), (0.8, 11, False), (0.05, 1, False)]
)
def test_a_burst_that_was_spread_out_anyway_is_no_burst(free_spread_s, late, is_ours):
    """However long the few users that the target kept waiting come after the others; more of them are its doing."""
    detail = {"burst": 1, "sent": 1000, "spread_s": 1.2, "peak_in_flight": 990, "late": late}
    events = {"time_s": [10.0], "kind": ["burst"], "detail": [json.dumps(detail | {"free_spread_s": free_spread_s})]}
    run = replace(calm(), events=pd.DataFrame(events))
    what = f"burst 1: {1000 - late} sends spread over 800 ms: not a simultaneous load"
    assert found(run) == ([(what, True, frozenset())] if is_ours else [])
    words = ["INVALID"] if is_ours else ["PASS"] if late <= 10 else ["FAIL"]
    assert [str(finding.word) for finding in findings_in(run) if "burst" in finding.what] == words


def crowd(present_ms: float = 10_000, late_ms: float = 0, *, seconds: range = range(40), ending: str = "completed"):
    """Ten users in two phases of 40 s; in these seconds they were present, and late, for this long."""
    thresholds = [{"expect": "goodput_ratio >= 50 %"}]
    plan = scenario(phases=CLOSED, mix={"balance": {"share": "100 %", "every": "1 s"}}, thresholds=thresholds)
    run = run_of_seconds(plan, {("balance", "ok"): np.full(80, 10)})
    rows = [
        {"second": second, "phase": "steady" if second < 40 else "after", "series": series, "count": ms}
        for second in range(80)
        for series, ms in (
            (PRESENT_MS, present_ms if second in seconds else 10_000),
            (LATE_MS, late_ms if second in seconds else 0),
        )
    ]
    manifest = run.manifest.model_copy(update={"ending": ending})
    return replace(run, manifest=manifest, user_times=pd.DataFrame(rows).assign(endpoint="balance"))


ABSENT = "mostly because users were missing: too slow to start, or ended by an exception"
NOT_READY = "mostly because users were not ready for their turn: their own code or the event loop took too long"


@pytest.mark.parametrize(
    ("run", "lost", "why"),
    [
        (crowd(9_900), None, None),
        (crowd(9_890), "1.1%", ABSENT),
        (crowd(late_ms=99), None, None),
        (crowd(late_ms=200), "2.0%", NOT_READY),
        (crowd(9_900, 100), "2.0%", NOT_READY),
        (crowd(9_800, 100), "3.0%", ABSENT),
        (crowd(0, seconds=range(20)), "50.0%", ABSENT),
        (crowd(0, seconds=range(20), ending="interrupted"), None, None),
        (crowd(12_000, seconds=range(20)), None, None),
    ],
    ids=lambda value: str(value)[:9] if isinstance(value, str) else "",
)
def test_more_than_one_lost_user_second_in_a_hundred_is_reported(run, lost, why):
    """Absent and late ones together; for a run that should have completed."""
    every = found(run)
    what = f"phase steady: {lost} of the planned user-seconds were lost, {why}"
    assert [(text, decides) for text, decides, _ in every] == ([] if lost is None else [(what, True)])
    assert disturbed_phases(run) == (frozenset() if lost is None else {"steady"})


def test_surplus_users_at_one_time_dont_make_up_for_missing_ones():
    """A user that should be gone and still waits for an answer is no substitute."""
    run = crowd(12_000, seconds=range(20))
    few = crowd(8_000, seconds=range(20, 40)).user_times
    mixed = pd.concat([run.user_times[run.user_times["second"] < 20], few[few["second"] >= 20]])
    ((what, _, _),) = found(replace(run, user_times=mixed))
    assert "10.0% of the planned user-seconds" in what


@pytest.mark.parametrize(
    ("seconds", "phases"),
    [
        (range(10, 12), frozenset()),
        (range(10, 13), {"steady"}),
        (range(43, 46), frozenset()),
        (range(43, 48), {"after"}),
        (range(42, 48), {"steady", "after"}),
        (range(5), frozenset()),
    ],
)
def test_a_phase_is_disturbed_by_more_than_a_twentieth_of_its_seconds(seconds, phases):
    """Of 40 s, by three; each phase by its own."""
    assert disturbed_phases(disturbed(seconds, loop_delay_s=0.5)) == phases


@pytest.mark.parametrize(
    ("thresholds", "seconds", "word"),
    [
        (GOALS, range(10, 12), "PASS"),
        (GOALS, range(10, 13), "INVALID"),
        (({"expect": "goodput_ratio >= 50 %", "phase": "after"},), range(10, 20), "PASS"),
    ],
)
def test_disturbances_that_cant_change_a_verdict_are_notes(thresholds, seconds, word):
    """Too many seconds of a phase that a threshold reads could change it; of another phase they couldn't."""
    run = disturbed(seconds, calm(*thresholds), loop_delay_s=0.5)
    times = f"{len(seconds)} times"
    what = f"worker local: the event loop stalled {times}, for up to 500 ms"
    assert told(run) == [(word, what if word == "INVALID" else f"{what}; no threshold depends on it")]


@pytest.mark.parametrize(
    "expect",
    [
        "goodput >= 47 rps",
        "goodput >= 40 rps for 10 s",
        "throughput >= 40 rps for 10 s",
        "count >= 3900",
        "p(90) < 1 s for 10 s",
    ],
)
def test_leaving_out_a_second_doesnt_lower_a_rate(expect):
    """The target answered everything in it; not weighing those answers doesn't mean fewer of them."""
    run = calm({"expect": expect}, {"expect": "goodput_ratio >= 50 %"})
    ((word, _),) = told(disturbed(range(20, 21), run, loop_delay_s=0.3))
    assert word == "PASS"


def test_a_disturbed_second_can_change_a_rate_or_a_group():
    """A window that had nothing because of it; and a group's time is weighed like a request's."""
    run = calm({"expect": "goodput >= 35 rps for 4 s"}, {"expect": "goodput_ratio >= 50 %"})
    silent = np.full(85, 50)
    silent[20] = 0
    run = run_of_seconds(run.manifest.scenario, {("balance", "ok"): silent, ("balance", "timeout"): 50 - silent})
    ((word, _),) = told(disturbed(range(20, 21), run, loop_delay_s=0.5))
    assert word == "INVALID"
    goals = {"endpoint": "checkout", "expect": "error_ratio < 1 %"}, {"expect": "goodput_ratio >= 50 %"}
    mix = {"balance": {"share": "100 %", "requests": ["balance", "pay"]}}
    run = calm(*goals, mix=mix, groups={"checkout": {"requests": ["balance", "pay"], "deadline": "1 s"}})
    failed = np.zeros(85, dtype=int)
    failed[20] = 50
    counted = {("balance", "ok"): 50 - failed, ("balance", "server_error"): failed}
    groups = run_of_seconds(calm().manifest.scenario, counted).intervals.assign(endpoint="checkout")
    ((word, _),) = told(disturbed(range(20, 21), replace(run, groups=groups), loop_delay_s=0.5))
    assert word == "INVALID"


def test_a_note_without_seconds_says_nothing_about_thresholds():
    """Nothing was weighed."""
    what = "10% of the machine's CPU time was stolen in 1 s"
    assert told(disturbed(range(9, 10), steal_ratio=0.1)) == [("PASS", what)]


@pytest.mark.parametrize("second", [9, 10, 11])
def test_seconds_around_a_disturbed_one_are_weighed_with_it(second):
    """A request to be answered in it was sent before it, and a late one was sent after it."""
    run = calm({"expect": "error_ratio < 1 %"}, {"expect": "goodput_ratio >= 50 %"})
    failed = np.zeros(85, dtype=int)
    failed[second] = 50
    run = run_of_seconds(run.manifest.scenario, {("balance", "ok"): 50 - failed, ("balance", "server_error"): failed})
    ((word, _),) = told(disturbed(range(10, 11), run, loop_delay_s=0.5))
    assert word == "INVALID"


@pytest.mark.parametrize("second", [8, 12])
def test_seconds_further_away_are_not_weighed(second):
    """What happened there stays the target's."""
    run = calm({"expect": "error_ratio < 1 %"}, {"expect": "goodput_ratio >= 50 %"})
    failed = np.zeros(85, dtype=int)
    failed[second] = 50
    run = run_of_seconds(run.manifest.scenario, {("balance", "ok"): 50 - failed, ("balance", "server_error"): failed})
    ((word, _),) = told(disturbed(range(10, 11), run, loop_delay_s=0.5))
    assert word == "PASS"


@pytest.mark.parametrize(
    ("row", "seconds"),
    [
        ({"second": 7, "length_s": 1.0}, {7}),
        ({"second": 7, "length_s": 1.1}, {7}),
        ({"second": 7, "length_s": 1.11}, {7, 8}),
        ({"second": 7, "length_s": 0.05}, {7}),
        ({"second": 7, "length_s": -5.0}, {7}),
        ({"second": 7, "length_s": 3.0}, {7, 8, 9}),
        ({"second": 0, "length_s": 1e9}, set(range(60))),
    ],
    ids=str,
)
def test_a_row_covers_all_seconds_that_it_extends_into(row, seconds):
    """Except for jitter; a damaged length counts as a minute at most."""
    assert seconds_of_rows(pd.DataFrame([row])) == seconds


@pytest.mark.parametrize(
    ("disturbance", "spoils"),
    [
        (Disturbance("x", "y", decides=True), [True, True]),
        (Disturbance("x", "y", frozenset({10}), decides=True), [True, False]),
        (Disturbance("x", "y", frozenset({44}), decides=True), [True, False]),
        (Disturbance("x", "y", frozenset({45}), decides=True), [False, True]),
        (Disturbance("x", "y", frozenset({10})), [False, False]),
        (Disturbance("x", "y", decides=True, phases=frozenset({"after"})), [False, True]),
        (Disturbance("x", "y", frozenset({10}), decides=True, phases=frozenset({"after"})), [True, True]),
    ],
    ids=str,
)
def test_deciding_disturbances_spoil_their_phases(disturbance, spoils):
    """All phases if it is unknown."""
    assert [disturbance.spoils(span) for span in calm().manifest.phases[1:]] == spoils


def test_with_a_locustfile_the_remedy_mentions_blocking_code():
    """Nothing of ours stops the event loop for that long."""
    run = crowd(10_000)
    of_locustfile = run.manifest.scenario.model_copy(update={"locustfile": "own.py"})
    run = replace(run, manifest=run.manifest.model_copy(update={"scenario": of_locustfile}))
    (finding,) = disturbances.disturbances(disturbed(range(9, 12), run, loop_delay_s=1.5))
    assert finding.remedy == (
        "remove blocking code from the locustfile (long computations, calls that gevent can't patch), "
        "free the generator's core, add workers, or lower the load, then run again"
    )


@pytest.mark.slow
def test_each_disturbance_has_its_remedy():
    """The one that fits."""
    runs = {
        "free the generator's core, add workers, or lower the load, then run again": disturbed(
            range(9, 12), cpu_ratio=1
        ),
        "keep other work off the generator's core, then run again": disturbed(range(9, 12), wait_ratio=0.9),
        "don't suspend the machine or the process, and run again": disturbed(range(9, 10), asleep_s=9.0),
        "synchronise the machines' clocks (NTP), then run again": disturbed(range(85), clock_skew_s=9.0),
        "nothing is timed by it during a run": disturbed(range(9, 10), clock_step_s=9.0),
        "a quieter machine gives narrower intervals": disturbed(range(9, 10), steal_ratio=0.5),
        "check generator.log and what the locustfile does between requests, then run again": crowd(0),
    }
    for remedy, run in runs.items():
        assert [finding.remedy for finding in disturbances.disturbances(run)] == [remedy]
    assert {finding.word for run in runs.values() for finding in disturbances.disturbances(run)} == {
        Word.INVALID,
        Word.PASS,
    }


def test_a_stall_that_begins_in_warm_up_reaches_into_the_phase_after_it():
    """Its row is the warm-up's last; the seconds that are missing are too few to be called frozen."""
    run = calm()
    rows = run.generator[~run.generator["second"].isin([5, 6])]
    is_stalled = rows["second"] == 4
    stalled = rows.assign(loop_delay_s=np.where(is_stalled, 2.8, 0.0), length_s=np.where(is_stalled, 2.9, 1.0))
    what = "worker local: the event loop stalled once, for up to 2.8 s"
    assert [(text, decides) for text, decides, _ in found(replace(run, generator=stalled))] == [(what, True)]


def test_a_second_that_two_phases_share_is_looked_at():
    """It is measured, whichever phase it belongs to."""
    phases = [{"name": name, "duration": "10500 ms", "rate": "50 rps"} for name in ("first", "second")]
    plan = open_scenario(phases=phases, mix={"balance": {"share": "100 %"}}, thresholds=[*GOALS])
    run = run_of_seconds(plan, {("balance", "ok"): np.full(21, 50)})
    stalled = found(disturbed(range(10, 11), run, loop_delay_s=1.2))
    assert [decides for text, decides, _ in stalled if "stalled" in text] == [True]


def test_bursts_in_warm_up_disturb_nothing():
    """Nor do arrivals that were dropped in it; it lasts 5 s."""
    assert found(with_bursts(calm(), (2.0, 0.08, 0))) == []
    few = calm(max_in_flight=10)
    assert found(disturbed(range(2, 3), few, dropped=5, in_flight=1)) == []
    assert found(disturbed(range(5, 6), few, dropped=5, in_flight=1))


def test_what_was_unsent_in_warm_up_decides_nothing():
    """However much it was."""
    run = calm()
    cell = run.intervals[run.intervals["phase"] == "warm-up"].iloc[[0]]
    rows = cell.assign(outcome="", series=WANTS["files"], bucket=0, count=50)
    every = found(replace(run, intervals=pd.concat([run.intervals, rows])))
    assert [decides for what, decides, _ in every if "phase warm-up: 50 of " in what] == [False]
