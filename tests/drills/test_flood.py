"""The flood drill: the flooder, and the report on its neighbours."""

from __future__ import annotations

import os

import pytest

from drills.flood import LIMITS, Sent, target_on_its_own_core, tell_of_flooder, tell_of_neighbours
from drills.flooder import Manner, flood
from drills.floodplan import LONG, Length
from drills.running import Report
from drills.target import running_target

LENGTH = Length(calm_s=10, flood_s=20, rise_s=5)


@pytest.mark.long
@pytest.mark.process
def test_the_flooder_counts_each_answer_and_gets_its_quota():
    with running_target() as target:
        counts = flood(target.url, rps=300, seconds=1)
    assert {endpoint: sum(by_status.values()) for endpoint, by_status in counts.items()} == {
        "balance": 180,
        "transactions": 75,
        "webhooks": 45,
    }
    admitted = {"balance": ("200", 30), "transactions": ("201", 10), "webhooks": ("202", 5)}
    for endpoint, (status, quota) in admitted.items():
        assert counts[endpoint][status] == quota
        assert set(counts[endpoint]) == {status, "429"}


@pytest.mark.long
@pytest.mark.process
def test_the_flooder_can_use_a_proxy_header_one_path_or_a_connection_per_request():
    """It is the client in the proxy's header; that a target closes connections is then no failure."""
    with running_target(CLIENT_HEADER="X-Client", TRUSTED_NETWORKS="127.0.0.0/8", LIMIT_BALANCE="5/min") as target:
        paths = ("/metrics", "/balance/acct-000001")
        for header in ("X-Client: one", "X-Client: other"):
            anew = [Manner(path, header, connects_anew=True) for path in paths]
            counts = [flood(target.url, rps=200, seconds=0.2, manner=manner) for manner in anew]
            assert counts == [{paths[0]: {"200": 40}}, {paths[1]: {"200": 5, "429": 35}}]
        mixed = flood(target.url, rps=200, seconds=0.2, manner=Manner(header="X-Client: one"))
        assert "200" not in mixed["balance"]
        assert mixed["transactions"]["201"] == 10


@pytest.mark.process
def test_the_target_has_its_own_core():
    """As if its clients were on other machines; with a single core there is nothing to divide."""
    cores = os.sched_getaffinity(0)
    with target_on_its_own_core() as target:
        of_target, of_clients = os.sched_getaffinity(target.process.pid), os.sched_getaffinity(0)
    assert len(of_target) == 1
    assert of_clients == cores - of_target or len(cores) == 1
    assert os.sched_getaffinity(0) == cores


def test_a_flood_of_more_than_a_minute_gets_its_quota_twice():
    assert LONG.windows == 2
    assert LENGTH.windows == 1


def verdict_of(beside_s: float, word: str = "PASS") -> dict[str, object]:
    def row(phase: str, response_s: float) -> dict[str, object]:
        quantiles = {name: {"value": response_s} for name in ("p50", "p95", "p99")}
        return {
            "phase": phase,
            "endpoint": None,
            "outcomes": {"ok": 1000, "throttled": 0},
            "response_s": quantiles,
        }

    return {"verdict": word, "summary": [row("calm", 0.010), row("flood", beside_s)]}


@pytest.mark.parametrize(
    ("beside_s", "word", "code"), [(0.0199, "PASS", 0), (0.0201, "PASS", 1), (0.0201, "INVALID", 4)]
)
def test_more_than_twice_the_calm_p95_of_neighbours_breaks_a_promise(beside_s, word, code, capsys):
    """Unless the load was disturbed: then it is unknown."""
    report = Report("flood")
    tell_of_neighbours(report, verdict_of(beside_s, word))
    assert report.exit_code() == code
    assert "neighbours' p95: 10.0 ms before" in capsys.readouterr().out


def test_without_a_promise_the_p95_of_neighbours_is_only_reported():
    report = Report("flood")
    tell_of_neighbours(report, verdict_of(0.05), is_promised=False)
    assert report.exit_code() == 0


@pytest.mark.parametrize(("sent", "code"), [(Sent(500, 0, {"/metrics": 500}), 0), (Sent(500, 0, {"/metrics": 499}), 1)])
def test_a_flood_of_a_path_without_limits_is_answered(sent, code):
    report = Report("flood")
    tell_of_flooder(report, sent, 25, LENGTH, has_limits=False)
    assert report.exit_code() == code


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (Sent(20_000, 19_955, LIMITS), 0),
        (Sent(20_000, 19_954, LIMITS | {"balance": 31}), 1),
        (Sent(20_000, 19_954, LIMITS), 1),
        (Sent(15_000, 14_955, LIMITS), 4),
    ],
)
def test_a_flooder_gets_exactly_its_quota_and_a_slow_one_proves_nothing(sent, code):
    report = Report("flood")
    tell_of_flooder(report, sent, 1000, LENGTH)
    assert report.exit_code() == code
