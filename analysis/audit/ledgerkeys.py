"""What became of each idempotency key: all its attempts folded into one story."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

from loadproof.outcome import Said

if TYPE_CHECKING:
    from collections.abc import Iterable

    from loadproof.analysis.audit.ledgerrecord import Attempt, Order

_ABOUT_THE_CLIENT: Final = frozenset({401, 403, 429})


@dataclass(eq=False)
class KeyStory:
    """One order, however often it was sent."""

    key: str
    attempts: list[Attempt] = field(default_factory=list)

    @cached_property
    def said(self) -> Said:
        """The strongest word: one acknowledgement outweighs timeouts, one timeout outweighs refusals.

        But for a replay after the load: whoever is refused then knows that nothing came of what was open.
        """
        words = {attempt.said for attempt in self.attempts}
        if Said.ACKNOWLEDGED not in words and any(map(_settles, self.attempts)):
            return Said.REFUSED
        return next(word for word in (Said.ACKNOWLEDGED, Said.UNKNOWN, Said.REFUSED) if word in words)

    @cached_property
    def order(self) -> Order:
        return self.attempts[0].order

    @cached_property
    def acknowledged(self) -> list[Attempt]:
        return [attempt for attempt in self.attempts if attempt.said is Said.ACKNOWLEDGED]

    @cached_property
    def payments(self) -> tuple[str, ...]:
        """Ids that acknowledgements named, each once."""
        return tuple(dict.fromkeys(attempt.payment for attempt in self.acknowledged if attempt.payment))

    @cached_property
    def booked_from_us(self) -> float:
        """It can't have been carried out earlier."""
        return min((attempt.sent_us for attempt in self.attempts if attempt.said is not Said.REFUSED), default=math.inf)

    @cached_property
    def booked_until_us(self) -> float:
        """It has been carried out by then; infinite if nobody said so."""
        return min((attempt.ended_us for attempt in self.acknowledged), default=math.inf)

    @property
    def rows(self) -> tuple[dict[str, object], ...]:
        return tuple(dict(attempt.row) for attempt in self.attempts)


def _settles(attempt: Attempt) -> bool:
    """Refused for what was ordered, not for who ordered it, or how often."""
    row = attempt.row
    return attempt.said is Said.REFUSED and row.get("kind") == "replay" and row["status"] not in _ABOUT_THE_CLIENT


def stories_of(attempts: Iterable[Attempt]) -> dict[str, KeyStory]:
    """By key, each with its attempts in the order in which they were sent."""
    stories: dict[str, KeyStory] = {}
    for attempt in sorted(attempts, key=lambda attempt: attempt.sent_us):
        stories.setdefault(attempt.key, KeyStory(attempt.key)).attempts.append(attempt)
    return stories
