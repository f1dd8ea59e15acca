"""Penalties grow with each violation and shrink with good behaviour; on a simulated clock."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from payments_api.protection.limits import Decision, Limits
from payments_api.protection.metrics import ProtectionMetrics
from payments_api.protection.penalties import LocalPenalties, PenaltyRule
from payments_api.protection.stores.stores import LocalStore

RULE = PenaltyRule(base_s=10, factor=2, cap_s=60, memory_s=600)


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def penalties(clock: Clock, *, most: int = 100, rule: PenaltyRule = RULE) -> LocalPenalties:
    return LocalPenalties(rule, most, clock=clock)


def test_each_violation_doubles_the_penalty_up_to_the_cap():
    """10, 20, 40, then 60 s."""
    clock = Clock()
    book = penalties(clock)
    lengths = []
    for _ in range(5):
        lengths.append(book.punish("a", 0.0))
        clock.now_s += lengths[-1]
    assert lengths == [10, 20, 40, 60, 60]
    assert book.left_s("b") == 0


def test_a_violation_during_a_penalty_does_not_count():
    """A burst of refused requests costs as much as one, and Retry-After stays true."""
    clock = Clock()
    book = penalties(clock)
    assert [book.punish("a", 0.0) for _ in range(50)] == [10] * 50
    clock.now_s += 4
    assert book.punish("a", 30.0) == book.left_s("a") == 6


def test_a_penalty_starts_when_the_limit_would_admit_again():
    """Otherwise it would run alongside the limit and cost nothing."""
    assert penalties(Clock()).punish("a", 25.0) == 35


@pytest.mark.parametrize(("quiet_s", "next_s"), [(0, 40), (599, 40), (600, 20), (1199, 20), (1200, 10), (10**6, 10)])
def test_each_quiet_memory_period_forgives_one_violation(quiet_s, next_s):
    """Measured from the end of the last penalty."""
    clock = Clock()
    book = penalties(clock)
    for _ in range(2):
        clock.now_s += book.punish("a", 0.0)
    clock.now_s += quiet_s
    assert book.punish("a", 0.0) == next_s


def test_a_client_long_at_the_cap_is_forgiven_as_soon_as_one_that_has_just_reached_it():
    """Violations that wouldn't cost more aren't counted."""
    clock = Clock()
    book = penalties(clock)
    for _ in range(500):
        clock.now_s += book.punish("a", 0.0)
    clock.now_s += 4 * 600
    assert book.punish("a", 0.0) == 10


def test_the_number_of_remembered_clients_is_bounded():
    """The one punished longest ago is forgotten."""
    clock = Clock()
    book = penalties(clock, most=10)
    for client in range(1000):
        book.punish(str(client), 0.0)
    assert len(book) == 10
    assert book.left_s("999") == 10


@given(
    rule=st.builds(
        PenaltyRule,
        base_s=st.floats(0.1, 100),
        factor=st.floats(1, 50),
        cap_s=st.floats(1, 1e5),
        memory_s=st.floats(1, 1e5),
    )
)
def test_penalties_never_shrink_with_violations_nor_exceed_the_cap(rule):
    """And the number counted is enough to reach the cap."""
    lengths = [rule.penalty_s(strikes) for strikes in range(1, rule.most_strikes + 1)]
    assert lengths == sorted(lengths)
    assert max(lengths) <= rule.cap_s
    if rule.factor > 1.2 and rule.cap_s > rule.base_s:
        assert lengths[-1] == pytest.approx(rule.cap_s)


class Offender:
    """A client of two endpoints, in simulated time."""

    def __init__(self) -> None:
        self.clock = Clock()
        limits = {"balance": "3/min", "health": "1/min"}
        store = LocalStore(limits, RULE, most_clients=100, clock=self.clock)
        metrics = ProtectionMetrics(CollectorRegistry())
        metrics.prepare(limits)
        self._limits = Limits(store, has_penalties=True, most_clients=100, metrics=metrics, clock=self.clock)

    def ask(self, endpoint: str = "balance") -> Decision:
        return asyncio.run(self._limits.decide(endpoint, "a"))

    def ask_until_refused(self) -> Decision:
        while (decision := self.ask()).is_admitted:
            pass
        return decision


def test_during_a_penalty_everything_is_refused_and_retry_after_says_its_end():
    """At that second the client is admitted, at each endpoint."""
    offender = Offender()
    assert offender.ask("health").is_admitted
    refusal = offender.ask_until_refused()
    assert (refusal.is_penalty, refusal.wait_s) == (False, 70)
    offender.clock.now_s += 69
    assert offender.ask() == Decision(is_admitted=False, is_penalty=True, remaining=0, wait_s=1)
    assert offender.ask("health") == Decision(is_admitted=False, is_penalty=True, remaining=0, wait_s=1)
    offender.clock.now_s += 1
    assert offender.ask().is_admitted
    assert offender.ask("health").is_admitted


def test_retry_after_covers_a_full_window_that_outlasts_the_penalty():
    """A client that waits as told must be admitted there, too."""
    offender = Offender()
    assert all(offender.ask().is_admitted for _ in range(3))
    offender.clock.now_s += 55
    assert offender.ask("health").is_admitted
    offender.clock.now_s += 1
    # Four seconds of the window plus a penalty of ten.
    assert offender.ask().wait_s == 4 + 10
    assert offender.ask("health") == Decision(is_admitted=False, is_penalty=True, remaining=0, wait_s=59)
    offender.clock.now_s += 59
    assert offender.ask("health").is_admitted


def test_waiting_for_retry_after_is_always_enough():
    """Through many violations, at any fraction of a second."""
    offender = Offender()
    for step in range(40):
        refusal = offender.ask_until_refused()
        offender.clock.now_s += refusal.wait_s
        assert offender.ask().is_admitted
        offender.clock.now_s += 0.37 * step
