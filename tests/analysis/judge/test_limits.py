"""Outages, windows, load curves and what they are told as, at their limits and word for word."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.estimates.estimate import Estimate, ratio_estimate
from analysis.estimates.metrics import Scope, Tally
from analysis.estimates.misses import misses_of
from analysis.estimates.recovery import Recovery
from analysis.estimates.shedding import Shedding
from analysis.estimates.steady import Alike, Settling
from analysis.judge.degradation import Degradation, notes
from analysis.judge.judgement import Word
from analysis.judge.loadcurve import Collapse, LoadCurve, Past, Step, collapse_in, load_curve, scalability
from analysis.judge.outage import _worst_stretch, outage_of
from analysis.judge.windows import count_seconds, deciding_window, judge_windows
from loadproof.outcome import Outcome
from loadproof.scenario.expectation import parse_expectation
from loadproof.scenario.scenario import Threshold
from simulation.rundirs import open_scenario
from simulation.traffic import run_of_seconds

RPS = 100
BOTH = {"balance": {"share": "50 %"}, "health": {"share": "50 %"}}
GOODPUT = {"expect": "goodput_ratio >= 50 %"}


def run_with(failed, expect: str = "error_ratio < 1 %", *, outcome: str = "server_error", health: int = 0, mix=None):
    """So many of the 100 requests of `balance` in each second failed; all of `health` are good."""
    failed = np.array(failed)
    phases = [{"name": "steady", "duration": f"{failed.size} s", "rate": "100 rps"}]
    plan = open_scenario(phases=phases, mix=mix or BOTH, thresholds=[{"expect": expect}, GOODPUT])
    counted = {("balance", "ok"): RPS - failed, ("balance", outcome): failed}
    return run_of_seconds(plan, counted | ({("health", "ok"): np.full(failed.size, health)} if health else {}))


def outage_in(run):
    threshold = run.manifest.scenario.thresholds[0]
    return outage_of(misses_of(threshold.expectation, run, Scope.of(threshold, run.manifest.scenario)), run)


def outage_text(run) -> str:
    return outage_in(run).told(run, run.manifest.scenario.thresholds[0].expectation)


@pytest.mark.parametrize(
    ("failed", "seconds"),
    [
        ([0] * 10 + [50] * 5 + [0] * 10, (10, 15)),
        ([50] * 5 + [0] * 20, (0, 5)),
        ([0] * 20 + [50] * 5, (20, 25)),
        ([50] * 18 + [0] * 2, (0, 18)),
        ([50] * 19 + [0] * 1, None),
        ([50] * 20, None),
        ([0] * 20, None),
        ([1] * 20, None),
        ([0, 0, 0, 0, 2] * 4, None),
        ([0, 60, *[0, 0, 0, 40, 0, 0, 0, 40] * 3], None),
        ([0, 60, 0, 0, 0, 20, 0, 0, 0, 20], (1, 10)),
    ],
)
def test_an_outage_is_where_most_of_what_was_wrong_crowds(failed, seconds):
    """In up to nine tenths of the seconds, holding half of it, and by no chance."""
    outage = outage_in(run_with(failed))
    assert (outage and (outage.start_s, outage.end_s)) == seconds


@pytest.mark.parametrize(
    ("excess", "numbers", "stretch"),
    [
        ([1.0, 2.0, -1.0, 3.0], range(4), (0, 4)),
        ([1.0, -2.0, 3.0, 1.0], range(4), (2, 4)),
        ([3.0, -1.0, 1.0], range(3), (0, 1)),
        ([-1.0, -2.0], range(2), (0, 0)),
        ([0.0, 0.0], range(2), (0, 0)),
        ([2.0, 2.0, 3.0], [0, 1, 5], (0, 2)),
        ([2.0, 2.0, 5.0], [0, 1, 5], (2, 3)),
        ([1.0, -1.0, 2.0], range(3), (2, 3)),
    ],
)
def test_the_worst_stretch_is_of_seconds_that_follow_one_another(excess, numbers, stretch):
    """The shortest and first of those with the largest sum."""
    assert _worst_stretch(np.array(excess), np.array(list(numbers))) == stretch


@pytest.mark.parametrize(
    ("run", "text"),
    [
        (
            run_with([0] * 10 + [50] * 5 + [0] * 10),
            (
                "an outage began 10 s into the run (06:00:10 UTC) and lasted 5 s: 250 of 500 requests ended server_error, "
                "of balance"
            ),
        ),
        (
            run_with([0] * 20 + [50] * 5, mix={"balance": {"share": "100 %"}}),
            (
                "an outage began 20 s into the run (06:00:20 UTC) and lasted until the run ended, 5 s later: "
                "250 of 500 requests ended server_error"
            ),
        ),
        (
            run_with([0] * 10 + [50] * 5 + [0] * 10, "goodput_ratio >= 99 %", outcome="dropped"),
            (
                "an outage began 10 s into the run (06:00:10 UTC) and lasted 5 s: "
                "250 of 500 requests ended dropped, never sent, of balance"
            ),
        ),
        (
            run_with([0] * 10 + [50] * 5 + [0] * 10, outcome="timeout", health=100),
            (
                "an outage began 10 s into the run (06:00:10 UTC) and lasted 5 s: 250 of 1,000 requests ended timeout, "
                "of balance"
            ),
        ),
    ],
    ids=["middle", "end", "dropped", "timeout"],
)
def test_an_outage_is_told_in_one_sentence(run, text):
    """When it began, how long it lasted, what became of how many, and of which endpoint nearly all of them were."""
    if "dropped" in text:
        kinds = run.intervals["series"].where(run.intervals["outcome"] != "dropped", "dropped")
        run = replace(
            run, intervals=run.intervals.assign(series=kinds).drop_duplicates(["second", "series", "outcome"])
        )
    assert outage_text(run) == text


@pytest.mark.parametrize(("other", "where"), [(5, ", of balance"), (6, "")])
def test_an_endpoint_is_named_if_nine_in_ten_were_its_own(other, where):
    """Of those that were wrong; and the kinds are told where there are several, the most frequent first."""
    hurt = np.repeat([0, 1, 0], [10, 5, 10])
    plan = run_with(hurt).manifest.scenario
    counted = {
        ("balance", "ok"): 100 - 50 * hurt,
        ("balance", "server_error"): 35 * hurt,
        ("balance", "timeout"): 15 * hurt,
        ("health", "ok"): 100 - other * hurt,
        ("health", "timeout"): other * hurt,
    }
    text = outage_text(run_of_seconds(plan, counted))
    timeouts, every = 5 * (15 + other), 5 * (50 + other)
    assert text.endswith(f"{every} of 1,000 requests ended badly (175 server_error, {timeouts} timeout){where}")


def test_slow_answers_are_a_slow_stretch():
    """Of those that ended as they should."""
    run = run_with([0] * 25, "p(95) < 200 ms")
    slow = run.intervals["second"].between(10, 14) & (run.intervals["series"] == "response")
    bucket = run.intervals["bucket"].where(~slow, 1700)
    text = outage_text(replace(run, intervals=run.intervals.assign(bucket=bucket)))
    assert text == (
        "a slow stretch began 10 s into the run (06:00:10 UTC) and lasted 5 s: "
        "500 of 500 requests took longer than 200 ms, of balance"
    )


def window_of(failed, expect: str, until_s: float = 1e9, run=None):
    run = run or run_with(failed)
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
def test_the_first_window_that_is_broken_decides_once_it_is_over(failed, until_s, window):
    """Else the worst of those that don't pass, or of all."""
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
        ("p(90) < 200 ms for 5 s", Word.PASS),
        ("p(90) > 200 ms for 5 s", Word.FAIL),
        ("p(90) < 10 ms for 5 s", Word.FAIL),
        ("p(90) >= 10 ms for 5 s", Word.PASS),
    ],
)
def test_either_side_of_a_limit_can_be_the_good_one(expect, word):
    """100 requests a second, each good and of 20 ms."""
    assert window_of([0] * 10, expect).word is word


def test_an_empty_window_passes_nothing_and_is_no_failure():
    """It is the one that decides where no other fails."""
    run = run_with([0] * 20)
    silent = run.intervals[~run.intervals["second"].between(5, 12)]
    found = window_of([0] * 20, "error_ratio < 15 % for 5 s", run=replace(run, intervals=silent))
    assert (found.start_s, found.word, found.share) == (5, Word.INCONCLUSIVE, None)


@pytest.mark.parametrize(
    ("failed", "expect", "reason"),
    [
        ([0] * 20, "error_ratio < 15 % for 5 s", "at worst 0 % from 0 s to 5 s (0 % to 1.7 %)"),
        ([0] * 9 + [100] * 11, "goodput >= 70 rps for 5 s", "beyond the limit"),
        ([0] * 20, "error_ratio < 1 % for 5 s", "samples in the window, needs "),
        ([10] * 20, "error_ratio < 12 % for 5 s", ", straddles the limit; about "),
        ([10] * 20, "goodput >= 88 rps for 5 s", "windows of about "),
    ],
)
def test_a_windows_reason_has_its_value_and_its_seconds(failed, expect, reason):
    """And how much more would decide."""
    run = run_with(failed)
    threshold = Threshold.model_validate({"expect": expect})
    judgement = judge_windows(threshold, run, Scope(("steady",), ("balance", "health")))
    assert reason in judgement.reason, judgement.reason


def test_a_burn_rates_interval_is_turned_round():
    """The higher the goodput ratio, the less is burnt."""
    judgement = judge_windows(
        Threshold.model_validate({"expect": "burn_rate(90) < 5 x for 5 s"}),
        run_with([10] * 20),
        Scope(("steady",), ("balance", "health")),
    )
    assert judgement.estimate.value == pytest.approx(1.0)
    assert 0.5 < judgement.estimate.low < 1 < judgement.estimate.high < 2


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
def test_a_load_was_held_if_all_below_it_were(words, held, broke):
    """And broke where the first goal did not hold for sure."""
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
def test_what_most_of_the_rest_became(ended, good, dropped, past):
    """Refused is nine tenths of it; unsent or late is half."""
    tally = Tally(dict.fromkeys(Outcome, 0) | ended, good=good, dropped=dropped, abandoned=0)
    found = step(tally=tally, goodput_ratio=Estimate(0.8, 0.7, 0.9, 1000))
    assert found.past is past
    assert replace(found, word=Word.INVALID).past is None
    assert replace(found, goodput_ratio=None).past is None
    assert replace(found, goodput_ratio=Estimate(0.99, 0.9, 0.999, 1000)).past is None


@pytest.mark.parametrize(("goodput_rps", "collapsed"), [(90.0, False), (89.9, True)])
def test_more_than_a_tenth_of_the_peak_is_a_collapse(goodput_rps, collapsed):
    """Exactly a tenth is none."""
    found = collapse_in((step(100), step(200, goodput_rps=goodput_rps)))
    assert (found is not None) == collapsed


def test_a_law_needs_four_loads_that_differ():
    """And something in flight at each."""
    steps = [step(load) for load in (50, 100, 150, 200)]
    assert scalability(tuple(steps)) is not None
    assert scalability(tuple(steps[:3])) is None
    assert scalability((*steps[:3], replace(steps[3], in_flight=steps[2].in_flight))) is None
    assert scalability((replace(steps[0], in_flight=0.0), *steps[1:], step(250))) is None
    law = scalability(tuple(steps))
    assert law.throughput(np.array([1.0]))[0] == pytest.approx(law.single_rps)


def test_two_loads_make_a_curve_of_whole_seconds():
    """Per second of what each step lasted; a ramp is left out, and warm-up."""
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


def nothing(**changes) -> Degradation:
    empty = {
        "curve": None,
        "recoveries": (),
        "unrest": (),
        "drifts": (),
        "settling": None,
        "too_alike": (),
        "too_short": (),
        "shedding": None,
    }
    return Degradation(**empty | changes)


def recovery(took_s: float | None) -> Recovery:
    known = dict.fromkeys(Recovery.__dataclass_fields__, None)
    return Recovery(**known | {"trigger": "spike", "took_s": took_s, "looked_s": 30})


KEEP = "refuse before any work, and say in Retry-After when a client is admitted again"
ALIKE = Alike("steady", correlation=0.5, lasted_s=20)


@pytest.mark.parametrize(
    ("degradation", "told"),
    [
        (nothing(), []),
        (
            nothing(curve=replace(curve_of(), collapse=Collapse(step(100), step(200, goodput_rps=60)))),
            [
                (
                    "goodput collapsed: 100 rps in at-100, 60 rps in at-200 under more load",
                    "refuse what is too much early, before it costs anything",
                )
            ],
        ),
        (nothing(shedding=Shedding(1000, 0.01, 0.1, 10, 0, 0, 0)), []),
        (
            nothing(shedding=Shedding(1000, 0.5, 0.1, 10, 0, 0, 0)),
            [("1,000 requests were refused, not gracefully: refused slowly, p95 500 ms", KEEP)],
        ),
        (nothing(recoveries=(recovery(3.0),)), []),
        (
            nothing(recoveries=(recovery(None),)),
            [
                (
                    "metastable: not as before spike in 30 s after it",
                    "look for retries, full queues and lost caches that keep the load up",
                )
            ],
        ),
        (nothing(unrest=("a reason",)), [("a reason", "compare with a phase in which the target keeps up")]),
        (
            nothing(too_short=("a", "b")),
            [
                (
                    "a, b: too few seconds to see how alike they are, and taken as independent",
                    "let a phase last 10 s at least where a verdict hangs on it",
                )
            ],
        ),
        (nothing(settling=Settling(15, 10.0, "steady")), []),
        (
            nothing(settling=Settling(16, 10.0, "steady")),
            [
                (
                    "response times: settled after 16 s; the warm-up ended at 10 s",
                    "warm up longer, or look at what drifts",
                )
            ],
        ),
        (
            nothing(settling=Settling(None, 10.0, "steady"), too_alike=(ALIKE,)),
            [
                (
                    "response times: no steady state; the warm-up ended at 10 s",
                    "warm up longer, or look at what drifts",
                )
            ],
        ),
        (
            nothing(too_alike=(ALIKE,)),
            [
                (
                    (
                        "neighbouring seconds of steady are alike (correlation 0.50): "
                        "from 20 s of them intervals come out too narrow"
                    ),
                    "let it last 2 min where the verdict is close",
                )
            ],
        ),
    ],
    ids=lambda value: value[0][0][:24] if isinstance(value, list) and value else "",
)
def test_what_is_worth_a_word_is_a_note_with_its_remedy(degradation, told):
    """None of them decides."""
    assert [(note.what, note.remedy) for note in notes(degradation)] == told
    assert all(note.word is Word.PASS for note in notes(degradation))
