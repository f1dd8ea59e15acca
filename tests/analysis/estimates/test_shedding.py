"""Refusals are graceful if they are fast and honest, and every way of failing that is reported."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from loadproof.analysis.estimates.scope import Scope, rows_of
from loadproof.analysis.estimates.shedding import Shedding, shedding_in
from loadproof.rundir.rows import RETRY_BROKEN, RETRY_KEPT, RETRY_MISSING, RETRY_UNREADABLE, IntervalRow
from simulation.rundirs import open_scenario
from simulation.traffic import run_of

GRACEFUL = Shedding(refused=1000, p95_s=0.002, slow_s=0.05, kept=100, broken=0, missing=0, unreadable=0)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({}, None),
        ({"kept": 95, "broken": 5}, None),
        ({"kept": 94, "broken": 6}, "6 of 100 were refused again after Retry-After"),
        ({"missing": 50}, None),
        ({"missing": 51}, "51 of 1,000 refusals had no Retry-After"),
        ({"unreadable": 50}, None),
        ({"unreadable": 51}, "51 of 1,000 refusals had an unreadable Retry-After"),
        ({"missing": 25, "unreadable": 25}, None),
        (
            {"missing": 40, "unreadable": 11},
            "40 of 1,000 refusals had no Retry-After; 11 of 1,000 refusals had an unreadable Retry-After",
        ),
        ({"p95_s": 0.05}, None),
        ({"p95_s": 0.051}, "refused slowly, p95 51 ms"),
        ({"kept": 0}, None),
    ],
    ids=str,
)
def test_each_fault_is_detected(changes, fault):
    """At its limit, and beyond it."""
    shedding = replace(GRACEFUL, **changes)
    assert list(shedding.faults()) == (fault.split("; ") if fault else [])
    assert shedding.is_graceful is (fault is None)
    assert (fault or "gracefully") in str(shedding)


def test_untested_promises_are_not_called_kept():
    """Nobody came back after the promised time."""
    assert "no Retry-After was tested" in str(replace(GRACEFUL, kept=0))


@pytest.mark.parametrize(
    ("workers", "clients", "tested"),
    [(1, "shared", (7, 3)), (2, "source-address", (7, 3)), (2, "shared", (0, 0))],
)
def test_promises_only_count_if_one_worker_sees_all_of_a_client(workers, clients, tested):
    """If several workers share a client, none knows what the others used up."""
    plan = open_scenario(clients=clients, mix={"balance": {"share": "100 %"}})
    at_s = np.linspace(10, 20, 500, endpoint=False)
    refused = np.arange(500) % 5 > 0
    run = run_of(plan, at_s, np.where(refused, 0.001, 0.02), np.where(refused, "throttled", "ok"))
    counted = [
        IntervalRow(12, "spike", "balance", "throttled", series, 0, count)
        for series, count in ((RETRY_KEPT, 7), (RETRY_BROKEN, 3), (RETRY_MISSING, 2), (RETRY_UNREADABLE, 1))
    ]
    run = replace(
        run,
        intervals=pd.concat([run.intervals, pd.DataFrame(counted)]),
        manifest=run.manifest.model_copy(update={"workers": workers}),
    )
    found = shedding_in(run, rows_of(run, Scope(("spike",), ("balance",))))
    assert (found.refused, found.missing, found.unreadable) == (400, 2, 1)
    assert (found.kept, found.broken) == tested
    assert found.p95_s == pytest.approx(0.001, rel=0.01)
    assert found.slow_s == pytest.approx(0.05)


@pytest.mark.parametrize(("served_s", "slow_s"), [(0.02, 0.05), (0.2, 0.2)])
def test_refusals_are_fast_if_no_slower_than_served_requests(served_s, slow_s):
    """Or within a tenth of the deadline of half a second."""
    plan = open_scenario(mix={"balance": {"share": "100 %"}})
    refused = np.arange(100) % 2 > 0
    at_s = np.linspace(0, 10, 100, endpoint=False)
    run = run_of(plan, at_s, np.where(refused, 0.1, served_s), np.where(refused, "throttled", "ok"))
    found = shedding_in(run, run.intervals)
    assert found.slow_s == pytest.approx(slow_s, rel=0.01)
    assert found.is_graceful is (slow_s > 0.1)


def test_without_refusals_there_is_nothing_to_judge():
    """None, not zeros."""
    plan = open_scenario(mix={"balance": {"share": "100 %"}})
    run = run_of(plan, np.array([1.0]), np.array([0.01]))
    assert shedding_in(run, run.intervals) is None
