"""Limits while a fault keeps processes from their Redis: each counts by itself, and none lets everything pass."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace

import pandas as pd
import pytest

from loadproof.analysis.audit.limits.limits import audit_limits
from loadproof.analysis.audit.limits.losses import Loss, losses_of, redis_losses
from loadproof.analysis.frames.run import load_run
from loadproof.analysis.word import Word
from loadproof.rundir import files
from loadproof.rundir.rows import EventRow
from loadproof.scenario.settings import Penalties
from loadproof.scenario.target.limits import DeclaredLimit
from simulation.limiters import Gcra, MovingLog, Punishing, Traffic, frame, journal_of, row
from simulation.rundirs import scenario, write_run

N, W, PROCESSES = 5, 1.0, 2
LOST = Loss(10.0, 10.1, 20.0, 21.0)
MUCH = Traffic(clients=30, seconds=30.0, rate=30.0)
LIMIT = DeclaredLimit.model_construct(amount=N, period=W, algorithm="moving-window", retry_after=True)


@dataclass
class Distributed:
    """Processes that ask a Redis in turn, and count by themselves while it is gone, from 10 s to 20 s."""

    locally: int = N
    """Beyond this many, each process refuses."""
    until: float = 20.5
    """When the processes have found it again."""
    is_paused: bool = False
    """It was paused, so it still has its counts."""
    shared: MovingLog = field(default_factory=lambda: MovingLog(N, W))
    turn: int = 0

    def __post_init__(self) -> None:
        self.own = [MovingLog(self.locally, W) for _ in range(PROCESSES)]

    def take(self, client: str, now: float) -> float:
        self.turn += 1
        if 10.05 < now < self.until:
            if not self.is_paused:
                self.shared = MovingLog(N, W)
            return self.own[self.turn % PROCESSES].take(client, now)
        return self.shared.take(client, now)


def broken(limiter: Distributed, *losses: Loss) -> set[str]:
    found = audit_limits(journal_of(limiter, MUCH, 3), {"health": LIMIT}, losses=losses, processes=PROCESSES)
    return {evidence.promise for evidence in found.evidence if evidence.word is Word.FAIL}


@pytest.mark.slow
@pytest.mark.parametrize("is_paused", [True, False], ids=["paused", "killed"])
def test_each_process_may_admit_as_much_while_redis_is_gone_and_no_longer(is_paused):
    journal = journal_of(Distributed(is_paused=is_paused), MUCH, 3)
    assert audit_limits(journal, {"health": LIMIT}, losses=[LOST], processes=PROCESSES).word is Word.PASS
    assert "health: quota" in broken(Distributed(is_paused=is_paused))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limiter", "promise"),
    [
        (Distributed(locally=10**6), "health without Redis: quota"),
        (Distributed(locally=N + 1), "health without Redis: quota"),
        (Distributed(locally=1), "health without Redis: no refusal below it"),
        (Distributed(until=30.0), "health: quota"),
    ],
    ids=["all pass", "one more", "refuses early", "doesn't come back"],
)
def test_faults_of_processes_without_redis_are_found(limiter, promise):
    assert promise in broken(limiter, LOST)


@pytest.mark.slow
def test_while_redis_partly_fails_either_may_have_counted():
    """For example, it is slow: some requests are counted there."""
    slow = Loss(10.0, 21.0, 21.0, 21.0)
    assert broken(Distributed(), slow) == set()
    assert broken(Distributed(locally=10**6), slow) == {"health as Redis fails: quota"}


REDIS = {"limiter": "redis", "processes": 2}
KILL = {"fault": "kill", "of": "redis", "phase": "steady", "at": "5 s", "lasts": "4 s"}
"""From second 10 to 14."""
SLOW = KILL | {"fault": "latency", "latency": "100 ms", "at": "6 s"}


def run_with(tmp_path, *faults: dict[str, str], rises: tuple[float, ...] = ()):
    """A run in which fallbacks are counted in the second before each of these times."""
    run = load_run(write_run(tmp_path, plan=scenario(faults=list(faults), settings=REDIS)))
    rows = []
    for number, fault in enumerate(faults):
        begun_s = 5.2 + float(fault["at"].removesuffix(" s"))
        detail = json.dumps({"number": number, "fault": fault["fault"], "of": fault["of"]})
        rows += [EventRow(begun_s, "fault_begun", detail), EventRow(begun_s + 4.5, "fault_ended", detail)]
    value, samples = 0, []
    for second in range(40):
        value += float(second) in rises
        samples.append((float(second), files.FALLBACKS, value))
    target = pd.DataFrame(samples, columns=["time_s", "metric", "value"])
    return replace(run, events=pd.DataFrame(rows, columns=EventRow._fields), target=target)


@pytest.mark.slow
def test_a_run_shows_when_redis_was_certainly_gone_and_when_it_may_have_been(tmp_path):
    (loss,) = redis_losses(run_with(tmp_path, KILL))
    assert (loss.from_s, loss.gone_s, loss.until_s, loss.back_s) == pytest.approx((9.9, 10.3, 13.9, 17.7))
    (joined,) = redis_losses(run_with(tmp_path, KILL, SLOW))
    assert (joined.from_s, joined.gone_s, joined.until_s) == pytest.approx((9.9, 18.7, 18.7))


@pytest.mark.slow
def test_an_unplanned_loss_counts_unless_it_continues_after_a_fault(tmp_path):
    """A target that doesn't find Redis again is held to the shared limit."""
    (_, other) = redis_losses(run_with(tmp_path, KILL, rises=(11.0, 12.0, 25.0)))
    assert (other.from_s, other.back_s, other.is_planned) == (pytest.approx(21.9), 28.0, False)
    assert len(redis_losses(run_with(tmp_path, KILL, rises=tuple(map(float, range(11, 40)))))) == 1


@pytest.mark.slow
def test_without_a_fault_redis_is_only_lost_while_the_target_counts_fallbacks(tmp_path):
    """From the first sample on, if it has counted by then; and anew after a restart."""
    (loss,) = redis_losses(run_with(tmp_path, KILL | {"of": "target"}, rises=(25.0,)))
    assert (loss.from_s, loss.back_s, loss.is_planned) == (pytest.approx(21.9), 28.0, False)
    (early,) = redis_losses(run_with(tmp_path, rises=(0.0,)))
    assert (early.from_s, early.back_s) == (-math.inf, 3.0)
    run = run_with(tmp_path, rises=(5.0, 6.0))
    again = run.target.assign(value=run.target["value"].where(run.target["time_s"] < 20.0, 1.0))
    assert [loss.back_s for loss in redis_losses(replace(run, target=again))] == [9.0, 23.0]


@dataclass
class Restarted:
    """One process, which forgets everything when it is restarted."""

    limiter: MovingLog = field(default_factory=lambda: MovingLog(N, W))
    has_restarted: bool = False

    def take(self, client: str, now: float) -> float:
        if now > 12.0 and not self.has_restarted:
            self.limiter, self.has_restarted = MovingLog(N, W), True
        return self.limiter.take(client, now)


@pytest.mark.slow
@pytest.mark.parametrize(("shared", "word"), [("process", Word.PASS), ("redis", Word.FAIL)])
def test_a_restarted_process_has_forgotten_its_own_counts_but_not_those_in_redis(tmp_path, shared, word):
    (loss,) = losses_of(run_with(tmp_path, KILL | {"of": "target", "at": "6.8 s", "lasts": "100 ms"}))
    loss = replace(loss, back_s=12.3)
    assert (loss.from_s, loss.shared, loss.is_planned) == (pytest.approx(11.7), "process", False)
    limit = LIMIT.model_copy(update={"shared": shared})
    found = audit_limits(journal_of(Restarted(), MUCH, 3), {"health": limit}, losses=[loss])
    assert found.word is word


@pytest.mark.slow
def test_a_bucket_drained_unseen_is_not_assumed_full_afterwards():
    """Not even long after, if its client never lets it refill."""
    limit = LIMIT.model_copy(update={"algorithm": "token-bucket"})
    journal = journal_of(Gcra(N, W, N), MUCH, 3)
    found = audit_limits(journal, {"health": limit}, losses=[UNPLANNED])
    assert [evidence.promise for evidence in found.evidence if evidence.word is Word.FAIL] == []


RULE = Penalties(base="16 s", factor=2, cap="16 s", memory="60 s")  # type: ignore[arg-type]  # text is read
UNPLANNED = Loss(12.0, 20.0, 20.0, 20.0, is_planned=False)


@pytest.mark.parametrize("between", [False, True], ids=["first", "after an admission"])
def test_a_penalty_announced_while_redis_was_lost_is_right_afterwards(between):
    """The rows judged don't show it, unless something was admitted since."""
    rows = [row("a", 13 + 0.01 * at, 13.001 + 0.01 * at, 200) for at in range(N)]
    rows += [row("a", 13.1, 13.101, 429, "17")]
    rows += [row("a", 21.0, 21.001, 200)] if between else []
    rows += [row("a", 25.0, 25.001, 429, "6")]
    limit = LIMIT.model_copy(update={"penalties": RULE})
    found = audit_limits(frame(rows), {"health": limit}, losses=[UNPLANNED])
    failed = {evidence.promise for evidence in found.evidence if evidence.word is Word.FAIL}
    assert ("health: no refusal below it" in failed) is between


@pytest.mark.slow
def test_rows_before_an_unplanned_loss_are_evidence_of_penalties():
    """But nothing after it."""
    rule = Penalties(base="2 s", factor=2, cap="8 s", memory="60 s")  # type: ignore[arg-type]  # text is read
    limit, traffic = LIMIT.model_copy(update={"penalties": rule}), Traffic(clients=12, seconds=40.0)
    journal = journal_of(Punishing(MovingLog(N, W), 2.0, 2.0, 8.0, 60.0), traffic, 1)
    grown = []
    for from_s in (40.0, 10.0, 0.0):
        loss = replace(UNPLANNED, from_s=from_s, back_s=60.0)
        found = audit_limits(journal, {"health": limit}, losses=[loss])
        grown += [evidence.n for evidence in found.evidence if evidence.promise == "health: penalties grow"]
        assert [evidence for evidence in found.evidence if evidence.word is Word.FAIL] == []
    assert grown[0] > grown[1] > grown[2] == 0


def test_a_window_from_before_a_pause_continues_after_it():
    """Three requests were counted in a fixed window, so two are left, as the target says."""
    sent = [(9.0, 200, 4), (9.1, 200, 3), (9.2, 200, 2), (10.3, 200, 1), (10.4, 200, 0), (10.5, 429, 0), (10.6, 429, 0)]
    rows = [
        row(
            "a",
            at,
            at + 0.01,
            status,
            "1" if status == 429 else "",
            rate_limit=f'"health";r={left};t={max(1, round(11 - at))}',
        )
        for at, status, left in sent
    ]
    limit = LIMIT.model_copy(update={"algorithm": "fixed-window", "period": 2.0})
    found = audit_limits(frame(rows), {"health": limit}, losses=[Loss(9.4, 9.5, 9.9, 10.2)], processes=1)
    assert [evidence.promise for evidence in found.evidence if evidence.word is Word.FAIL] == []
