"""Answers that loadproof can't read give INVALID exactly if a verdict depends on their content."""

from __future__ import annotations

import pytest

from loadproof.analysis.estimates.scope import tally
from loadproof.analysis.frames.run import load_run
from loadproof.analysis.judge.unread import unread as unread_findings
from loadproof.analysis.judge.verdict import verdict_on_run
from loadproof.analysis.word import Word
from loadproof.histogram import bucket_of
from loadproof.rundir import files
from loadproof.rundir.intervals import append_intervals
from loadproof.rundir.rows import UNREAD
from simulation.rundirs import outcomes, scenario, write_run


def run_with(path, *, unread: int, wrong: int = 0, answer_s: float = 0.02, endpoint: str = "balance", **knobs: object):
    """A run with this many additional answers in one of its seconds, all of them `invalid`."""
    made = write_run(path, lost=unread + wrong, **knobs)
    cell, bucket = (12, "steady", endpoint, "invalid"), bucket_of(round(answer_s * 1e6))
    times = [(*cell, series, bucket, unread + wrong) for series in ("response", "service", "first_byte", "transfer")]
    rows = [*times, (*cell, UNREAD, bucket, unread)]
    append_intervals(made / files.INTERVALS, [row for row in rows if row[-1]])
    return load_run(made)


def found(verdict):
    """The word of the finding."""
    return [finding.word for finding in verdict.findings if "a limit of loadproof" in finding.what]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({"unread": 1}, (Word.PASS, [Word.PASS])),
        ({"unread": 500}, (Word.INVALID, [Word.INVALID])),
        ({"unread": 0, "wrong": 500}, (Word.FAIL, [])),
        ({"unread": 1, "wrong": 500}, (Word.FAIL, [Word.PASS])),
        ({"unread": 500, "wrong": 500}, (Word.FAIL, [Word.PASS])),
        ({"unread": 500, "answer_s": 5.0}, (Word.INVALID, [Word.INVALID])),
        ({"unread": 500, "outcomes_of": outcomes(server_error=0.5)}, (Word.FAIL, [Word.PASS])),
    ],
    ids=["few", "many", "wrong", "few-of-wrong", "many-of-wrong", "many-and-slow", "many-of-failing"],
)
def test_the_word_is_the_same_for_both_extremes_or_invalid(tmp_path, plan, words):
    """All of them correct, and none: a target that fails either way fails, one that passes either way passes."""
    verdict = verdict_on_run(run_with(tmp_path, **plan))
    assert (verdict.word, found(verdict)) == words, verdict.reason
    if verdict.word is Word.INVALID:
        assert verdict.reason.startswith("A limit of loadproof: 500 answers that it can't read count as invalid")


@pytest.mark.slow
@pytest.mark.parametrize("series", ["response", "service", "transfer"])
def test_slow_unread_answers_could_have_violated_a_quantile(tmp_path, series):
    """Ratios hold, but with these among the correct answers the p95 would not."""
    thresholds = [
        {"endpoint": "balance", "phase": "steady", "expect": "p(95) < 200 ms", "series": series},
        {"expect": "goodput_ratio >= 10 %"},
    ]
    run = run_with(tmp_path, unread=400, answer_s=3.0, plan=scenario(thresholds=thresholds))
    verdict = verdict_on_run(run)
    assert (verdict.word, found(verdict)) == (Word.INVALID, [Word.INVALID])
    assert tally(run.intervals).outcomes["invalid"] >= 400


@pytest.mark.slow
@pytest.mark.parametrize(("answer_s", "word"), [(0.02, Word.INVALID), (0.499, Word.INVALID), (0.51, Word.FAIL)])
def test_goodput_depends_on_unread_answers_that_came_in_time(tmp_path, answer_s, word):
    """Beyond the deadline of 500 ms they can't be goodput, whatever they contain."""
    plan = scenario(thresholds=[{"expect": "goodput_ratio >= 98 %"}])
    verdict = verdict_on_run(run_with(tmp_path, unread=500, answer_s=answer_s, plan=plan))
    assert verdict.word is word, verdict.reason


@pytest.mark.slow
def test_unread_answers_are_reported_with_where_the_limit_is_named(tmp_path):
    """And, if so, that no threshold depends on them."""
    (finding,) = unread_findings(run_with(tmp_path, unread=1))
    assert finding.what == (
        "a limit of loadproof: 1 answer that it can't read counts as invalid, although it may be right; "
        "no threshold depends on it"
    )
    assert finding.remedy == (
        "locust_failures.csv names the limit; request smaller answers or another coding, or leave this endpoint out"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("unread", "invalid", "word"),
    [(500, 500, Word.INVALID), (1, 500, Word.FAIL), (500, 0, Word.PASS), (500, 20, Word.PASS)],
    ids=["all", "one-of-many", "none-of-it", "few"],
)
def test_a_group_that_ended_with_an_unread_answer_may_have_gone_on(tmp_path, unread, invalid, word):
    """But no more groups than there were such answers: what else ended them still counts."""
    plan = scenario(
        thresholds=[{"endpoint": "checkout", "expect": "goodput_ratio >= 90 %"}],
        mix={"balance": {"share": "100 %", "every": "1 s", "requests": ["balance", "cart"]}},
        groups={"checkout": {"requests": ["balance", "cart"], "deadline": "1 s"}},
    )
    made = write_run(tmp_path, lost=unread, plan=plan)
    bucket = bucket_of(20_000)
    answers = [
        (12, "steady", "balance", "invalid", "response", bucket, unread),
        (12, "steady", "balance", "invalid", UNREAD, bucket, unread),
    ]
    groups = [
        (12, "steady", "checkout", "invalid", "response", bucket, invalid),
        (12, "steady", "checkout", "ok", "response", bucket, 1000),
        (12, "steady", "checkout", "ok", "good", 0, 1000),
    ]
    append_intervals(made / files.INTERVALS, [row for row in answers + groups if row[-1]])
    (threshold,) = verdict_on_run(load_run(made)).judgements
    (finding,) = unread_findings(load_run(made))
    assert (threshold.word, finding.word) == {
        Word.INVALID: (Word.FAIL, Word.INVALID),
        Word.FAIL: (Word.FAIL, Word.PASS),
        Word.PASS: (Word.PASS, Word.PASS),
    }[word]


@pytest.mark.slow
@pytest.mark.parametrize("series", ["response", "service"])
def test_slow_unread_answers_could_have_violated_a_quantile_of_a_group(tmp_path, series):
    """In either of the series that groups have."""
    plan = scenario(
        thresholds=[
            {"endpoint": "checkout", "expect": "p(95) < 200 ms", "series": series},
            {"endpoint": "checkout", "expect": "goodput_ratio >= 10 %"},
        ],
        mix={"balance": {"share": "100 %", "every": "1 s", "requests": ["balance", "cart"]}},
        groups={"checkout": {"requests": ["balance", "cart"], "deadline": "1 s"}},
    )
    made = write_run(tmp_path, lost=400, plan=plan)
    cell, slow = (12, "steady", "balance", "invalid"), bucket_of(3_000_000)
    rows = [(*cell, "response", slow, 400), (*cell, UNREAD, slow, 400)]
    for outcome, bucket, count in (("invalid", slow, 400), ("ok", bucket_of(20_000), 1000)):
        rows += [(12, "steady", "checkout", outcome, each, bucket, count) for each in ("response", "service")]
    append_intervals(made / files.INTERVALS, [*rows, (12, "steady", "checkout", "ok", "good", 0, 1000)])
    (finding,) = unread_findings(load_run(made))
    assert finding.word is Word.INVALID


@pytest.mark.slow
def test_groups_that_ended_with_an_unread_answer_may_have_been_the_fast_ones(tmp_path):
    """As many slow ones ended wrong, and would have been no goodput."""
    plan = scenario(
        thresholds=[{"endpoint": "checkout", "expect": "goodput_ratio >= 90 %"}],
        mix={"balance": {"share": "100 %", "every": "1 s", "requests": ["balance", "cart"]}},
        groups={"checkout": {"requests": ["balance", "cart"], "deadline": "1 s"}},
    )
    made = write_run(tmp_path, lost=100, plan=plan)
    fast, slow = bucket_of(20_000), bucket_of(3_000_000)
    cell, group = (12, "steady", "balance", "invalid"), (12, "steady", "checkout")
    rows = [(*cell, "response", fast, 100), (*cell, UNREAD, fast, 100), (*group, "ok", "good", 0, 1000)]
    times = [("invalid", fast, 100), ("invalid", slow, 100), ("ok", fast, 1000)]
    rows += [(*group, outcome, "response", bucket, count) for outcome, bucket, count in times]
    append_intervals(made / files.INTERVALS, rows)
    (finding,) = unread_findings(load_run(made))
    assert finding.word is Word.INVALID
