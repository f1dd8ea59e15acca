"""Each kind of threshold on known counts: its word, both answers, and its sentence to the last digit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from loadproof.analysis.judge.judgement import Compliance
from loadproof.analysis.judge.thresholds import judge_threshold
from loadproof.analysis.word import Word
from loadproof.histogram import bucket_of
from simulation.countedseconds import failing
from simulation.rundirs import open_scenario, scenario
from simulation.traffic import run_of_seconds

STEADY = [10] * 20
"""10 % of each second's 100 requests failed."""
UNSTEADY = [13, 6, 9, 15, 10, 8, 11, 12, 5, 14, 7, 10, 9, 13, 6, 11, 8, 12, 10, 9]
KEPT, UNSURE, MISSED, BROKEN = Compliance.KEPT, Compliance.UNSURE, Compliance.MISSED, Compliance.BROKEN
TEN = "10 % (8.8 % to 11.4 %)"


def judged(expect: str, failed=STEADY):
    run = failing(failed, expect)
    return judge_threshold(run.manifest.scenario.thresholds[0], run)


@pytest.mark.parametrize(
    ("expect", "word", "answers", "reason"),
    [
        ("error_ratio < 12 %", Word.PASS, (KEPT, KEPT), TEN),
        (
            "error_ratio < 11 %",
            Word.INCONCLUSIVE,
            (UNSURE, UNSURE),
            f"{TEN}, straddles the limit; about 3,761 samples would decide",
        ),
        (
            "error_ratio < 9 %",
            Word.INCONCLUSIVE,
            (UNSURE, UNSURE),
            f"{TEN}, straddles the limit; about 3,458 samples would decide",
        ),
        (
            "error_ratio < 10 %",
            Word.INCONCLUSIVE,
            (UNSURE, UNSURE),
            f"{TEN}, straddles the limit, too close for a longer run to decide",
        ),
        ("error_ratio < 5 %", Word.FAIL, (MISSED, BROKEN), f"{TEN}, beyond the limit"),
        (
            "error_ratio < 4 %",
            Word.FAIL,
            (BROKEN, BROKEN),
            f"{TEN} in this run, more than twice what the limit allows",
        ),
        (
            "goodput_ratio >= 89 %",
            Word.INCONCLUSIVE,
            (UNSURE, UNSURE),
            "90 % (88.6 % to 91.2 %), straddles the limit; about 3,761 samples would decide",
        ),
        (
            "goodput_ratio >= 96 %",
            Word.FAIL,
            (BROKEN, BROKEN),
            "90 % (88.6 % to 91.2 %) in this run, more than twice what the limit allows: 10 % missed it (4 % allowed)",
        ),
        (
            "burn_rate(90) < 1.1 x",
            Word.INCONCLUSIVE,
            (UNSURE, UNSURE),
            "1 x (0.876 x to 1.14 x), straddles the limit; about 3,463 samples would decide",
        ),
        ("throttled_ratio < 1 %", Word.PASS, (KEPT, KEPT), "0 % (0 % to 0.2 %)"),
        ("count >= 2000", Word.PASS, (KEPT, None), "2,000"),
        ("count >= 2001", Word.FAIL, (BROKEN, None), "2,000, beyond the limit"),
        ("max < 21 ms", Word.PASS, (KEPT, None), "20.1 ms"),
        ("max < 19 ms", Word.FAIL, (BROKEN, None), "20.1 ms, beyond the limit"),
        # It was recorded as between 20 and 20.1 ms.
        (
            "max < 20.05 ms",
            Word.INCONCLUSIVE,
            (UNSURE, None),
            "20.1 ms (20 ms to 20.1 ms), too close for a longer run to decide",
        ),
        ("goodput >= 90 rps", Word.PASS, (KEPT, KEPT), "90 rps"),
        ("p(95) < 21 ms", Word.PASS, (KEPT, KEPT), "20 ms (20 ms to 20.1 ms)"),
        (
            "p(95) < 14 ms",
            Word.INCONCLUSIVE,
            (MISSED, UNSURE),
            (
                "20 ms (20 ms to 20.1 ms), beyond the limit in this run, but not far enough for a FAIL, and the "
                "next run might meet it"
            ),
        ),
        (
            "p(95) < 13 ms",
            Word.FAIL,
            (BROKEN, UNSURE),
            (
                "20 ms (20 ms to 20.1 ms) in this run, more than 1.5 times the limit: 100 % took longer than the "
                "limit (5 % allowed)"
            ),
        ),
        (
            "p(95) > 50 ms",
            Word.INCONCLUSIVE,
            (MISSED, UNSURE),
            (
                "20 ms (20 ms to 20.1 ms), beyond the limit in this run, but not far enough for a FAIL, and the "
                "next run might meet it"
            ),
        ),
        ("mean < 21 ms", Word.PASS, (KEPT, KEPT), "20 ms"),
        ("mean < 14 ms", Word.FAIL, (MISSED, BROKEN), "20 ms, beyond the limit"),
        ("mean < 13 ms", Word.FAIL, (BROKEN, BROKEN), "20 ms in this run, more than 1.5 times the limit"),
        (
            "p(99.9) < 1 s",
            Word.INCONCLUSIVE,
            (UNSURE, UNSURE),
            "20 ms (from 20 ms): 1,800 samples, needs 10,000",
        ),
        ("spread <= 1 ms", Word.INCONCLUSIVE, (None, None), "no samples: nothing to judge"),
    ],
)
def test_a_threshold_on_known_counts(expect, word, answers, reason):
    """2,000 requests in 20 s, of which 1,800 were answered in 20 ms and 200 failed."""
    found = judged(expect)
    assert (found.word, (found.in_this_run, found.next_time), found.reason) == (word, answers, reason)


def test_a_rate_says_how_many_seconds_it_needs():
    """The spread between seconds is the only noise of a count."""
    found = judged("goodput >= 89.5 rps", UNSTEADY)
    low, high = found.estimate.low, found.estimate.high
    needed = int(((high - low) / 2 / (90.1 - 89.5)) ** 2 * 20) + 1
    assert found.estimate.value == pytest.approx(90.1)
    assert found.word is Word.INCONCLUSIVE
    assert found.reason.endswith(
        f"straddles the limit: met in this run, but maybe not next time; about {needed} seconds would decide"
    )


def test_a_quantile_says_how_many_samples_it_needs():
    """6 % of the answers took longer, and 5 % may."""
    run = failing([0] * 20, "p(95) < 200 ms")
    rows = run.intervals[run.intervals["series"] == "response"]
    slow = rows.assign(bucket=bucket_of(300_000), count=6)
    rest = run.intervals.assign(count=np.where(run.intervals["series"] == "response", 94, run.intervals["count"]))
    run = replace(run, intervals=pd.concat([rest, slow]))
    found = judge_threshold(run.manifest.scenario.thresholds[0], run)
    assert found.word is Word.INCONCLUSIVE
    needed = int(np.ceil(1.96**2 * 0.06 * 0.94 / 0.01**2))
    assert found.reason.endswith(f", straddles the limit; about {needed:,} samples would decide"), found.reason


@pytest.mark.parametrize(
    ("failed", "reason"),
    [
        (30, "nothing to compare with: "),
        (0, "0 s"),
    ],
)
def test_a_recovery_needs_calm_before(failed, reason):
    """If there was none, the reason says why nothing can be judged."""
    phases = [{"name": name, "duration": "20 s", "rate": f"{rps} rps"} for name, rps in STAIRS.items()]
    thresholds = [{"phase": "after", "expect": "recovery <= 5 s"}, {"expect": "goodput_ratio >= 1 %"}]
    plan = open_scenario(phases=phases, mix={"balance": {"share": "100 %"}}, thresholds=thresholds)
    sent, bad = np.repeat([100, 200, 100], 20), np.repeat([failed, 0, 0], 20)
    run = run_of_seconds(plan, {("balance", "ok"): sent - bad, ("balance", "server_error"): bad})
    found = judge_threshold(plan.thresholds[0], run)
    assert found.reason.startswith(reason)
    assert (found.word is Word.PASS) == (failed == 0)


STAIRS = {"calm": 100, "spike": 200, "after": 100}


@pytest.mark.parametrize(
    ("phase", "counts"),
    [
        ({"duration": "60 s", "rate": "100 rps", "ramp": "40 s"}, np.minimum(2.5 * (np.arange(60) + 0.5), 100)),
        ({"users": 100, "burst": {"times": 12, "every": "5 s"}}, np.where(np.arange(60) % 5 == 2, 100, 0)),
    ],
)
def test_a_rate_isnt_uncertain_because_the_load_was_planned_to_vary(phase, counts):
    """A target that answers everything in a ramp, or in bursts, has their average rate."""
    is_open, least = "rate" in phase, "60 rps" if "rate" in phase else "19 rps"
    changes = {"phases": [{"name": "one"} | phase], "thresholds": [{"expect": f"goodput >= {least}"}]}
    plan = open_scenario(**changes) if is_open else scenario(**changes)
    run = run_of_seconds(plan, {("balance", "ok"): counts.astype(int)})
    assert judge_threshold(plan.thresholds[0], run).word is Word.PASS
