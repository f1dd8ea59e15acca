"""Where an outage begins and ends, at the limits of what counts as one, and word for word."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from loadproof.analysis.estimates.misses import misses_of
from loadproof.analysis.estimates.scope import Scope
from loadproof.analysis.judge.outage import _worst_stretch, outage_of
from loadproof.rundir.rows import NEVER_SENT
from simulation.countedseconds import failing
from simulation.traffic import run_of_seconds


def outage_in(run):
    threshold = run.manifest.scenario.thresholds[0]
    return outage_of(misses_of(threshold.expectation, run, Scope.of(threshold, run.manifest.scenario)), run)


def outage_text(run) -> str:
    return outage_in(run).text(run, run.manifest.scenario.thresholds[0].expectation)


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
def test_an_outage_is_where_most_misses_cluster(failed, seconds):
    """In up to nine tenths of the seconds, with at least half of them, and not by chance."""
    outage = outage_in(failing(failed))
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
def test_the_worst_stretch_has_consecutive_seconds(excess, numbers, stretch):
    """The shortest and first of those with the largest sum."""
    assert _worst_stretch(np.array(excess), np.array(list(numbers))) == stretch


@pytest.mark.parametrize(
    ("run", "text"),
    [
        (
            failing([0] * 10 + [50] * 5 + [0] * 10),
            (
                "an outage began 10 s into the run (06:00:10 UTC) and lasted 5 s: 250 of 500 requests "
                "ended in server_error, "
                "of balance"
            ),
        ),
        (
            failing([0] * 20 + [50] * 5, mix={"balance": {"share": "100 %"}}),
            (
                "an outage began 20 s into the run (06:00:20 UTC) and lasted until the run ended, 5 s later: "
                "250 of 500 requests ended in server_error"
            ),
        ),
        (
            failing([0] * 10 + [50] * 5 + [0] * 10, "goodput_ratio >= 99 %", outcome="dropped"),
            (
                "an outage began 10 s into the run (06:00:10 UTC) and lasted 5 s: "
                "250 of 500 requests were dropped, never sent, of balance"
            ),
        ),
        (
            failing([0] * 10 + [50] * 5 + [0] * 10, outcome="timeout", health=100),
            (
                "an outage began 10 s into the run (06:00:10 UTC) and lasted 5 s: 250 of 1,000 requests ended in "
                "timeout, of balance"
            ),
        ),
    ],
    ids=["middle", "end", "dropped", "timeout"],
)
def test_an_outage_is_described_in_one_sentence(run, text):
    """When it began, how long it lasted, how its requests ended, and the endpoint of nearly all of them."""
    if "dropped" in text:
        kinds = run.intervals["series"].where(run.intervals["outcome"] != "dropped", "dropped")
        run = replace(
            run, intervals=run.intervals.assign(series=kinds).drop_duplicates(["second", "series", "outcome"])
        )
    assert outage_text(run) == text


@pytest.mark.parametrize(("other", "where"), [(5, ", of balance"), (6, "")])
def test_an_endpoint_is_named_if_it_has_nine_misses_in_ten(other, where):
    """If there are several kinds of misses, the most frequent comes first."""
    hurt = np.repeat([0, 1, 0], [10, 5, 10])
    plan = failing(hurt).manifest.scenario
    counted = {
        ("balance", "ok"): 100 - 50 * hurt,
        ("balance", "server_error"): 35 * hurt,
        ("balance", "timeout"): 15 * hurt,
        ("health", "ok"): 100 - other * hurt,
        ("health", "timeout"): other * hurt,
    }
    text = outage_text(run_of_seconds(plan, counted))
    timeouts, every = 5 * (15 + other), 5 * (50 + other)
    assert text.endswith(f"{every} of 1,000 requests failed (175 server_error, {timeouts} timeout){where}")


def test_slow_answers_are_a_slow_stretch():
    """If they ended as they should."""
    run = failing([0] * 25, "p(95) < 200 ms")
    slow = run.intervals["second"].between(10, 14) & (run.intervals["series"] == "response")
    bucket = run.intervals["bucket"].where(~slow, 1700)
    text = outage_text(replace(run, intervals=run.intervals.assign(bucket=bucket)))
    assert text == (
        "a slow stretch began 10 s into the run (06:00:10 UTC) and lasted 5 s: "
        "500 of 500 requests took longer than 200 ms, of balance"
    )


@pytest.mark.parametrize(("failed", "seconds"), [([0, 33, 0], (1, 2)), ([0, 32, 0], None)])
def test_failures_may_cluster_by_chance(failed, seconds):
    """Three seconds have six stretches; 32 of 100 where 20 may fail happen by chance in one run of 53."""
    outage = outage_in(failing(failed, "error_ratio < 10 %"))
    assert (outage and (outage.start_s, outage.end_s)) == seconds


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        ("backed_off", "never sent, because the target had asked to wait"),
        ("missed", "missed, never sent"),
        ("dropped", "dropped, never sent"),
        ("ok", "ok, but too late"),
    ],
)
def test_lost_goodput_is_described_by_its_outcome(outcome, told):
    """Refused, never sent, or correct but too late."""
    run = failing([0] * 10 + [50] * 5 + [0] * 10, "goodput_ratio >= 99 %", outcome="timeout")
    is_bad = run.intervals["outcome"] == "timeout"
    cells = run.intervals.assign(outcome=run.intervals["outcome"].where(~is_bad, outcome))
    if outcome != "ok":
        cells = cells.assign(series=cells["series"].where(~is_bad, NEVER_SENT)).drop_duplicates(
            ["second", "series", "outcome"]
        )
    assert f"250 of 500 requests were {told}" in outage_text(replace(run, intervals=cells))
