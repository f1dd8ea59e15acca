"""Planned load that was never generated, word for word with its remedy; and seconds at the edges of the plan."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from loadproof.analysis.judge import disturbances
from loadproof.analysis.judge.disturbances import disturbed_phases
from loadproof.rundir.rows import PRESENT_MS, SENT_NOTHING, SET_OUT, WANTS
from simulation.rundirs import open_scenario, scenario
from simulation.traffic import run_of_seconds

STEADY = [{"name": "steady", "duration": "40 s", "rate": "50 rps"}]
GOODPUT = [{"expect": "goodput_ratio >= 50 %"}]
ALONE = {"balance": {"share": "100 %"}}


def open_run(phases=STEADY, *, seconds: int = 40, rps: int = 50):
    plan = open_scenario(phases=phases, mix=ALONE, thresholds=GOODPUT)
    return run_of_seconds(plan, {("balance", "ok"): np.full(seconds, rps)})


def closed_run(phases, *, seconds: int):
    plan = scenario(phases=phases, mix={"balance": {"share": "100 %", "every": "1 s"}}, thresholds=GOODPUT)
    return run_of_seconds(plan, {("balance", "ok"): np.full(seconds, 50)})


def found(run) -> list[tuple[str, bool, str]]:
    every = [disturbance for rule in disturbances.RULES for disturbance in rule(run)]
    return [(disturbance.what, disturbance.decides, disturbance.remedy) for disturbance in every]


def with_cell(run, series: str, count: int):
    cell = run.intervals[run.intervals["series"] == "response"].iloc[[5]]
    rows = cell.assign(outcome="", bucket=0, count=count)
    rows["series"] = pd.Categorical([series], categories=run.intervals["series"].cat.categories)
    return replace(run, intervals=pd.concat([run.intervals, rows]))


@pytest.mark.parametrize(
    ("want", "lacking", "remedy"),
    [
        (
            "ports",
            "no free port",
            "widen net.ipv4.ip_local_port_range, add client addresses, keep connections open, or lower the load",
        ),
        ("files", "no file left to open", "raise the limit of open files (`ulimit -n`, fs.file-max)"),
        ("memory", "no memory", "give it more memory (`ulimit -v`, the container's limit, net.core.wmem_max)"),
    ],
)
def test_what_the_generators_machine_lacks_is_reported_with_a_remedy(want, lacking, remedy):
    """Requests that had no port, file or memory were never sent."""
    what = f"phase steady: 8 of 2,008 requests were not sent: the generator's machine had {lacking}"
    assert found(with_cell(open_run(), WANTS[want], 8)) == [(what, True, remedy)]


EMPTY = "have each task send a request before it returns, and set its pace in the scenario; then run again"


@pytest.mark.parametrize(("empty", "is_told"), [(20, False), (21, True)])
@pytest.mark.parametrize(
    ("run", "turns"), [(open_run(), "arrivals"), (closed_run([{**STEADY[0], "users": 50}], seconds=40), "turns")]
)
def test_more_than_one_turn_in_a_hundred_without_a_request_is_reported(run, turns, empty, is_told):
    """Out of 2,000 that sent one; with what the user's task should do."""
    told = f"phase steady: 21 of 2,021 {turns} of balance sent nothing"
    assert found(with_cell(run, SENT_NOTHING, empty)) == ([(told, True, EMPTY)] if is_told else [])


@pytest.mark.parametrize(("at_end", "is_named"), [("stop", True), ("again", False)])
def test_a_feeder_that_may_have_run_out_is_named(at_end, is_named):
    """Workers share its rows evenly, but not always the turns: then an arrival sends nothing, or a user leaves."""
    fed = {"feeders": {"customers": {"file": "customers.csv", "at_end": at_end}}, "thresholds": GOODPUT}
    plan = open_scenario(phases=STEADY, mix=ALONE, **fed)
    run = run_of_seconds(plan, {("balance", "ok"): np.full(40, 50)})
    ((_, _, remedy),) = found(with_cell(run, SENT_NOTHING, 100))
    assert ("or give feeder customers (which" in remedy) is is_named
    phases = [{"name": "steady", "duration": "40 s", "users": 20}]
    plan = scenario(phases=phases, mix={"balance": {"share": "100 %", "every": "1 s"}}, **fed)
    run = run_of_seconds(plan, {("balance", "ok"): np.full(40, 20)})
    rows = [{"second": second, "phase": "steady", "count": 10_000} for second in range(40)]
    times = pd.DataFrame(rows).assign(endpoint="balance", series=PRESENT_MS)
    ((what, _, _),) = found(replace(run, user_times=times))
    assert what.endswith("because feeder customers had no more rows for them") is is_named


def test_turns_without_a_request_spoil_their_phase():
    """And no other."""
    run = open_run([*STEADY, {**STEADY[0], "name": "after"}], seconds=80)
    assert disturbed_phases(with_cell(run, SENT_NOTHING, 100)) == {"steady"}


def test_journeys_that_began_under_another_name_sent_something():
    """Their kind of user has no request of its own name: 21 of 4,021."""
    assert found(with_cell(with_cell(open_run(), SENT_NOTHING, 21), SET_OUT, 2000)) == []


def test_users_of_a_phase_that_begins_within_a_second_are_planned_from_there():
    """Twenty instead of two from 10.5 s on: the first ten of 200 user-seconds were lost."""
    phases = [
        {"name": "few", "duration": "10500 ms", "users": 2},
        {"name": "many", "duration": "9500 ms", "users": 20},
    ]
    rows = [{"second": second, "phase": "few", "count": 2000} for second in range(10)]
    rows += [{"second": 10, "phase": "few", "count": 1000}, {"second": 10, "phase": "many", "count": 0}]
    rows += [{"second": second, "phase": "many", "count": 20_000} for second in range(11, 20)]
    times = pd.DataFrame(rows).assign(endpoint="balance", series=PRESENT_MS)
    ((what, decides, _),) = found(replace(closed_run(phases, seconds=20), user_times=times))
    assert what.startswith("phase many: 5.3% of the planned user-seconds were lost, mostly because users were missing")
    assert decides


def test_locustfile_users_without_any_record_are_missing():
    """Their requests came from somewhere else; runs without a locustfile may be older than such records."""
    run = closed_run([{**STEADY[0], "users": 50}], seconds=40)
    run = replace(run, user_times=run.user_times.iloc[:0])
    assert found(run) == []
    of_locustfile = run.manifest.scenario.model_copy(update={"locustfile": "own.py"})
    ((what, decides, _),) = found(replace(run, manifest=run.manifest.model_copy(update={"scenario": of_locustfile})))
    assert what.startswith("phase steady: 100.0% of the planned user-seconds were lost, mostly because users were mis")
    assert decides


def test_the_highest_steal_is_reported():
    """Of any second."""
    run = open_run()
    second = run.generator["second"]
    stolen = np.select([second == 9, second == 10], [0.3, 0.1])
    told = "30% of the machine's CPU time was stolen in 2 s"
    assert [what for what, *_ in found(replace(run, generator=run.generator.assign(steal_ratio=stolen)))] == [told]


def test_what_comes_after_the_last_planned_second_disturbs_nothing():
    """The generator is still waiting for answers then."""
    run = open_run()
    after = run.generator.iloc[[-1]].assign(second=40, steal_ratio=0.5)
    last = after.assign(second=39)
    assert found(replace(run, generator=pd.concat([run.generator, after]))) == []
    assert len(found(replace(run, generator=pd.concat([run.generator, last])))) == 1


@pytest.mark.parametrize(("seconds", "phases"), [([9], frozenset()), ([9, 10], {"steady"})])
def test_one_second_disturbs_no_phase_however_short(seconds, phases):
    """Two do, if they are more than a twentieth of it."""
    run = open_run([{**STEADY[0], "duration": "15 s"}], seconds=15)
    delays = np.where(run.generator["second"].isin(seconds), 0.5, 0.0)
    assert disturbed_phases(replace(run, generator=run.generator.assign(loop_delay_s=delays))) == phases
