"""What a run's record shows besides its thresholds: word for word, at each limit."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from loadproof.analysis.frames.failures import RaisedException
from loadproof.analysis.judge.health import findings_in
from loadproof.analysis.judge.thresholds import judge_threshold
from loadproof.rundir.manifest import RedisFacts
from loadproof.rundir.rows import LISTENER_RAISED, REPEATED, SURPLUS
from simulation.rundirs import open_scenario
from simulation.traffic import run_of, run_of_seconds

PHASES = [{"name": "steady", "duration": "40 s", "rate": "50 rps"}]
RESTART = "check generator.log, then run again"
MEMORY = "check target.log and the target's memory, then run again"
NO_RECORD = "there is no record of the generator's health, so it may not have kept up"
DEFECT = "this is a bug in loadproof: keep the run directory and report it"
BACKGROUND = f"stop what the locustfile leaves running in the background; if there is nothing, {DEFECT}"


def calm(*, seconds: int = 40, thresholds: list[dict[str, object]] | None = None, **manifest: Any):
    """50 requests a second, 2,000 in all, none in flight at the end."""
    content = {"phases": PHASES, "mix": {"balance": {"share": "100 %"}}}
    plan = open_scenario(**content, thresholds=thresholds or [{"expect": "goodput_ratio >= 50 %"}])
    run = run_of_seconds(plan, {("balance", "ok"): np.where(np.arange(40) < seconds, 50, 0)})
    run = replace(run, generator=run.generator[run.generator["second"] < seconds].assign(in_flight=5))
    return replace(run, manifest=run.manifest.model_copy(update=manifest))


def told(run) -> list[tuple[str, str, str]]:
    return [(str(finding.word), finding.what, finding.remedy) for finding in findings_in(run)]


def cell(run, *, series: str, count: int, outcome: str = "ok") -> pd.DataFrame:
    row = run.intervals[run.intervals["series"] == "response"].iloc[[0]]
    return row.assign(outcome=outcome, series=series, bucket=0, count=count)


def with_cells(run, **counted: int):
    return replace(
        run, intervals=pd.concat([run.intervals, *(cell(run, series=s, count=n) for s, n in counted.items())])
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ending", "word", "what", "remedy"),
    [
        (
            "target_died",
            "FAIL",
            "the target died after 20 s of 40 s (x)",
            "check target.log and the target's memory, then run again",
        ),
        ("generator_died", "INVALID", "the generator died after 20 s of 40 s (x)", RESTART),
        (
            "disk_full",
            "INVALID",
            "recording stopped after 20 s of 40 s (x)",
            "free disk space, or make the directory writable, then run again",
        ),
        ("interrupted", "INCONCLUSIVE", "interrupted after 20 s of 40 s", "let it run to the end"),
        ("terminated", "INCONCLUSIVE", "terminated after 20 s of 40 s", "let it run to the end"),
        ("running", "INCONCLUSIVE", "cut off after 20 s of 40 s: the run never finished", "let it run to the end"),
    ],
)
def test_each_ending_is_reported_with_how_far_the_run_came(ending, word, what, remedy):
    """And with what is known about it."""
    assert told(calm(seconds=20, ending=ending, ending_detail="x"))[0] == (word, what, remedy)
    assert told(calm(seconds=20, ending=ending))[0][1] == what.replace(" (x)", "")


def test_an_end_by_users_own_code_doesnt_point_to_a_log():
    """The finding already names the place."""
    ended = "Locust ended with code 1, ended by own.py, line 9, in done: os._exit(1); see generator.log"
    word, what, remedy = told(calm(seconds=20, ending="generator_died", ending_detail=ended))[0]
    assert (word, ended in what) == ("INVALID", True)
    assert remedy == "remove that: loadproof ends the run itself, and ending it earlier loses the last requests"


ABORT = [{"expect": "goodput >= 40 rps for 5 s", "abort": True}, {"expect": "error_ratio < 50 %"}]
GOES_ON = [{"expect": "goodput >= 10 rps for 5 s", "abort": True}, {"expect": "error_ratio < 50 %"}]
OTHER = [{"expect": "goodput >= 10 rps for 5 s", "abort": True}, {"expect": "goodput >= 9000 rps"}]


@pytest.mark.parametrize(
    ("thresholds", "word", "more", "remedy"),
    [
        (
            [{"expect": "goodput >= 200 rps for 5 s", "abort": True}, *ABORT],
            "FAIL",
            "",
            "look at that window in the report, fix the target, and run again",
        ),
        (GOES_ON, "INCONCLUSIVE", "; in the complete record that window is not violated", "run it again, to the end"),
        (OTHER, "INCONCLUSIVE", "; in the complete record that window is not violated", "run it again, to the end"),
    ],
)
def test_an_aborted_run_fails_if_its_window_is_violated(thresholds, word, more, remedy):
    """By a threshold with `abort`, and in the complete record."""
    found = told(calm(thresholds=thresholds, seconds=20, ending="aborted", ending_detail="x"))[0]
    assert found == (word, f"ended early, after 20 s of 40 s (x){more}", remedy)


@pytest.mark.parametrize(
    ("ending", "empty", "whats"),
    [
        ("completed", {"intervals", "generator"}, ["no request was recorded"]),
        (
            "completed",
            {"generator"},
            [NO_RECORD],
        ),
        ("interrupted", {"generator"}, []),
        ("terminated", {"intervals", "generator"}, []),
        ("running", {"intervals", "generator"}, []),
        ("aborted", {"intervals", "generator"}, []),
        ("target_died", {"intervals", "generator"}, []),
        ("generator_died", {"intervals", "generator"}, ["no request was recorded"]),
    ],
)
def test_a_missing_record_proves_nothing(ending, empty, whats):
    """Unless the run was cut short."""
    run = calm(ending=ending)
    run = replace(run, **{name: getattr(run, name).iloc[:0] for name in empty})
    found = [(word, what, remedy) for word, what, remedy in told(run) if "record" in what and "complete" not in what]
    assert found == [("INVALID", what, RESTART) for what in whats]


def test_setup_requests_are_reported_if_no_task_sent_anything():
    """Users may be waiting for a login that failed."""
    run = calm()
    run = replace(run, setup=cell(run, series="response", count=7), intervals=run.intervals.iloc[:0])
    what = "no request was recorded but 7 of users' on_start and on_stop"
    assert ("INVALID", what, RESTART) in told(run)
    raised = told(replace(run, raised=(RaisedException(times=1, message="no", place="a.py, line 1"),)))
    assert ("INVALID", what, "fix the locustfile; locust_exceptions.csv has the tracebacks") in raised


def test_damage_is_a_note():
    """As it was found."""
    assert told(replace(calm(), damage=("x is missing",))) == [
        ("PASS", "x is missing", "nothing to do if the run was cut off")
    ]


@pytest.mark.parametrize("difference", [1, -1])
def test_every_request_is_accounted_for(difference):
    """Neither fewer nor more than were sent."""
    run = calm()
    sent = run.generator["sent"].where(run.generator["second"] != 3, 50 + difference)
    what = f"{2000 + difference:,} requests were sent, 2,000 are accounted for"
    assert told(replace(run, generator=run.generator.assign(sent=sent))) == [("INVALID", what, BACKGROUND)]


@pytest.mark.parametrize("ending", ["interrupted", "terminated", "aborted", "running", "generator_died", "disk_full"])
def test_a_run_cut_short_need_not_account_for_its_requests(ending):
    """Those in flight went with it."""
    run = calm(ending=ending)
    assert DEFECT not in str(told(replace(run, generator=run.generator.assign(sent=1))))


@pytest.mark.parametrize(
    ("series", "setup"), [("want_ports", False), ("abandoned", False), ("want_ports", True), ("abandoned", True)]
)
def test_unsent_and_abandoned_requests_are_accounted_for(series, setup):
    """Both planned ones and setup."""
    run = calm()
    rows = cell(run, series=series, count=1)
    run = replace(run, setup=rows) if setup else replace(run, intervals=pd.concat([run.intervals, rows]))
    assert DEFECT in str(told(run))
    sent = run.generator["sent"].where(run.generator["second"] != 3, 51)
    assert DEFECT not in str(told(replace(run, generator=run.generator.assign(sent=sent))))


@pytest.mark.parametrize(
    ("workers", "abandoned", "is_told"), [(1, 5, False), (1, 6, True), (2, 10, False), (2, 11, True)]
)
def test_no_more_requests_are_abandoned_than_were_in_flight(workers, abandoned, is_told):
    """The maxima of all workers added up."""
    run = with_cells(calm(), abandoned=abandoned)
    idle = run.generator.assign(sent=0, worker="2")
    rows = [run.generator, *([idle] if workers == 2 else [])]
    generator = pd.concat(rows).reset_index(drop=True)
    generator.loc[3, "sent"] += abandoned
    generator.loc[4:39, "in_flight"] = 1
    what = f"{abandoned} requests were cut off, but never more than {5 * workers} were in flight at once"
    assert told(replace(run, generator=generator)) == ([("INVALID", what, DEFECT)] if is_told else [])


@pytest.mark.parametrize(
    ("ended", "word", "what"),
    [
        ({"ok": 100}, "PASS", ""),
        ({"ok": 99, "timeout": 1}, "PASS", ", of which 1 ended in timeout"),
        (
            {"ok": 98, "timeout": 1, "invalid": 1},
            "INCONCLUSIVE",
            ", of which 1 ended in invalid and 1 ended in timeout",
        ),
    ],
)
def test_requests_outside_the_plan_are_reported(ended, word, what):
    """If more than one in a hundred failed, what users sent afterwards may not be what was intended."""
    run = calm()
    rows = pd.concat([cell(run, series="response", count=count, outcome=outcome) for outcome, count in ended.items()])
    generator = run.generator.assign(sent=np.where(run.generator["second"] == 3, 150, 50))
    remedy = "fix the target, or what on_start and on_stop send, then run again" if what else "nothing to do"
    text = f"on_start, on_stop and authentication sent 100 requests outside the plan{what}"
    assert told(replace(run, setup=rows, generator=generator)) == [(word, text, remedy)]


@pytest.mark.parametrize(("spread_s", "late", "is_told"), [(0.05, 3, False), (0.06, 3, True), (0.05, 0, False)])
def test_a_burst_with_waiting_users_is_the_targets_fault(spread_s, late, is_told):
    """The pace before it was too much."""
    detail = json.dumps({"burst": 2, "sent": 10, "spread_s": spread_s, "peak_in_flight": 9, "late": late})
    events = pd.DataFrame({"time_s": [10.0], "kind": ["burst"], "detail": [detail]})
    what = "burst 2: 10 sends spread over 60 ms, 3 users were still waiting for an answer"
    remedy = "the target is too slow for the pace before the burst"
    assert told(replace(calm(), events=events)) == ([("FAIL", what, remedy)] if is_told else [])


@pytest.mark.parametrize(("late", "word"), [(10, "PASS"), (11, "FAIL")])
def test_a_burst_that_few_users_are_late_for_is_what_was_planned(late, word):
    """At most one in a hundred of a thousand, as much as may be missing of any load: a note."""
    detail = json.dumps({"burst": 1, "sent": 1000, "spread_s": 0.8, "peak_in_flight": 990, "late": late})
    events = pd.DataFrame({"time_s": [10.0], "kind": ["burst"], "detail": [detail]})
    ((found, what, _),) = told(replace(calm(), events=events))
    assert found == word
    assert what == f"burst 1: 1,000 sends spread over 800 ms, {late} users were still waiting for an answer"


@pytest.mark.parametrize(("repeated", "is_told"), [(2, False), (3, True)])
def test_more_than_one_repeated_request_in_a_thousand_is_reported(repeated, is_told):
    """Out of 2,000; as a note."""
    what = "3 of 2,000 requests were sent twice: the target closed their connection"
    remedy = "let the target keep idle connections open for longer, or close them first: timeouts.keep_alive_idle"
    assert told(with_cells(calm(), **{REPEATED: repeated})) == ([("PASS", what, remedy)] if is_told else [])


@pytest.mark.parametrize(("surplus", "is_told"), [(0, False), (1, True)])
def test_surplus_bytes_after_an_answer_are_reported(surplus, is_told):
    """However few: the next answer could have been taken for another request's."""
    what = "the target sent extra bytes after its response to 1 of 2,000 requests: "
    what += "each of these connections had to be closed"
    remedy = "make the target's Content-Length agree with the bytes that it sends"
    assert told(with_cells(calm(), **{SURPLUS: surplus})) == ([("PASS", what, remedy)] if is_told else [])


@pytest.mark.parametrize(("times", "word"), [(20, "PASS"), (21, "INCONCLUSIVE")])
def test_exceptions_in_users_own_code_are_reported(times, word):
    """More than one in a hundred requests changes the load, unless listeners raised them."""
    raised = (
        RaisedException(times=times - 1, message="no", place="a.py, line 1"),
        RaisedException(times=1, message="", place=""),
    )
    what = f"the users' own code raised {times} exceptions, most often no (a.py, line 1)"
    remedy = "fix the locustfile; locust_exceptions.csv has the tracebacks"
    assert told(replace(calm(), raised=raised)) == [(word, what, remedy)]
    listener = RaisedException(times=2000, message=f"{LISTENER_RAISED}KeyError: no", place="a.py, line 9")
    what = "the users' own code raised 2,000 exceptions, most often a listener raised KeyError: no (a.py, line 9)"
    assert told(replace(calm(), raised=(listener,))) == [("PASS", what, remedy)]
    what = "the users' own code raised 1 exceptions, most often one without text"
    assert told(replace(calm(), raised=raised[1:])) == [("PASS", what, remedy)]


@pytest.mark.parametrize(
    ("redis", "samples", "is_told"), [(True, [0, 0], False), (True, [0, 1234], True), (False, [0, 1234], False)]
)
def test_a_lost_redis_is_reported_if_limits_should_be_shared(redis, samples, is_told):
    """They weren't during that time; a Redis of your own target is your own business."""
    facts = RedisFacts(address="redis://127.0.0.1:1/0", started_by_run=True) if redis else None
    run = calm()
    manifest = run.manifest.model_copy(update={"target": run.manifest.target.model_copy(update={"redis": facts})})
    rows = pd.DataFrame({"time_s": [1.0, 2.0], "metric": "limiter_fallbacks_total", "value": samples})
    findings = told(replace(run, manifest=manifest, target=rows))
    assert [word for word, *_ in findings] == ["PASS"] * is_told
    for _, what, remedy in findings:
        assert what == "the embedded target lost its Redis for a while: 1,234 checks were counted in memory"
        assert remedy.startswith("check redis.log")


def test_deliberate_faults_are_reported_in_one_line():
    """Whatever they contain."""
    run = calm()
    target = run.manifest.target.model_copy(update={"faults": "a\nb"})
    ((word, what, remedy),) = told(replace(run, manifest=run.manifest.model_copy(update={"target": target})))
    assert what.startswith("the embedded target was made to fail on purpose: FAULTS='a")
    assert "\n" not in what
    assert (word, remedy) == ("PASS", "unset FAULTS to measure the API as it is")


@pytest.mark.parametrize(
    ("ending", "expect", "word"),
    [
        ("interrupted", "count >= 1500", "INCONCLUSIVE"),
        ("running", "count >= 1500", "INCONCLUSIVE"),
        ("aborted", "count >= 1500", "INCONCLUSIVE"),
        ("completed", "count >= 1500", "FAIL"),
        ("target_died", "count >= 1500", "FAIL"),
        ("interrupted", "count >= 900", "PASS"),
        ("interrupted", "count <= 900", "FAIL"),
        ("interrupted", "goodput >= 60 rps", "FAIL"),
    ],
)
def test_what_was_cut_off_is_not_missing_through_the_target(ending, expect, word):
    """A count may still have been reached; the rate of a steady phase would have stayed what it was."""
    run = calm(thresholds=[{"expect": expect}, {"expect": "goodput_ratio >= 50 %"}], seconds=20, ending=ending)
    judged = judge_threshold(run.manifest.scenario.thresholds[0], run)
    assert judged.word == word
    assert judged.reason.endswith("; but not all of the load that it reads was sent") is (word == "INCONCLUSIVE")


def arriving(good: list[int], arrived: list[int], expect: str, *, planned_s: int, ending: str, rps: int = 100):
    """Requests without warm-up, and a deadline of 5 s: answers by when they were due, and by when they came."""
    phases = [{"name": "steady", "duration": f"{planned_s} s", "rate": f"{rps} rps"}]
    thresholds = [{"expect": expect}, {"expect": "goodput_ratio >= 50 %"}]
    plan = open_scenario(phases=phases, mix={"balance": {"share": "100 %"}}, deadline="5 s", thresholds=thresholds)
    padding = [0] * (planned_s - len(good))
    run = run_of_seconds(plan, {("balance", "ok"): np.array(good + padding)})
    came = run.intervals["series"] == "completed"
    late = run_of_seconds(plan, {("balance", "ok"): np.array(arrived + padding)}).intervals
    intervals = pd.concat([run.intervals[~came], late[late["series"] == "completed"]])
    generator = run.generator[run.generator["second"] < len(good)]
    manifest = run.manifest.model_copy(update={"ending": ending})
    return replace(run, intervals=intervals, generator=generator, manifest=manifest)


@pytest.mark.parametrize("expect", ["throughput >= 100 rps", "goodput >= 100 rps"])
@pytest.mark.parametrize(
    ("good", "arrived", "word"),
    [
        ([100, 50, 0], [0, 50, 100], "INCONCLUSIVE"),
        ([50] * 13 + [20, 0], [0, 20] + [50] * 13, "FAIL"),
    ],
)
def test_answers_that_a_run_was_cut_off_from_are_not_missing(expect, good, arrived, word):
    """They take 1.5 s. After more seconds than the deadline has, half of them are missing all the same."""
    run = arriving(good, arrived, expect, planned_s=40, ending="interrupted")
    judged = judge_threshold(run.manifest.scenario.thresholds[0], run)
    assert judged.word == word
    still = "; but answers to its last requests were still on their way"
    assert judged.reason.endswith(still) is (word == "INCONCLUSIVE")


def test_answers_still_on_their_way_are_not_missing_at_a_few_requests_per_second_either():
    """They take 4 s, with a deadline of 5 s: after 7 s, only those of the first three seconds are there."""
    good, arrived = [8] * 3 + [0] * 4, [0] * 4 + [8] * 3
    run = arriving(good, arrived, "goodput >= 8 rps", planned_s=40, ending="interrupted", rps=8)
    assert judge_threshold(run.manifest.scenario.thresholds[0], run).word == "INCONCLUSIVE"


def test_what_failed_before_a_run_was_cut_off_was_no_answer_on_its_way():
    """All requests have ended, the last four seconds of them in errors: that is within the deadline of the end."""
    plan = open_scenario(
        phases=[{"name": "steady", "duration": "60 s", "rate": "100 rps"}],
        mix={"balance": {"share": "100 %"}},
        deadline="5 s",
        thresholds=[{"expect": "goodput >= 95 rps"}, {"expect": "goodput_ratio >= 50 %"}],
    )
    good, failed = np.zeros(60, dtype=int), np.zeros(60, dtype=int)
    good[:16], failed[16:20] = 100, 100
    run = run_of_seconds(plan, {("balance", "ok"): good, ("balance", "server_error"): failed})
    generator = run.generator[run.generator["second"] < 20]
    run = replace(run, generator=generator, manifest=run.manifest.model_copy(update={"ending": "interrupted"}))
    assert judge_threshold(run.manifest.scenario.thresholds[0], run).word == "FAIL"


@pytest.mark.parametrize(("good", "word"), [([100] * 5, "INCONCLUSIVE"), ([100, 100, 0, 0, 0], "FAIL")])
def test_answers_after_the_end_of_a_short_phase_are_not_missing(good, word):
    """They take 3 s of its 5 s; those that are too late are."""
    run = arriving(good, [0, 0, 0, 100, 100], "throughput >= 100 rps", planned_s=5, ending="completed")
    assert judge_threshold(run.manifest.scenario.thresholds[0], run).word == word


@pytest.mark.parametrize(("outcome", "word"), [("throttled", "INCONCLUSIVE"), ("server_error", "FAIL")])
def test_late_refusals_after_the_end_of_a_short_phase_are_not_missing(outcome, word):
    """They are answers like others; here none comes after its deadline, or every one does."""
    plan = open_scenario(
        phases=[{"name": "steady", "duration": "5 s", "rate": "100 rps"}],
        mix={"balance": {"share": "100 %"}},
        deadline="4 s",
        thresholds=[{"expect": "throughput >= 95 rps"}, {"expect": "p(95) < 1 s"}],
    )
    took_s = 3.0 if word == "INCONCLUSIVE" else 4.5
    at_s = np.arange(0, 5, 0.01)
    run = run_of(plan, at_s, np.full(at_s.size, took_s), [outcome])
    assert judge_threshold(plan.thresholds[0], run).word == word


@pytest.mark.parametrize("ending", ["completed", "interrupted"])
@pytest.mark.parametrize(
    ("expect", "took_s", "word"),
    [
        ("throughput >= 80 rps for 10 s", 3.0, "INCONCLUSIVE"),
        ("throughput >= 80 rps for 10 s", 6.0, "FAIL"),
        ("goodput >= 80 rps for 10 s", 3.0, "PASS"),
    ],
)
def test_answers_on_their_way_are_not_missing_in_a_window(expect, took_s, word, ending):
    """The first window of a run has few of the answers to its requests; one that is cut off lacks the last ones."""
    plan = open_scenario(
        phases=[{"name": "steady", "duration": "40 s", "rate": "100 rps"}],
        mix={"balance": {"share": "100 %"}},
        deadline="5 s",
        thresholds=[{"expect": expect}, {"expect": "goodput_ratio >= 50 %"}],
    )
    end_s = 30 if ending == "interrupted" else 40
    at_s = np.arange(0, end_s, 0.01)
    came = at_s + took_s < end_s if ending == "interrupted" else np.full(at_s.size, fill_value=True)
    run = run_of(plan, at_s[came], np.full(came.sum(), took_s))
    generator = run.generator[run.generator["second"] < end_s]
    run = replace(run, generator=generator, manifest=run.manifest.model_copy(update={"ending": ending}))
    judged = judge_threshold(plan.thresholds[0], run).word
    assert judged == ("INCONCLUSIVE" if (word, ending) == ("PASS", "interrupted") else word)


@pytest.mark.parametrize("ramp", [{}, {"ramp": "20 s"}])
def test_a_rate_is_not_known_before_the_phase_with_most_load(ramp):
    """Nor before the end of a ramp."""
    low = {"name": "low", "warm_up": bool(ramp), "duration": "20 s", "rate": "10 rps"}
    high = {"name": "high", "duration": "20 s", "rate": "100 rps", **ramp}
    thresholds = [{"expect": "goodput >= 40 rps"}, {"expect": "goodput_ratio >= 50 %"}]
    plan = open_scenario(phases=[low, high], mix={"balance": {"share": "100 %"}}, thresholds=thresholds)
    run = run_of_seconds(plan, {("balance", "ok"): np.where(np.arange(40) < 25, 10, 0)})
    cut = replace(run, generator=run.generator[run.generator["second"] < 25])
    for ending, word in (("interrupted", "INCONCLUSIVE"), ("completed", "FAIL")):
        ended = replace(cut, manifest=run.manifest.model_copy(update={"ending": ending}))
        assert judge_threshold(plan.thresholds[0], ended).word == word


def test_a_late_burst_in_warm_up_is_nobodys_fault():
    """Thresholds don't read it."""
    run = calm()
    warm = [span.model_copy(update={"warm_up": True}) for span in run.manifest.phases]
    detail = json.dumps({"burst": 1, "sent": 10, "spread_s": 0.3, "peak_in_flight": 9, "late": 9})
    events = pd.DataFrame({"time_s": [10.0], "kind": ["burst"], "detail": [detail]})
    for phases, tellings in ((run.manifest.phases, 1), (warm, 0)):
        manifest = run.manifest.model_copy(update={"phases": phases})
        of_bursts = [what for _, what, _ in told(replace(run, manifest=manifest, events=events)) if "burst" in what]
        assert len(of_bursts) == tellings
