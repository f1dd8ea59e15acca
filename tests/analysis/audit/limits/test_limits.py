"""The limits audit, on limiters that share no code with the reference API: each fault breaks its own promise."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from loadproof.analysis.audit.limits.limits import audit_limits
from loadproof.analysis.audit.limits.refusals import Before
from loadproof.analysis.word import Word
from loadproof.rundir.journal import LONGEST
from loadproof.scenario.settings import Penalties
from loadproof.scenario.target.limits import Access, Bots, DeclaredLimit
from simulation.limiters import (
    AlignedWindow,
    FixedWindow,
    Gcra,
    Limiter,
    MovingLog,
    OneForAll,
    Punishing,
    SlidingCounter,
    TokenBucket,
    Traffic,
    ceiled,
    frame,
    journal_of,
    row,
)

if TYPE_CHECKING:
    from loadproof.analysis.audit.audit import Audited

pytestmark = pytest.mark.slow
"""Each simulated run of many clients takes a tenth of a second."""

N, W = 5, 2.0
MUCH = Traffic(clients=8, seconds=30.0)
QUOTA, BELOW, ALONE, WAITS = "quota", "no refusal below it", "isolation", "Retry-After"


def audit(journal: Any, algorithm: str = "moving-window", *, before: Before | None = None, **said: Any) -> Audited:
    limit = DeclaredLimit.model_construct(amount=said.pop("amount", N), period=W, algorithm=algorithm, **said)
    return audit_limits(journal, {"health": limit}, before={"health": before} if before else None)


def words(audited: Audited) -> dict[str, Word]:
    """Words by promise."""
    return {found.promise.removeprefix("health: "): found.word for found in audited.evidence}


def broken(audited: Audited) -> set[str]:
    return {promise for promise, word in words(audited).items() if word is Word.FAIL}


def burst(
    *moments: float, client: str = "a", status: int = 200, took: float = 0.002, **more: Any
) -> list[dict[str, Any]]:
    return [row(client, at, at + took, status, **more) for at in moments]


def floored(wait: float, _now: float) -> str:
    return str(math.floor(wait))


FAULTS: dict[str, tuple[str, Callable[[], Limiter], str]] = {
    "a fixed window of one more": ("fixed-window", lambda: FixedWindow(N + 1, W), QUOTA),
    "an aligned window of one more": ("aligned-window", lambda: AlignedWindow(N + 1, W, 0.7), QUOTA),
    "a log of one more": ("moving-window", lambda: MovingLog(N + 1, W), QUOTA),
    "a sliding counter of one more": ("sliding-counter", lambda: SlidingCounter(N + 1, W, floors=True), QUOTA),
    "a bucket of one more": ("token-bucket", lambda: TokenBucket(N + 1, W, N + 1), QUOTA),
    "cells of one more": ("token-bucket", lambda: Gcra(N + 1, W, N + 1), QUOTA),
    "a fixed window of one less": ("fixed-window", lambda: FixedWindow(N - 1, W), BELOW),
    "a log of one less": ("moving-window", lambda: MovingLog(N - 1, W), BELOW),
    "a sliding counter of one less": ("sliding-counter", lambda: SlidingCounter(N - 1, W), BELOW),
    "a bucket of one less": ("token-bucket", lambda: TokenBucket(N - 1, W, N - 1), BELOW),
    "looking before counting": ("moving-window", lambda: MovingLog(N, W, late=0.01), QUOTA),
    "one count for all": ("moving-window", lambda: OneForAll(MovingLog(N, W)), ALONE),
    "forgetting who came first": ("moving-window", lambda: MovingLog(N, W, most_clients=4), QUOTA),
    "an EXPIRE on every hit": ("fixed-window", lambda: FixedWindow(N, W, extends=True), BELOW),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("is_declared", [True, False])
def test_a_fault_breaks_its_promise_whether_the_algorithm_is_declared_or_not(fault, is_declared):
    algorithm, make, promise = FAULTS[fault]
    audited = audit(journal_of(make(), MUCH, 1), algorithm if is_declared else "unknown")
    assert audited.word is Word.FAIL
    assert promise in broken(audited)
    assert audited.offences[0].rows
    assert audited.offences_total >= len(audited.offences)


@pytest.mark.parametrize(
    ("said", "limiter"),
    [
        ("moving-window", FixedWindow(N, W)),
        ("moving-window", TokenBucket(N, W, N)),
        ("fixed-window", MovingLog(N, W)),
        ("fixed-window", AlignedWindow(N, W, 0.3)),
        ("fixed-window", Gcra(N, W, N)),
        ("aligned-window", FixedWindow(N, W)),
        ("sliding-counter", AlignedWindow(N, W, 0.3)),
        ("token-bucket", FixedWindow(N, W)),
        ("token-bucket", MovingLog(N, W)),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_times_of_admission_distinguish_algorithms(said, limiter):
    """Although all admit as many in a period."""
    journal = journal_of(limiter, MUCH, 2)
    assert {QUOTA, BELOW} & broken(audit(journal, said))
    assert not broken(audit(journal, "unknown"))


def test_an_unknown_algorithm_is_named_as_far_as_the_traffic_tells():
    found = audit(journal_of(MovingLog(N, W), MUCH, 3), "unknown").evidence[0].reason
    assert "moving-window" in found
    assert "fixed-window" not in found
    assert "or" in audit(frame(burst(0.1, 0.2, 0.3)), "unknown").evidence[0].reason


@pytest.mark.parametrize(
    ("retry_after", "what"),
    [
        (floored, "waited"),
        (lambda _wait, _now: "9", "too long"),
        (lambda _wait, _now: "-1", "neither"),
        (lambda wait, _now: f"{wait:.1f}", "neither"),
        (lambda wait, now: "" if now % 2 < 1 else ceiled(wait, now), "without"),
    ],
    ids=["floored", "constant", "negative", "fraction", "sometimes missing"],
)
def test_a_retry_after_that_is_not_honest_breaks_its_promise_and_no_other(retry_after, what):
    audited = audit(journal_of(MovingLog(N, W), MUCH, 1, retry_after=retry_after))
    assert broken(audited) == {WAITS}
    assert any(what in offence.what for offence in audited.offences)


def test_a_date_is_a_retry_after_too():
    rows = burst(0.1, 0.2, 0.3, 0.4, 0.5) + burst(0.6, status=429, retry_after="Thu, 01 Jan 1970 00:01:03 GMT")
    limit = {"health": DeclaredLimit.model_construct(amount=N, period=W, algorithm="moving-window")}
    assert not broken(audit_limits(frame(rows), limit, start_unix_s=60.0))
    late = audit_limits(frame(rows), limit, start_unix_s=50.0)
    assert "too long" in late.offences[0].what


@pytest.mark.parametrize(
    ("date", "told"),
    [
        ("Thu, 01 Jan 1970 00:00:01 GMT", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", None),
        ("Wed, 31 Dec 1969 23:59:59 GMT", "too long"),
        ("Thu, 01 Jan 1970 00:00:03 GMT", "before"),
    ],
    ids=["now", "a second ago", "longer ago", "later"],
)
def test_a_date_is_by_the_clock_of_the_server_that_answers(date, told):
    """The answer's Date shows it: this target's clock is decades behind ours, and honest if the difference is right.

    Some servers write a Date that is up to a second old.
    """
    until = {"status": 429, "retry_after": "Thu, 01 Jan 1970 00:00:04 GMT"}
    rows = burst(0.1, 0.2, 0.3, 0.4, 0.5) + burst(0.6, **until, answer_date=date)
    limit = {"health": DeclaredLimit.model_construct(amount=N, period=W, algorithm="moving-window")}
    offences = audit_limits(frame(rows), limit, start_unix_s=1e9).offences
    assert [told in offence.what for offence in offences] == ([True] if told else [])


@dataclass
class Slewed:
    """Its clock is being adjusted slowly."""

    inner: Limiter
    rate: float

    def take(self, client: str, now: float) -> float:
        return self.inner.take(client, now * self.rate) / self.rate


@pytest.mark.parametrize("rate", [1 - 500e-6, 1 + 500e-6], ids=["slower", "faster"])
@pytest.mark.parametrize(
    ("algorithm", "limiter"),
    [
        ("moving-window", MovingLog(N, 20.0)),
        ("fixed-window", FixedWindow(N, 20.0)),
        ("token-bucket", Gcra(N, 20.0, N)),
        ("sliding-counter", SlidingCounter(N, 20.0, floors=True)),
    ],
)
def test_a_clock_adjusted_during_the_run_breaks_no_promise(algorithm, limiter, rate):
    """As fast as NTP adjusts it, for the whole run."""
    journal = journal_of(Slewed(deepcopy(limiter), rate), Traffic(clients=4, seconds=120.0, delay=0.0005), 1)
    limit = DeclaredLimit.model_construct(amount=N, period=20.0, algorithm=algorithm)
    assert not broken(audit_limits(journal, {"health": limit}))


def test_a_correct_limiter_with_much_traffic_passes():
    audited = audit(journal_of(MovingLog(N, W), Traffic(clients=30, seconds=30.0), 5))
    assert (audited.word, broken(audited)) == (Word.PASS, set()), audited.reason
    assert audited.offences_total == 0


def test_no_requests_and_no_refusals_pass_nothing():
    nothing = audit(frame([]))
    assert nothing.word is Word.INCONCLUSIVE
    few = audit(frame(burst(*(0.1 + second for second in range(20)))))
    assert set(words(few).values()) == {Word.INCONCLUSIVE}
    assert "needs 10" in few.evidence[0].reason


def test_what_network_time_leaves_open_is_not_decided():
    """Six admitted where five may be: unless one of them was decided two seconds before another."""
    long = burst(0.1, 0.2, 0.3, 0.4, 0.5, 1.9, took=1.0)
    assert not broken(audit(frame(long)))
    assert broken(audit(frame(burst(0.1, 0.2, 0.3, 0.4, 0.5, 1.9, took=0.1)))) == {QUOTA}


def test_clocks_of_two_workers_are_doubted():
    rows = burst(0.1, 0.2, 0.3, 0.4, 0.5, 2.05)
    doubted = [{**each, "worker": str(number % 2), "doubt_us": 60_000} for number, each in enumerate(rows)]
    assert broken(audit(frame(rows))) == {QUOTA}
    assert not broken(audit(frame(doubted)))


def test_requests_not_certainly_admitted_explain_refusals_but_break_no_quota():
    """Timeouts, requests sent twice, and answers from something ahead of the limit."""
    refusal = burst(1.0, status=429, retry_after="2")
    four = burst(0.1, 0.2, 0.3, 0.4)
    assert BELOW in broken(audit(frame(four + refusal)))
    for other in (burst(0.5, status=0), burst(0.5, status=403), burst(0.5, status=500)):
        assert BELOW not in broken(audit(frame(four + other + refusal)))
    twice = [{**four[0], "repeated": 1}, *four[1:]]
    assert BELOW not in broken(audit(frame(twice + refusal)))
    assert not broken(audit(frame(burst(*[0.1] * 9, status=500))))


def test_what_was_counted_before_second_0_explains_a_refusal():
    rows = frame(burst(0.1, 0.2, 0.3) + burst(0.4, status=429, retry_after="2"))
    assert BELOW in broken(audit(rows))
    assert not broken(audit(rows, before=Before(hits=2)))
    assert not broken(audit(rows, before=Before(is_unknown=True)))
    later = frame(burst(10.1, 10.2, 10.3) + burst(10.4, status=429, retry_after="2"))
    assert BELOW in broken(audit(later, before=Before(hits=2, is_unknown=True)))


def test_a_client_that_waited_for_a_period_begins_a_window_whatever_came_before():
    """So one more in it is one too many, although a window from before may have had the first ones."""
    rounds = [start + 0.1 * number for start in (0.0, 2.5, 5.0) for number in range(N)]
    unknown = Before(is_unknown=True)
    assert QUOTA not in broken(audit(frame(burst(*rounds)), "fixed-window", before=unknown))
    assert QUOTA in broken(audit(frame(burst(*rounds, 5.0 + 0.1 * N)), "fixed-window", before=unknown))
    too_soon = burst(*(0.1 * number for number in range(N)), 1.9)
    assert QUOTA not in broken(audit(frame(too_soon), "fixed-window", before=unknown))


def test_processes_that_count_separately_admit_that_many_times_more():
    journal = frame(burst(*(0.1 + 0.01 * number for number in range(10))))
    assert broken(audit(journal)) == {QUOTA}
    assert not broken(audit(journal, shared="process", processes=2))
    assert broken(audit(frame(burst(*[0.1] * 11)), shared="process", processes=2)) == {QUOTA}


def test_a_limit_of_all_clients_together_counts_all_of_them():
    rows = [each for client in "abc" for each in burst(0.1, 0.2, client=client)]
    assert broken(audit(frame(rows), key="global")) == {QUOTA}
    assert not broken(audit(frame(rows)))


def test_others_are_only_blamed_for_what_they_explain():
    """Three of a client's own and two of another's make five; with one of another's, something is counted wrongly."""
    mine = burst(0.1, 0.2, 0.3) + burst(0.9, status=429, retry_after="2")
    assert broken(audit(frame(mine + burst(0.4, 0.5, client="b")))) >= {ALONE}
    assert broken(audit(frame(mine + burst(0.4, client="b")))) >= {BELOW}
    many = burst(*(0.4 + 0.01 * number for number in range(20)), client="b")
    assert not {ALONE} & broken(audit(frame(mine + many), amount=5))


RULE = {"base": 1.0, "factor": 2.0, "cap": 4.0, "memory": 6.0}
PENALTIES = Penalties.model_construct(**RULE)
PATIENT = Traffic(clients=12, seconds=120.0, rate=1.5)


@pytest.mark.parametrize(
    "fault",
    [{}, {"grows": False}, {"cap": 20.0}, {"forgets": False}],
    ids=["right", "constant", "endless", "unforgiving"],
)
def test_penalties_grow_stop_at_their_cap_and_are_forgotten(fault):
    journal = journal_of(Punishing(MovingLog(N, W), **{**RULE, **fault}), PATIENT, 4)
    audited = audit(journal, penalties=PENALTIES)
    assert broken(audited) == ({"penalties grow"} if fault else set())
    if not fault:
        kinds = ("grow", "stop at the cap", "are forgotten")
        assert {words(audited)[f"penalties {kind}"] for kind in kinds} == {Word.PASS}


def test_a_refusal_within_an_announced_penalty_is_right_and_one_without_is_not():
    journal = journal_of(Punishing(MovingLog(N, W), **RULE), PATIENT, 4)
    assert BELOW in broken(audit(journal))
    assert not broken(audit(journal, penalties=PENALTIES))


def test_a_penalty_holds_for_all_requests_of_a_client_whichever_was_sent_first():
    """The one sent before the violation may have been decided after it."""
    rows = burst(0.1, 0.2, 0.3, 0.4, 0.5) + burst(0.602, status=429, retry_after="3")
    rows += burst(0.6, status=429, retry_after="3", took=0.1, request="balance")
    limit = DeclaredLimit.model_construct(amount=N, period=W, algorithm="moving-window", penalties=PENALTIES)
    assert not broken(audit_limits(frame(rows), {"health": limit, "balance": limit}))
    apart = [*rows[:-1], *burst(0.5, status=429, retry_after="3", request="balance")]
    assert broken(audit_limits(frame(apart), {"health": limit, "balance": limit})) == {f"balance: {BELOW}"}


LISTS = Access(allow=["127.0.9.0/24"], deny=["127.0.9.7", "10.0.0.0/8"])


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (burst(*[0.1] * 20, client="127.0.9.1") + burst(*[0.1] * 10, client="127.0.9.7", status=403), {}),
        (burst(*[0.1] * 20, client="127.0.9.1", status=429), {"allow list": 20}),
        (burst(0.1, client="127.0.9.1", status=403), {"allow list": 1}),
        (burst(0.1, 0.2, client="127.0.9.7"), {"deny list": 2, "deny list before allow list": 2}),
        (burst(0.1, client="10.1.1.1", status=429), {"deny list": 1}),
        (burst(0.1, client="10.1.1.1", status=503) + burst(0.1, client="no address"), {}),
    ],
)
def test_lists_come_before_limits(rows, expected):
    """Clients on the allow list are not limited, and clients on the deny list get nothing else."""
    limit = DeclaredLimit.model_construct(amount=N, period=W, algorithm="moving-window")
    audited = audit_limits(frame(rows), {"health": limit}, access=LISTS)
    found = Counter(offence.promise for offence in audited.offences)
    assert (broken(audited), dict(found)) == (set(expected), expected)


EVERY_TENTH = [round(0.1 * number, 1) for number in range(20)]
PRECEDENCE = {
    "deny list before allow list": burst(*EVERY_TENTH, client="127.0.9.7"),
    "deny list before limits": burst(*EVERY_TENTH, client="10.1.1.1", status=429),
    "allow list before limits": burst(*EVERY_TENTH, client="127.0.9.1", status=429),
    "allow list before bot check": burst(*EVERY_TENTH, client="127.0.9.1", status=403, user_agent="SQLMap/1"),
    "bot check before limits": burst(*EVERY_TENTH, client="a", status=429, user_agent="SQLMap/1"),
    "bot check": burst(*EVERY_TENTH, client="a", user_agent="SQLMap/1"),
}
"""Rows that break each promise."""


def words_of_access(*rows: dict[str, Any]) -> dict[str, Word]:
    access = LISTS.model_copy(update={"bots": Bots(user_agents=["sqlmap"])})
    limit = DeclaredLimit.model_construct(amount=N, period=W, algorithm="moving-window")
    return words(audit_limits(frame([*rows]), {"health": limit}, access=access))


@pytest.mark.parametrize("promise", PRECEDENCE)
def test_the_deny_list_comes_first_then_the_allow_list_bots_and_limits(promise):
    assert words_of_access(*PRECEDENCE[promise])[promise] is Word.FAIL


def test_each_promise_of_precedence_needs_requests_that_test_it():
    right = [
        *burst(*EVERY_TENTH, client="127.0.9.7", status=403),
        *burst(*EVERY_TENTH, client="127.0.9.1", user_agent="SQLMap/1"),
        *burst(*EVERY_TENTH, client="a", status=403, user_agent="SQLMap/1"),
    ]
    assert {word for name, word in words_of_access(*right).items() if "list" in name or "bot" in name} == {Word.PASS}
    assert {words_of_access(*burst(0.1))[promise] for promise in PRECEDENCE} == {Word.INCONCLUSIVE}


def test_refusals_of_bots_dont_use_up_their_clients_limit():
    """Another 403 may come from behind the limit, and have been counted."""
    moments = [0.1 + 0.01 * number for number in range(N)]
    refusal = burst(0.5, status=429, retry_after="2")
    assert words_of_access(*burst(*moments, status=403), *refusal)[BELOW] is not Word.FAIL
    bots = burst(*moments, status=403, user_agent="SQLMap/1")
    assert words_of_access(*bots, *refusal)[BELOW] is Word.FAIL


@pytest.mark.parametrize(
    ("way", "promise"),
    [
        ("path", "no bypass"),
        ("method", "no bypass"),
        ("connection", "no bypass"),
        ("headers", "spoofed headers count for nothing"),
    ],
)
def test_evading_a_limit_breaks_the_promise_for_that_way(way, promise):
    """The quota of ordinary clients is kept."""
    limiter, tricked = MovingLog(N, W), MovingLog(10**6, W)
    honest = journal_of(limiter, MUCH, 1)
    evading = journal_of(tricked, MUCH, 2).assign(noted=json.dumps({"evades": way}, separators=(",", ":")))
    evading["client"] += "0"
    assert broken(audit(pd.concat([honest, evading], ignore_index=True))) == {promise}


def test_another_limit_for_other_spellings_is_no_fault_of_this_one():
    """It may refuse and announce what it likes; without other clients, that is all there is."""
    policy = {"rate_limit_policy": '"other";q=1;w=9', "evades": "path"}
    rows = [row("a", moment, moment + 0.01, 429, "9", **policy) for moment in EVERY_TENTH]
    assert words(audit(frame(rows))) == {"no bypass": Word.INCONCLUSIVE}
    assert not broken(audit(frame(rows), "unknown"))


@pytest.mark.parametrize(
    ("noted", "what"),
    [
        ({"rate_limit_policy": '"health";q=5;w=2', "rate_limit": '"health";r=4;t=2'}, None),
        ({"rate_limit_policy": '"health";q=9;w=2'}, "q=9"),
        ({"rate_limit_policy": '"health";q=5;w=60'}, "w=60"),
        ({"rate_limit": '"health";r=5;t=2'}, "r=5"),
        ({"rate_limit": '"health";r=2;t=2'}, "r=2"),
        ({"rate_limit": '"health";r=4;t=3'}, None),
        ({"rate_limit": '"health";r=4;t=4'}, "t=4"),
        ({"rate_limit": '"health";r=4;t=-1'}, "RateLimit can't be read"),
        ({"rate_limit": '"health";r=3.5;t=2'}, "RateLimit can't be read"),
        ({"rate_limit": '"health";r=4;t=2;pk=:aGk=:, "day";r=90'}, None),
        ({"rate_limit_policy": '"health";q=5;w=2, "day";q=900;w=86400', "rate_limit": '"day";r=899;t=86000'}, None),
        ({"rate_limit_policy": '"day";q=900;w=86400, "health";q=5;w=2', "rate_limit": '"health";r=3;t=2'}, "r=3"),
        ({"rate_limit_policy": '"h";q=5;w=2, "d";q=9;w=86400', "rate_limit": '"d";r=8;t=86000, "h";r=2;t=2'}, "r=2"),
        ({"rate_limit_policy": "5;w=2, 900;w=86400", "rate_limit": "limit=900, remaining=899, reset=86000"}, None),
        ({"rate_limit_policy": "5;w=2, 900;w=86400", "rate_limit": "limit=5, remaining=3, reset=2"}, "r=3"),
        ({"rate_limit": "health;r=4;t=2", "rate_limit_policy": "health;q=5;w=2"}, None),
        ({"rate_limit": "limit=5, remaining=4", "rate_limit_policy": "5;w=2"}, None),
        ({"rate_limit": "limit=5, remaining=2, reset=1"}, "r=2"),
        ({"rate_limit_policy": "9;w=2"}, "q=9"),
        ({"rate_limit": "many"}, None),
        ({"rate_limit": "4 of 5"}, "RateLimit can't be read"),
        ({"rate_limit_policy": "5 per second"}, "RateLimit-Policy can't be read"),
    ],
)
def test_rate_limit_fields_say_what_is_declared_and_what_is_left(noted, what):
    audited = audit(frame([row("a", 1.0, 1.002, 200, **noted)]))
    assert [what in offence.what for offence in audited.offences] == ([True] if what else [])


@pytest.mark.parametrize("penalties", [None, Penalties(base="9 s", cap="9 s")])  # type: ignore[arg-type]  # text is read
def test_a_penalty_refuses_although_something_is_left(penalties):
    """And nothing else does."""
    rows = burst(0.1, 0.2, 0.3, 0.4, 0.5) + burst(0.6, status=429, retry_after="11", rate_limit='"health";r=0;t=2')
    rows += burst(3.0, status=429, retry_after="9", rate_limit='"health";r=5;t=1')
    assert ("RateLimit fields" in broken(audit(frame(rows), penalties=penalties))) is (penalties is None)


def test_fields_without_numbers_are_no_evidence():
    rows = [row("a", moment, moment + 0.01, 200, rate_limit="many") for moment in EVERY_TENTH]
    assert words(audit(frame(rows)))["RateLimit fields"] is Word.INCONCLUSIVE


@pytest.mark.timeout(20)
def test_a_field_made_to_take_forever_is_read_at_once():
    """Its blanks could belong to what is before or after them, in more ways than can be tried."""
    field = '"health"' + 20 * (";a=1" + 10 * " ") + ";="
    audited = audit(frame([row("a", 1.0, 1.002, 200, rate_limit=field[:LONGEST])]))
    assert any("can't be read" in offence.what for offence in audited.offences)


def test_a_refusal_cant_have_less_than_nothing_left():
    audited = audit(frame([row("a", 1.0, 1.002, 429, "1", rate_limit='"health";r=-1;t=1')]))
    assert any("can't be read" in offence.what for offence in audited.offences)
