"""Locust's statistics are the same whether fed at once or one by one."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unpatched import locust  # isort: skip

from loadproof.recording.locuststats import LocustStatistics

Environment = locust.env.Environment

NAMES = ("num_requests", "num_failures", "min_response_time", "max_response_time", "response_times")


@pytest.mark.slow
@given(st.lists(st.floats(0, 70), min_size=1, max_size=60), st.integers(1, 10))
def test_many_requests_at_once_equal_as_many_one_by_one(response_s, parts):
    """In counts, extremes, sums, rounded times and bytes, for the entry and in total."""
    at_once, one_by_one = Environment(), Environment()
    statistics = LocustStatistics(at_once)
    for part in np.array_split(np.array(response_s), parts):
        if part.size:
            statistics.add("balance", "GET", response_s=part, ended_ago_s=np.zeros(part.size), length=7 * part.size)
    for one in response_s:
        one_by_one.stats.log_request("GET", "balance", one * 1000, 7)  # type: ignore[arg-type]
    for stats in (lambda one: one.stats.total, lambda one: one.stats.entries["balance", "GET"]):
        fed, logged = stats(at_once), stats(one_by_one)
        assert [getattr(fed, name) for name in NAMES] == [getattr(logged, name) for name in NAMES]
        assert fed.total_response_time == pytest.approx(logged.total_response_time)
        assert fed.total_content_length == logged.total_content_length
        assert sum(fed.num_reqs_per_sec.values()) == len(response_s)


def test_each_request_belongs_to_the_second_it_ended_in():
    """Not to the one in which it was fed."""
    environment = Environment()
    LocustStatistics(environment).add(
        "a", "GET", response_s=np.full(2, 0.1), ended_ago_s=np.array([0.0, 3.0]), length=0
    )
    seconds = environment.stats.total.num_reqs_per_sec
    earlier, later = sorted(seconds)
    assert 2 <= later - earlier <= 4
    assert later == pytest.approx(time.time(), abs=20)


def test_a_replaced_rounding_function_is_used(monkeypatch):
    """Locust documents it as customizable."""
    monkeypatch.setattr(locust.stats, "bucket_response_time", lambda ms: int(ms) // 7)
    environment = Environment()
    LocustStatistics(environment).add("a", "GET", response_s=np.array([0.07]), ended_ago_s=np.zeros(1), length=0)
    assert dict(environment.stats.total.response_times) == {10: 1}


def test_other_listeners_get_each_request():
    """Including a plugin that is added in the middle."""
    environment = Environment()
    statistics = LocustStatistics(environment)
    assert not statistics.are_alone
    environment.create_local_runner()
    assert statistics.are_alone
    environment.events.request.add_listener(lambda **_: None)
    assert not statistics.are_alone


def test_each_request_is_reported_if_listeners_are_unknown():
    """Locust may rename the attribute with its listeners."""
    environment = Environment()
    environment.create_local_runner()
    del environment.events.request._handlers
    assert not LocustStatistics(environment).are_alone
