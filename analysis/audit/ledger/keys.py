"""Folds all attempts under each idempotency key into one story: what was ordered, and what came of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

from loadproof.outcome import Said

if TYPE_CHECKING:
    from collections.abc import Iterable

    from loadproof.analysis.audit.ledger.record import Attempt, Order

_ABOUT_THE_CLIENT: Final = frozenset({401, 403, 429})


@dataclass(eq=False)
class KeyStory:
    """One order, however often it was sent."""

    key: str
    attempts: list[Attempt] = field(default_factory=list)

    @cached_property
    def said(self) -> Said:
        """The strongest word: one acknowledgement outweighs timeouts, one timeout outweighs refusals.

        Except that a refused replay after the load settles an open attempt: nothing came of it.
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
        """The ids in acknowledgements, each once."""
        return tuple(dict.fromkeys(attempt.payment for attempt in self.acknowledged if attempt.payment))

    @cached_property
    def booked_from_us(self) -> float:
        """It can't have been carried out before this time; infinite if it was only refused."""
        return min((attempt.sent_us for attempt in self.attempts if attempt.said is not Said.REFUSED), default=math.inf)

    @cached_property
    def booked_until_us(self) -> float:
        """It had been carried out by this time; infinite without an acknowledgement."""
        return min((attempt.ended_us for attempt in self.acknowledged), default=math.inf)

    @property
    def rows(self) -> tuple[dict[str, object], ...]:
        return tuple(dict(attempt.row) for attempt in self.attempts)


def _settles(attempt: Attempt) -> bool:
    """Whether a replay was refused for what was ordered, rather than for who ordered it or how often."""
    row = attempt.row
    return attempt.said is Said.REFUSED and row.get("kind") == "replay" and row["status"] not in _ABOUT_THE_CLIENT


def stories_of(attempts: Iterable[Attempt]) -> dict[str, KeyStory]:
    """Stories by key, each with its attempts in the order sent."""
    stories: dict[str, KeyStory] = {}
    for attempt in sorted(attempts, key=lambda attempt: attempt.sent_us):
        stories.setdefault(attempt.key, KeyStory(attempt.key)).attempts.append(attempt)
    return stories
