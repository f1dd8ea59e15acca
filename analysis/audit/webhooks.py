"""Judges a run's webhooks: each event has one effect, however often it is delivered, and false events have none.

Providers deliver at least once, so a receiver has to tell events apart by their ids, and by nothing else.

Prior art: Standard Webhooks 1.0, 'Idempotency' and 'Verifying webhook authenticity'.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from loadproof.analysis.audit.audit import audited
from loadproof.analysis.audit.ledger.rows import unread_because
from loadproof.analysis.audit.promise import Promise, explain, overlap
from loadproof.outcome import Outcome, Said, said_by, said_of_event
from loadproof.plan.evidence import needed_to_see

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from loadproof.analysis.audit.audit import Audited
    from loadproof.analysis.audit.ledger.record import Row
    from loadproof.rundir.observations import Observation

NAME: Final = "webhooks"
EFFECT: Final = "every accepted event has its effect"
ONE_EFFECT: Final = "no event has two effects, also if it is delivered twice at once"
BY_ID: Final = "events are told apart by their ids, not by their bodies"
LATER: Final = "an event that is delivered again after the load has no second effect"
NO_EFFECT: Final = "forged, stale and unsigned events have no effect"
PAIRS_NEEDED: Final = 100
"""A race that one in 33 pairs loses is detected with a probability of 95 %."""
FORMS_NEEDED: Final = 5
LATER_NEEDED: Final = 5
FORGED_NEEDED: Final = 5
"""Of each kind. Few, because timing doesn't matter here."""
FALSE_KINDS: Final = ("forged", "stale", "unsigned", "blank", "downgraded", "altered", "renamed", "replayed")
_NOT_COME: Final = frozenset({0, 429, 503})
_ABOUT_THE_SENDER: Final = frozenset({401, 403, 408, 425, 429})
_ANY: Final = 1 << 62
_NO_EFFECTS: Final = "the target file declares no `effects`, which shows an event's"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request with an event; times in µs from the run's start."""

    event: str
    how: str
    """`load` if sent by a user; else `pair`, `again`, `other-form`, `same-body`, or one of FALSE_KINDS."""
    sent_us: int
    ended_us: int
    said: Said
    row: Row


@dataclass(frozen=True)
class WebhookRecord:
    """All deliveries of a run, and how many effects each event finally had, as far as that was read."""

    deliveries: Sequence[Delivery]
    effects: Mapping[str, int] = field(default_factory=dict)
    has_effects: bool = False
    """The target file declares an operation that shows an event's effects."""
    kinds: Sequence[str] = FALSE_KINDS
    """The kinds of false deliveries that the target's signatures can detect."""
    is_whole: bool = True
    """Every request that was sent is in the journal."""
    unread: Mapping[str, int] = field(default_factory=dict)


def webhook_record(
    journal: Iterable[Mapping[str, Any]],
    observations: Sequence[Observation],
    *,
    has_effects: bool,
    kinds: Sequence[str] = FALSE_KINDS,
    is_whole: bool = True,
) -> WebhookRecord:
    """Collect the webhooks' record from journal rows and observations; rows without an event are left out.

    Rows are mappings from column to value, with `noted` as a mapping.
    """
    deliveries = [
        _delivery(row["noted"]["event"], "load", row, is_repeated=bool(row["repeated"]))
        for row in journal
        if row["noted"] and "event" in row["noted"]
    ]
    deliveries += [
        _delivery(observation.asked["event"], observation.asked["how"], observation.row, is_repeated=False)
        for observation in observations
        if observation.kind == "deliver" and not observation.trouble
    ]
    read = [
        observation
        for observation in observations
        if observation.kind == "effects" and not observation.trouble and observation.outcome == Outcome.OK
    ]
    return WebhookRecord(
        deliveries,
        effects={observation.asked["event"]: observation.said["effects"] for observation in read},
        has_effects=has_effects,
        kinds=kinds,
        is_whole=is_whole,
        unread=Counter(why for observation in observations if (why := unread_because(observation))),
    )


def _delivery(event: str, how: str, row: Mapping[str, Any], *, is_repeated: bool) -> Delivery:
    # A false event only counts as accepted after a correct answer.
    says = said_by if how in FALSE_KINDS else said_of_event
    said = says(row["status"], row["outcome"], is_repeated=is_repeated)
    return Delivery(event, how, row["sent_us"], row["ended_us"], said, row)


def audit_webhooks(record: WebhookRecord, *, one_in: float) -> Audited:
    """Audit every promise of a receiver; it takes `3 * one_in` accepted events to show that none lost its effect."""
    true: defaultdict[str, list[Delivery]] = defaultdict(list)
    false: defaultdict[str, list[Delivery]] = defaultdict(list)
    for delivery in sorted(record.deliveries, key=lambda delivery: delivery.sent_us):
        (false if delivery.how in FALSE_KINDS else true)[delivery.event].append(delivery)
    promises = [_effects(record, true, needed_to_see(one_in)), _one_effect(record, true), _later(record, true)]
    promises.append(_by_id(record, true))
    if record.kinds:
        promises.append(_no_effect(record, false))
    if not record.has_effects:
        for promise in promises:
            promise.lacks(_NO_EFFECTS)
    explain(promises, record.unread)
    offences = [offence for promise in promises for offence in promise.offences]
    return audited(NAME, [promise.evidence for promise in promises], offences)


def _is_accepted(deliveries: Iterable[Delivery]) -> bool:
    return any(delivery.said is Said.ACKNOWLEDGED for delivery in deliveries)


def _effects(record: WebhookRecord, events: Mapping[str, list[Delivery]], needed: int) -> Promise:
    promise = Promise(EFFECT, "accepted events looked at", needed)
    for event, deliveries in events.items():
        if not _is_accepted(deliveries):
            continue
        effects = record.effects.get(event)
        if effects is None:
            promise.lacks("some were not checked")
            continue
        promise.n += 1
        if effects == 0:
            promise.broken(f"{event}: accepted, but without effect", _rows(deliveries))
    return promise


def _one_effect(record: WebhookRecord, events: Mapping[str, list[Delivery]]) -> Promise:
    promise = Promise(ONE_EFFECT, "events delivered twice at the same time", PAIRS_NEEDED)
    for event, deliveries in events.items():
        effects = record.effects.get(event)
        if effects is None:
            continue
        promise.n += overlap(deliveries)
        if effects > 1:
            promise.broken(f"{event}: delivered {len(deliveries)} times, {effects} effects", _rows(deliveries))
        elif effects and record.is_whole and all(delivery.said is Said.REFUSED for delivery in deliveries):
            promise.broken(f"{event}: refused each time, but has an effect", _rows(deliveries))
    return promise


def _later(record: WebhookRecord, events: Mapping[str, list[Delivery]]) -> Promise:
    """Events delivered again after the load: providers retry for hours, so receivers must not forget events sooner."""
    promise = Promise(LATER, "accepted events delivered again", LATER_NEEDED)
    for event, deliveries in events.items():
        effects = record.effects.get(event)
        again = [delivery for delivery in deliveries if delivery.how == "again" and delivery.said is not Said.UNKNOWN]
        if not again or effects is None or not _is_accepted(deliveries):
            continue
        promise.n += 1
        if effects > 1:
            later_s = (again[-1].sent_us - deliveries[0].ended_us) / 1e6
            promise.broken(f"{event}: delivered again after {later_s:.0f} s, {effects} effects", _rows(deliveries))
    return promise


def _by_id(record: WebhookRecord, events: Mapping[str, list[Delivery]]) -> Promise:
    """Different bytes under one id are one event; the same bytes under two ids are two, and both must be accepted."""
    promise = Promise(BY_ID, "events in another form, or with another's body", FORMS_NEEDED)
    counts = []
    for how, right, what in (
        ("other-form", (0, 1), "its effects are one for each form of its body"),
        ("same-body", range(1, _ANY), "no effect, as if it were the event with the same body"),
    ):
        own = {event: all_of for event, all_of in events.items() if any(one.how == how for one in all_of)}
        taken = {event for event, deliveries in own.items() if _is_accepted(deliveries)}
        turned_away = {event for event in own.keys() - taken if all(map(_is_turned_away, own[event]))}
        if turned_away == own.keys():
            # This receiver doesn't accept this form at all, like a body without an id.
            continue
        looked_at = {event: record.effects[event] for event in own if event in taken and event in record.effects}
        counts.append(len(looked_at))
        for event, deliveries in own.items():
            if event in looked_at and looked_at[event] not in right:
                promise.broken(f"{event}: {what}", _rows(deliveries))
            elif how == "same-body" and event in turned_away:
                promise.broken(f"{event}: refused, as if it were the event with the same body", _rows(deliveries))
    promise.n = min(counts, default=0)
    return promise


def _no_effect(record: WebhookRecord, events: Mapping[str, list[Delivery]]) -> Promise:
    promise = Promise(NO_EFFECT, "of each kind", FORGED_NEEDED)
    counts = dict.fromkeys(record.kinds, 0)
    for event, deliveries in events.items():
        how, effects = deliveries[0].how, record.effects.get(event)
        if _is_accepted(deliveries):
            promise.broken(f"{event}: {how}, but accepted", _rows(deliveries))
        elif effects:
            promise.broken(f"{event}: {how}, but has an effect", _rows(deliveries))
        if effects is not None and how in counts and any(map(_has_come, deliveries)):
            counts[how] += 1
    promise.n = min(counts.values())
    return promise


def _has_come(delivery: Delivery) -> bool:
    """Whether it reached the code that decides about it: there was an answer, and not from a limit ahead of it."""
    return delivery.row["status"] not in _NOT_COME


def _is_turned_away(delivery: Delivery) -> bool:
    """Whether it was refused for its content, rather than for who sent it."""
    return 400 <= delivery.row["status"] < 500 and delivery.row["status"] not in _ABOUT_THE_SENDER


def _rows(deliveries: Iterable[Delivery]) -> list[Row]:
    return [delivery.row for delivery in deliveries]
