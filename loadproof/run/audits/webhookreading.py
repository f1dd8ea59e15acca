"""Delivers an audit's events to a target, twice at once, forged or outdated, and reads their effects."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

from loadproof.api.audits import effects_in
from loadproof.outcome import Outcome, Said, said_by, said_of_event
from loadproof.run.audits.inquiry import UnaskedError
from loadproof.run.audits.observing import observed, read, unasked
from loadproof.rundir.observations import Observation, were_at_once
from loadproof.scenario.target.operations import FALSE_DELIVERIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from loadproof.api.audits import AuditApi, How
    from loadproof.api.calls import Call
    from loadproof.run.audits.inquiry import Inquirer
    from loadproof.run.audits.journalreading import Sent
    from loadproof.rundir.observations import When

_ENOUGH_PAIRS, _MOST_PAIRS = 120, 500
"""Events delivered twice at the same instant, until this many overlapped: more than the audit needs."""
EACH: Final = 6
"""Deliveries of every other kind."""
_SETTLING_LOOKS: Final = 10
_SETTLING_S: Final = 1.0
"""Pause between two looks, because an accepted event may take effect a little later."""
_MOST_LATE: Final = 500
"""At most this many late events are looked at once more in the end."""


class WebhookReading:
    """The webhook deliveries of one run's audit; one that fails is an observation, too, and says why."""

    def __init__(self, api: AuditApi, inquirer: Inquirer, event: Mapping[str, Any], early: Sequence[str]) -> None:
        """`event` is the content of events besides their ids; `early` are ids to deliver before and after the load."""
        self._api = api
        self._inquirer = inquirer
        self._event = event
        self._early = early
        self._accepted: set[str] = set()

    def before(self) -> Iterator[Observation]:
        """Deliver events that will be delivered again after the load."""
        for event in self._early:
            yield from self._deliver(event, "pair", when="before")

    def after(self, sent: Sent) -> Iterator[Observation]:
        """Make the audit's own deliveries, then read the effects of all events."""
        delivered: list[str] = []
        self._accepted |= {event for event, is_accepted in sent.events.items() if is_accepted}
        for delivery in self._deliveries():
            delivered.append(delivery.asked["event"])
            if said_of_event(delivery.status, delivery.outcome, is_repeated=False) is Said.ACKNOWLEDGED:
                self._accepted.add(delivery.asked["event"])
            yield delivery
        if self._api.has_effects:
            yield from self._effects(dict.fromkeys([*sent.events, *delivered]), delivered)

    def _deliveries(self) -> Iterator[Observation]:
        for event in self._early:
            yield from self._deliver(event, "again")
        overlapping = 0
        for _ in range(_MOST_PAIRS):
            pair = list(self._deliver(new_event(), "pair", times=2))
            yield from pair
            overlapping += were_at_once(sorted(each.course for each in pair))
            if overlapping == _ENOUGH_PAIRS:
                break
        for _ in range(EACH):
            event, first, second = new_event(), new_event(), new_event()
            yield from self._deliver(event, "pair")
            yield from self._deliver(event, "other-form")
            # Only Standard Webhooks has the id in a header and not in the body.
            if self._api.signature == "standard":
                yield from self._deliver(first, "same-body")
                yield from self._deliver(second, "same-body")
            for how in FALSE_DELIVERIES[self._api.signature]:
                if how == "replayed":
                    yield from self._replay(new_event(), new_event())
                else:
                    yield from self._deliver(new_event(), how)  # type: ignore[arg-type]  # each of them is one

    def _replay(self, first: str, second: str) -> Iterator[Observation]:
        """Replay an accepted signature with another id; replaying one that was refused would show nothing."""
        captured = self._api.deliver_for_replay(first, self._event)
        for delivery in self._send([captured], {"event": first, "how": "pair"}):
            yield delivery
            if said_by(delivery.status, delivery.outcome, is_repeated=False) is Said.ACKNOWLEDGED:
                again = self._api.replay(captured, second, self._event)
                yield from self._send([again], {"event": second, "how": "replayed"})

    def _deliver(self, event: str, how: How, *, times: int = 1, when: When = "after") -> Iterator[Observation]:
        call = self._api.deliver_as(how, event, self._event)
        yield from self._send([call] * times, {"event": event, "how": how}, when)

    def _send(self, calls: list[Call], asked: dict[str, Any], when: When = "after") -> Iterator[Observation]:
        try:
            for inquired in self._inquirer.ask_together(calls):
                yield observed("deliver", when, asked, inquired, lambda _: {})
        except UnaskedError as error:
            yield unasked("deliver", when, asked, str(error))

    def _effects(self, events: Iterable[str], delivered: Sequence[str]) -> Iterator[Observation]:
        """Read the effects of events; accepted events without an effect are looked at again for a while.

        If effects come late, unwanted ones may, too, so events in `delivered` are looked at once more in the end.
        """
        late = []
        for event in events:
            effects = self._look(event)
            yield effects
            if self._is_missing(effects):
                late.append(event)
        waiting = late
        try:
            for _ in range(_SETTLING_LOOKS if late else 0):
                self._inquirer.pause(_SETTLING_S)
                looks = [self._look(event) for event in waiting]
                yield from looks
                waiting = [effects.asked["event"] for effects in looks if self._is_missing(effects)]
                if not waiting:
                    self._inquirer.pause(_SETTLING_S)
                    break
        except UnaskedError:
            return
        if late:
            yield from map(self._look, dict.fromkeys([*late[-_MOST_LATE:], *delivered]))

    def _is_missing(self, effects: Observation) -> bool:
        if effects.outcome != Outcome.OK or effects.said["effects"]:
            return False
        return effects.asked["event"] in self._accepted

    def _look(self, event: str) -> Observation:
        call = self._api.read_effects(event)
        return read(
            self._inquirer, call, "effects", "after", {"event": event}, lambda reply: {"effects": effects_in(reply)}
        )


def new_event() -> str:
    return f"evt_{uuid.uuid4().hex}"
