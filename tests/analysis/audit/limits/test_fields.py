"""RateLimit fields of limiters that know what is left: correct ones are accepted, and each wrong number is found."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from loadproof.analysis.audit.limits.fields import _STATE, _own
from loadproof.analysis.audit.limits.limits import audit_limits
from loadproof.analysis.audit.limits.refusals import Before
from loadproof.analysis.word import Word
from loadproof.scenario.target.limits import DeclaredLimit
from simulation.limiters import (
    AlignedWindow,
    FixedWindow,
    Limiter,
    MovingLog,
    SlidingCounter,
    TokenBucket,
    Traffic,
    journal_of,
)

if TYPE_CHECKING:
    import pandas as pd

    from loadproof.analysis.audit.audit import Evidence

pytestmark = pytest.mark.slow
"""Each simulated run of many clients takes a tenth of a second."""

N, W = 5, 2.0
TRAFFIC = Traffic(clients=8, seconds=16.0)
LITTLE = Traffic(clients=3, seconds=3.0, rate=2.0, burst=3)
LIMITERS: dict[str, Callable[[], Limiter]] = {
    "fixed-window": lambda: FixedWindow(N, W),
    "aligned-window": lambda: AlignedWindow(N, W, 0.7),
    "moving-window": lambda: MovingLog(N, W),
    "sliding-counter": lambda: SlidingCounter(N, W, floors=True),
    "token-bucket": lambda: TokenBucket(N, W, N),
}


def left_of(limiter: Any, client: str, now: float) -> tuple[int, float]:
    """What is left, and seconds until more or all of it is there."""
    match limiter:
        case FixedWindow():
            end, count = limiter.windows[client]
            return max(0, N - int(count)), end - now
        case AlignedWindow() | SlidingCounter():
            number = math.floor((now - limiter.phase) / W)
            reset_s = (number + 1) * W + limiter.phase - now
            weight = limiter.counts[client, number - 1] * reset_s / W if isinstance(limiter, SlidingCounter) else 0
            return max(0, N - limiter.counts[client, number] - math.floor(weight)), reset_s
        case MovingLog():
            log = limiter.logs[client]
            return max(0, N - len(log)), log[0] + W - now
        case TokenBucket():
            tokens, _ = limiter.tokens[client]
            return int(tokens + 1e-9), max(0, 1 - tokens) * W / N
    raise TypeError(limiter)


class Telling:
    """Announces what is left, or something else."""

    def __init__(self, inner: Limiter, says: Says) -> None:
        self.inner = inner
        self.says = says
        self.latest: dict[str, tuple[int, float]] = {}
        self.noted: dict[str, str] = {}

    def take(self, client: str, now: float) -> float:
        wait = self.inner.take(client, now)
        left, reset_s = left_of(self.inner, client, now)
        said, at_s = self.says(self, client, left, max(wait, reset_s))
        self.latest[client] = self.latest[""] = left, reset_s
        self.noted = {"rate_limit": f'"health";r={0 if wait > 0 else said};t={math.ceil(at_s)}'}
        return wait


Says = Callable[[Telling, str, int, float], tuple[int, float]]


def right(_: Telling, _client: str, left: int, reset_s: float) -> tuple[int, float]:
    return left, reset_s


def floored(_: Telling, _client: str, left: int, reset_s: float) -> tuple[int, float]:
    return left, math.floor(reset_s)


def stale(limiter: Telling, client: str, _left: int, reset_s: float) -> tuple[int, float]:
    """As of the previous request."""
    return limiter.latest.get(client, (N - 1, 0))[0], reset_s


def anothers(limiter: Telling, _client: str, left: int, reset_s: float) -> tuple[int, float]:
    return limiter.latest.get("", (left, 0))[0], reset_s


def constant(_: Telling, _client: str, _left: int, reset_s: float) -> tuple[int, float]:
    return N - 1, reset_s


def nothing(_: Telling, _client: str, _left: int, reset_s: float) -> tuple[int, float]:
    return 0, reset_s


def at_once(_: Telling, _client: str, left: int, _reset_s: float) -> tuple[int, float]:
    return left, 0


def told(algorithm: str, says: Says, *, traffic: Traffic = TRAFFIC, seed: int = 1) -> pd.DataFrame:
    limiter = Telling(LIMITERS[algorithm](), says)
    return journal_of(limiter, traffic, seed, note=lambda: limiter.noted)


def fields(journal: pd.DataFrame, algorithm: str, before: Before | None = None) -> Evidence:
    limit = DeclaredLimit.model_construct(amount=N, period=W, algorithm=algorithm)
    found = audit_limits(journal, {"health": limit}, before={"health": before} if before else None)
    return next(one for one in found.evidence if one.promise == "health: RateLimit fields")


@pytest.mark.parametrize("algorithm", LIMITERS)
@pytest.mark.parametrize("says", [stale, anothers, constant, nothing])
def test_an_impossible_number_left_is_found_whatever_the_algorithm(algorithm, says):
    evidence = fields(told(algorithm, says), algorithm)
    assert evidence.word is Word.FAIL
    assert "RateLimit says r=" in evidence.reason


@pytest.mark.parametrize("algorithm", ["fixed-window", "moving-window"])
def test_a_reset_that_is_too_early_is_found(algorithm):
    """For other algorithms the moment is unknown."""
    evidence = fields(told(algorithm, at_once), algorithm)
    assert evidence.word is Word.FAIL
    assert "t=0, more than a second too short" in evidence.reason


@pytest.mark.parametrize("algorithm", LIMITERS)
@pytest.mark.parametrize("is_declared", [True, False])
@pytest.mark.parametrize("says", [right, floored])
def test_correct_numbers_are_accepted(algorithm, says, is_declared):
    """Even if the traffic leaves open which algorithm it is."""
    for seed, traffic in enumerate((TRAFFIC, LITTLE, LITTLE)):
        journal = told(algorithm, says, traffic=traffic, seed=seed)
        evidence = fields(journal, algorithm if is_declared else "unknown")
        assert evidence.word is not Word.FAIL, evidence.reason


@pytest.mark.parametrize("algorithm", LIMITERS)
def test_requests_before_the_run_may_have_used_up_the_limit(algorithm):
    """If others have just loaded the target, it is unknown how much is left at first."""
    journal = told(algorithm, right)
    moments = ["intended_us", "sent_us", "ended_us"]
    late = journal[journal["sent_us"] > 5_000_000].reset_index(drop=True)
    late[moments] -= 5_000_000
    evidence = fields(late, algorithm, Before(is_unknown=True))
    assert evidence.word is Word.PASS, evidence.reason
    if algorithm != "sliding-counter":
        assert fields(late, algorithm).word is Word.FAIL


@pytest.mark.parametrize(
    ("policies", "state", "own"),
    [
        ("10;w=1, 50;w=60", "limit=50, remaining=9, reset=1", {"q": 50, "r": 9, "t": 1}),
        ("50;w=1, 50;w=60", "limit=50, remaining=9, reset=1", {}),
        ('"short";q=50;w=1, "long";q=50;w=60', '"long";r=9;t=1', {"r": 9, "t": 1}),
        ('"same";q=50;w=1, "same";q=50;w=60', '"same";r=9;t=1', {}),
    ],
    ids=["by its amount", "two amounts", "by its name", "two names"],
)
def test_of_several_policies_only_one_that_can_be_told_is_this_limits(policies, state, own):
    """What could as well be another policy's number is not held against the target."""
    limit = DeclaredLimit.model_construct(amount=50, period=60.0, algorithm="unknown")
    assert _own({"rate_limit_policy": policies, _STATE: state}, _STATE, limit) == own


def test_a_number_of_any_size_is_found_wrong():
    """Like minus one without a sign."""
    evidence = fields(told("aligned-window", lambda *_: (2**64 - 1, 2**64 - 1)), "aligned-window")
    assert evidence.word is Word.FAIL
