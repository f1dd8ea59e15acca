"""Correct limiters of every kind never FAIL the audit, under any kind of traffic."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pandas as pd
import pytest

from loadproof.analysis.audit.limits.limits import audit_limits
from loadproof.analysis.audit.limits.refusals import Before
from loadproof.analysis.word import Word
from loadproof.rundir.rows import ANSWER_DATE
from loadproof.scenario.settings import Penalties
from loadproof.scenario.target.limits import DeclaredLimit
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
    journal_of,
)
from tests.profiles import IS_FULL

JOURNALS = 200 if IS_FULL else 10
"""Journals per kind of limiter, each of up to twelve clients with their own traffic."""
START_S = 1_795_413_600.0
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
def test_a_correct_limiter_never_fails_whether_its_algorithm_is_declared_or_not(kind):
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


@dataclass
class EitherOf:
    """Two processes that count separately; the one that accepts the connection decides."""

    both: tuple[Limiter, Limiter]
    chance: random.Random

    def take(self, client: str, now: float) -> float:
        return self.chance.choice(self.both).take(client, now)


def dated(wait: float, now: float) -> str:
    return http_date(math.ceil(START_S + now + wait))


def http_date(unix_s: int) -> str:
    return format_datetime(datetime.fromtimestamp(unix_s, UTC), usegmt=True)


class OwnClock:
    """The clock of a target that is hours off, as the Date of its answers shows."""

    def __init__(self, chance: random.Random) -> None:
        self._off_s = chance.uniform(-50_000, 50_000)
        self._date = ""

    def dated(self, wait: float, now: float) -> str:
        self._date = http_date(math.floor(START_S + now + self._off_s))
        return http_date(math.ceil(START_S + now + self._off_s + wait))

    def note(self) -> dict[str, str]:
        date, self._date = self._date, ""
        return {ANSWER_DATE: date} if date else {}


def cut(journal: pd.DataFrame, chance: random.Random) -> tuple[pd.DataFrame, float]:
    """Drop rows before a moment without requests in flight, as if others had sent them; also returns that moment."""
    journal = journal.sort_values("sent_us")
    is_calm = journal["ended_us"].cummax().shift(fill_value=0) < journal["sent_us"]
    begin_us = int(chance.choice(journal["sent_us"][is_calm].to_list()))
    times = ["intended_us", "sent_us", "ended_us"]
    kept = journal[journal["sent_us"] >= begin_us]
    return kept.assign(**{name: kept[name] - begin_us for name in times}), begin_us * 1e-6


def unanswered(journal: pd.DataFrame, chance: random.Random) -> pd.DataFrame:
    """Replace some answers: lost ones, and ones of something other than the limiter."""
    status = [chance.choices([each, 0, 500, 401], [94, 2, 2, 2])[0] for each in journal["status"]]
    return journal.assign(status=status, retry_after=journal["retry_after"].where(pd.Series(status) == 429, ""))


def skewed(journal: pd.DataFrame, chance: random.Random) -> pd.DataFrame:
    """Split the journal between two workers, one of whose clocks is off by at most the stated doubt."""
    doubt_us = chance.choice([100, 5_000, 50_000])
    is_second = journal["client"].str[-1].isin(list("13579"))
    moved = is_second * round(chance.uniform(-1, 1) * doubt_us)
    times = {name: journal[name] + moved for name in ("intended_us", "sent_us", "ended_us")}
    return journal.assign(worker=is_second.map({True: "2", False: "1"}), doubt_us=is_second * doubt_us, **times)


@pytest.mark.statistics
@pytest.mark.parametrize("kind", RIGHT)
def test_a_correct_limiter_never_fails_under_difficult_conditions(kind):
    """Runs that begin amid traffic, lost answers, clock differences, dates, several processes, a shared limit."""
    algorithm, make = RIGHT[kind]
    for seed in range(JOURNALS):
        chance = random.Random(f"way of {kind} {seed}")
        n, period = chance.choice([1, 3, 5, 10]), chance.choice([1.0, 2.0, 5.0])
        said: dict[str, Any] = {"amount": n, "period": period}
        limiter = make(n, period, seed)
        if chance.random() < 0.3:
            limiter = EitherOf((limiter, make(n, period, seed)), chance)
            said |= {"shared": "process", "processes": 2}
        elif chance.random() < 0.3:
            limiter, said["penalties"] = punishing(limiter, chance)
        if chance.random() < 0.3:
            limiter = OneForAll(limiter)
            said |= {"key": "global"}
        traffic = Traffic(chance.randint(2, 9), 5 * max(period, 1), min(2 * n / period, 20), 2 * n + 2, 0.003)
        retry_after, note, clock = ceiled, dict, OwnClock(chance)
        if chance.random() < 0.3:
            retry_after, note = chance.choice([(dated, dict), (clock.dated, clock.note)])
        journal = journal_of(limiter, traffic, seed, retry_after=retry_after, note=note)
        start_s, before = START_S, None
        if chance.random() < 0.5:
            journal, late_s = cut(journal, chance)
            start_s, before = START_S + late_s, {"health": Before(is_unknown=True)}
        journal = unanswered(journal.reset_index(drop=True), chance)
        journal = skewed(journal, chance) if chance.random() < 0.5 else journal
        for name in (algorithm, "unknown"):
            limit = DeclaredLimit.model_construct(algorithm=name, **said)
            audited = audit_limits(journal, {"health": limit}, start_unix_s=start_s, before=before)
            assert audited.word is not Word.FAIL, (seed, said, audited.reason, audited.offences[:1])


def punishing(limiter: Limiter, chance: random.Random) -> tuple[Limiter, Penalties]:
    rule = {
        "base": chance.choice([0.2, 1.0, 2.0]),
        "factor": chance.choice([1.0, 2.0, 3.0]),
        "cap": chance.choice([2.0, 4.0, 8.0]),
        "memory": chance.choice([1.0, 3.0, 10.0]),
    }
    return Punishing(limiter, **rule), Penalties.model_construct(**rule)
