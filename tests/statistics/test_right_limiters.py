"""Right limiters of every kind, under traffic of every kind, are never said to have broken a promise."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from loadproof.analysis.audit.limits import audit_limits
from loadproof.analysis.word import Word
from loadproof.scenario.limits import DeclaredLimit
from loadproof.scenario.settings import Penalties
from simulation.limiters import (
    AlignedWindow,
    FixedWindow,
    Gcra,
    Limiter,
    MovingLog,
    Punishing,
    SlidingCounter,
    TokenBucket,
    Traffic,
    journal_of,
)
from tests.profiles import IS_FULL

JOURNALS = 200 if IS_FULL else 10
"""Of each kind of limiter, with up to twelve clients, each of which is a schedule of its own."""
RIGHT: dict[str, tuple[str, Callable[[int, float, int], Limiter]]] = {
    "fixed window": ("fixed-window", lambda n, period, _: FixedWindow(n, period)),
    "aligned window": ("aligned-window", lambda n, period, seed: AlignedWindow(n, period, seed * 0.37 % period)),
    "moving log": ("moving-window", lambda n, period, _: MovingLog(n, period)),
    "sliding counter": (
        "sliding-counter",
        lambda n, period, seed: SlidingCounter(n, period, floors=seed % 2 == 0, phase=seed * 0.31 % period),
    ),
    "token bucket": ("token-bucket", lambda n, period, _: TokenBucket(n, period, n)),
    "gcra": ("token-bucket", lambda n, period, _: Gcra(n, period, n)),
}


@pytest.mark.statistics
@pytest.mark.parametrize("kind", RIGHT)
def test_a_right_limiter_never_fails_whether_its_algorithm_is_declared_or_not(kind):
    algorithm, make = RIGHT[kind]
    words = []
    for seed in range(JOURNALS):
        chance = random.Random(f"{kind} {seed}")
        n, period = chance.choice([1, 2, 3, 5, 10, 20]), chance.choice([0.5, 1.0, 2.0, 5.0, 10.0])
        limiter, penalties = make(n, period, seed), None
        if chance.random() < 0.3:
            limiter, penalties = punishing(limiter, chance)
        traffic = Traffic(
            clients=chance.randint(1, 12),
            seconds=chance.uniform(3, 8) * max(period, 1),
            rate=min(chance.uniform(0.5, 3) * n / period, 20),
            burst=chance.randint(2, 3 * n + 2),
            delay=chance.choice([0.0005, 0.003, 0.02, 0.1]),
        )
        journal = journal_of(limiter, traffic, seed)
        for said in (algorithm, "unknown"):
            limit = DeclaredLimit.model_construct(amount=n, period=period, algorithm=said, penalties=penalties)
            audited = audit_limits(journal, {"health": limit})
            assert audited.word is not Word.FAIL, (seed, traffic, audited.reason, audited.offences[:1])
            words.append(audited.word)
    assert len(words) == 2 * JOURNALS


def punishing(limiter: Limiter, chance: random.Random) -> tuple[Limiter, Penalties]:
    rule = {
        "base": chance.choice([0.2, 1.0, 2.0]),
        "factor": chance.choice([1.0, 2.0, 3.0]),
        "cap": chance.choice([2.0, 4.0, 8.0]),
        "memory": chance.choice([1.0, 3.0, 10.0]),
    }
    return Punishing(limiter, **rule), Penalties.model_construct(**rule)
