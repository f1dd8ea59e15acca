"""A correct receiver of webhooks keeps every promise, and each faulty one breaks its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from loadproof.analysis.audit.webhooks import (
    BY_ID,
    EFFECT,
    FALSE_KINDS,
    LATER,
    NO_EFFECT,
    ONE_EFFECT,
    WebhookRecord,
    audit_webhooks,
    webhook_record,
)
from loadproof.analysis.word import Word
from loadproof.outcome import Said
from loadproof.rundir.observations import Observation
from tests.analysis.audit.banks import Reply, World

if TYPE_CHECKING:
    from loadproof.analysis.audit.audit import Audited

PAIRS = 120
ONE_IN_FEW = 10


class Receiver:
    """Checks the signature and its age, then marks the id and adds the effect in one instant."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.marked: set[str] = set()
        self.effects: list[str] = []

    def take(self, event: str, body: str, how: str, reply: Reply) -> None:
        def answer() -> None:
            status = 401 if self.is_refused(how) else self.accept(event, body)
            self.world.after(self.world.delay(), lambda: reply(status, ""))

        self.world.after(self.world.delay(), answer)

    def is_refused(self, how: str) -> bool:
        return how in FALSE_KINDS

    def accept(self, event: str, body: str) -> int:
        if self.mark_of(event, body) in self.marked:
            return 200
        self.marked.add(self.mark_of(event, body))
        self.effects.append(event)
        return 202

    def mark_of(self, event: str, body: str) -> str:  # noqa: ARG002
        return event


class ByBody(Receiver):
    """Deduplicates by the body's bytes."""

    def mark_of(self, event: str, body: str) -> str:  # noqa: ARG002
        return body


class ByBodyAndId(Receiver):
    """Takes an event in another form for a different event."""

    def mark_of(self, event: str, body: str) -> str:
        return event + body


class RefusingBodies(Receiver):
    """Refuses a body that came before under another id."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.known: dict[str, str] = {}

    def accept(self, event: str, body: str) -> int:
        return super().accept(event, body) if self.known.setdefault(body, event) == event else 409


class Wanting(Receiver):
    """Also correct: accepts no event whose id isn't in its body."""

    def take(self, event: str, body: str, how: str, reply: Reply) -> None:
        if how == "same-body":
            self.world.after(self.world.delay(), lambda: reply(422, ""))
        else:
            super().take(event, body, how, reply)


class Mistaking(Receiver):
    """Takes one in 40 of the load's events for one that it already had, and says so each time."""

    def accept(self, event: str, body: str) -> int:
        number = event.removeprefix("e")
        return 208 if number.isdecimal() and int(number) % 40 == 7 else super().accept(event, body)


class MarkedFirst(Receiver):
    """Marks the id, and adds the effect in a second transaction, which fails with a 500 one in 40 times."""

    def accept(self, event: str, body: str) -> int:
        if event in self.marked or self.world.random.random() > 1 / 40:
            return super().accept(event, body)
        self.marked.add(event)
        return 500


class CheckThenMark(Receiver):
    """Checks whether the id is there, and marks it later."""

    def accept(self, event: str, body: str) -> int:
        if event not in self.marked:
            self.world.after(self.world.delay(), lambda: self.marked.add(event))
            self.effects.append(event)
            return 202
        return super().accept(event, body)


class Forgetful(Receiver):
    """Remembers the last fifty ids."""

    def accept(self, event: str, body: str) -> int:
        self.marked = set(dict.fromkeys(reversed(self.effects[-50:])))
        return super().accept(event, body)


class Trusting(Receiver):
    """Checks signatures, but not their age."""

    def is_refused(self, how: str) -> bool:
        return how in {"forged", "unsigned"}


class Remembering(Receiver):
    """Accepts a signature because it was right for another event."""

    def is_refused(self, how: str) -> bool:
        return how != "replayed" and super().is_refused(how)


class Careless(Receiver):
    """Adds the effect before it checks the signature."""

    def take(self, event: str, body: str, how: str, reply: Reply) -> None:
        if how == "unsigned":
            self.effects.append(event)
        super().take(event, body, how, reply)


class Providers:
    """Users who deliver events until one is accepted, and then loadproof with its own events."""

    def __init__(self, receiver_of: type[Receiver], seed: int) -> None:
        self.world = World(seed)
        self.receiver = receiver_of(self.world)
        self.rows: list[dict[str, Any]] = []
        self.seen: list[Observation] = []

    def deliver(self, event: str, body: str = "", *, how: str = "load", tries: int = 1) -> None:
        body, sent_us = body or f"of {event}", self.world.now

        def ended(status: int, _: str) -> None:
            if how == "load" and self.world.random.random() < 0.1:
                status = 0
            self._note(event, how, sent_us, status)
            if not 200 <= status < 300 and tries > 1:
                self.deliver(event, body, how=how, tries=tries - 1)

        self.receiver.take(event, body, how, ended)

    def _note(self, event: str, how: str, sent_us: int, status: int) -> None:
        outcome = "ok" if 200 <= status < 204 else "invalid"
        times = {"sent_us": sent_us, "ended_us": self.world.now, "status": status, "outcome": outcome}
        if how == "load":
            self.rows.append({**times, "repeated": 0, "noted": {"event": event}})
        else:
            self.seen.append(Observation("deliver", "after", "c9", *times.values(), {"event": event, "how": how}))

    def deliver_early(self, how: str) -> None:
        for number in range(6):
            self.deliver(f"early{number}", how=how)
            self.world.run()

    def ask(self) -> None:
        self.deliver_early("again")
        for number in range(PAIRS):
            for _ in range(2):
                self.deliver(f"pair{number}", how="pair")
            self.world.run()
        for number in range(6):
            form, body = f"form{number}", f"body{number}"
            probes = [(form, form, "pair"), (form, f" {form}", "other-form"), (body, body, "same-body")]
            probes += [(f"second{number}", body, "same-body"), *((f"{kind}{number}", "", kind) for kind in FALSE_KINDS)]
            for event, sent, how in probes:
                self.deliver(event, sent, how=how)
                self.world.run()

    def read_effects(self) -> None:
        events = [row["noted"]["event"] for row in self.rows] + [each.asked["event"] for each in self.seen]
        now = self.world.now
        for event in dict.fromkeys(events):
            said = {"effects": self.receiver.effects.count(event)}
            self.seen.append(Observation("effects", "after", "c9", now, now, 200, "ok", {"event": event}, said))


def load(receiver_of: type[Receiver], seed: int) -> WebhookRecord:
    providers = Providers(receiver_of, seed)
    providers.deliver_early("pair")
    for number in range(100):
        providers.deliver(f"e{number}", tries=5)
    providers.world.run()
    providers.ask()
    providers.read_effects()
    return webhook_record(providers.rows, providers.seen, has_effects=True)


def words(found: Audited) -> dict[str, Word]:
    return {evidence.promise: evidence.word for evidence in found.evidence}


@pytest.mark.slow
def test_a_correct_receiver_keeps_every_promise():
    """Although answers get lost, and users deliver again."""
    for seed in range(6):
        found = audit_webhooks(load(Wanting if seed % 2 else Receiver, seed), one_in=ONE_IN_FEW)
        assert words(found) == dict.fromkeys([EFFECT, ONE_EFFECT, LATER, BY_ID, NO_EFFECT], Word.PASS)


@pytest.mark.parametrize(
    ("receiver", "promises"),
    [
        (ByBody, {BY_ID, EFFECT, ONE_EFFECT}),
        (ByBodyAndId, {BY_ID, ONE_EFFECT}),
        (RefusingBodies, {BY_ID}),
        (Mistaking, {EFFECT}),
        (MarkedFirst, {EFFECT}),
        (CheckThenMark, {ONE_EFFECT}),
        (Forgetful, {LATER, ONE_EFFECT}),
        (Trusting, {NO_EFFECT}),
        (Careless, {NO_EFFECT}),
        (Remembering, {NO_EFFECT}),
    ],
)
def test_each_fault_breaks_its_promise(receiver, promises):
    """And no other."""
    found = audit_webhooks(load(receiver, 1), one_in=ONE_IN_FEW)
    assert {promise for promise, word in words(found).items() if word is Word.FAIL} == promises
    assert all(offence.rows for offence in found.offences)


def test_without_an_operation_that_shows_effects_nothing_passes():
    """An answer doesn't show what was done; but an accepted forged event is one too many."""
    for receiver, word in ((Receiver, Word.INCONCLUSIVE), (Trusting, Word.FAIL)):
        record = load(receiver, 1)
        found = audit_webhooks(WebhookRecord(record.deliveries), one_in=ONE_IN_FEW)
        assert words(found) == dict.fromkeys([EFFECT, ONE_EFFECT, LATER, BY_ID], Word.INCONCLUSIVE) | {NO_EFFECT: word}
        assert "`effects`" in found.evidence[0].reason


def test_without_events_nothing_passes():
    """Nor with a few."""
    assert audit_webhooks(WebhookRecord([], has_effects=True), one_in=1).word is Word.INCONCLUSIVE
    found = audit_webhooks(load(Receiver, 1), one_in=5_000)
    assert (found.word, words(found)[EFFECT]) == (Word.INCONCLUSIVE, Word.INCONCLUSIVE)
    assert "needs 15,000" in found.reason


def test_an_unsigned_webhook_promises_nothing_about_signatures():
    """It has no forged events."""
    record = load(Receiver, 1)
    unsigned = WebhookRecord(record.deliveries, record.effects, has_effects=True, kinds=())
    assert NO_EFFECT not in words(audit_webhooks(unsigned, one_in=1))


@pytest.mark.parametrize("status", [0, 429, 503])
def test_deliveries_that_reached_nobody_show_nothing(status):
    """Deliveries refused by a limit, or without an answer, were never checked, whether false or in another form."""
    record = load(Receiver, 1)
    unanswered = {*FALSE_KINDS[2:], "same-body"}
    deliveries = [
        replace(each, said=Said.UNKNOWN, row={**each.row, "status": status}) if each.how in unanswered else each
        for each in record.deliveries
    ]
    found = words(audit_webhooks(replace(record, deliveries=deliveries), one_in=ONE_IN_FEW))
    assert (found[NO_EFFECT], found[BY_ID]) == (Word.INCONCLUSIVE, Word.INCONCLUSIVE)
