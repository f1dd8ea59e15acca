"""Late effects are waited for, the right ones and surplus ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from loadproof.analysis.audit.webhooks import LATER, ONE_EFFECT, audit_webhooks, webhook_record
from loadproof.analysis.word import Word
from loadproof.outcome import Outcome
from loadproof.run.audits.inquiry import Inquired
from loadproof.run.audits.journalreading import Sent
from loadproof.run.audits.webhookreading import WebhookReading
from loadproof.scenario.target.operations import FALSE_DELIVERIES

SIGNATURE = "telegram"
QUEUED_S = 2.5
"""Time from an answer to its effect."""
ANSWER_S = 0.002


@dataclass
class Queueing:
    """A receiver that accepts signed events and acts later; also serves as the API and the inquirer."""

    knows_ids: bool = True
    forgets: bool = False
    """An event delivered again after the load counts as a new one."""
    signature: str = SIGNATURE
    has_effects: bool = True
    now: float = 0.0
    queued: list[tuple[float, str]] = field(default_factory=list)
    known: set[str] = field(default_factory=set)

    def deliver_as(self, how: str, event: str, _: Any) -> tuple[str, str]:
        return how, event

    def read_effects(self, event: str) -> tuple[str, str]:
        return "effects", event

    def pause(self, seconds: float) -> None:
        self.now += seconds

    def ask(self, call: tuple[str, str]) -> Inquired:
        return self.ask_together([call])[0]

    def ask_together(self, calls: list[tuple[str, str]]) -> list[Inquired]:
        sent_us = round(self.now * 1e6)
        self.now += ANSWER_S
        return [self._answered(how, event, sent_us) for how, event in calls]

    def _answered(self, how: str, event: str, sent_us: int) -> Inquired:
        status, said = 200, {}
        if how == "effects":
            said = {"effects": sum(event == of and at <= self.now for at, of in self.queued)}
        elif how in FALSE_DELIVERIES[SIGNATURE]:
            status = 401
        elif not (self.knows_ids and event in self.known) or (self.forgets and how == "again"):
            self.known.add(event)
            self.queued.append((self.now + QUEUED_S, event))
        reply: Any = _Reply(said, SimpleNamespace(status=status))
        outcome = Outcome.OK if status == 200 else Outcome.REJECTED
        return Inquired("c", sent_us, sent_us + 2_000, reply, outcome)


@dataclass
class _Reply:
    said: dict[str, int]
    answer: Any

    def __getitem__(self, word: str) -> int:
        return self.said[word]


@pytest.mark.parametrize(
    ("receiver", "broken"),
    [
        (Queueing(), set()),
        (Queueing(knows_ids=False), {ONE_EFFECT, LATER}),
        (Queueing(forgets=True), {ONE_EFFECT, LATER}),
    ],
    ids=["right", "acts on each delivery", "forgets"],
)
def test_a_late_second_effect_is_noticed(receiver, broken):
    asking: Any = receiver
    reading = WebhookReading(asking, asking, {}, [f"early{number}" for number in range(6)])
    seen = list(reading.before())
    receiver.now += 10.0
    seen += reading.after(Sent())
    record = webhook_record([], seen, has_effects=True, kinds=FALSE_DELIVERIES[SIGNATURE])
    found = audit_webhooks(record, one_in=10)
    assert {evidence.promise for evidence in found.evidence if evidence.word is Word.FAIL} >= broken
    assert (found.word is Word.FAIL) is bool(broken)
