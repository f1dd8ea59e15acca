"""When a closed-model user sends next: its pace, and the bursts of the plan."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadproof.plan.phases import PhaseSpan


BURST_SPREAD_S: Final = 0.05
"""Requests of a burst that are sent within this time count as simultaneous."""


class Due(NamedTuple):
    """When a closed-model user sends next, and in which burst (counted from 1).

    `late` if it was busy at that moment; once sent, only if it was the target that kept it busy.
    """

    at_s: float
    burst: int | None = None
    late: bool = False
    is_setup: bool = False
    """Sent by an on_start or on_stop, outside the plan."""


NEVER: Final = Due(math.inf)


def next_due(spans: Sequence[PhaseSpan], *, previous_s: float, now_s: float, every_s: float, offset_s: float) -> Due:
    """When a user who was last due at `previous_s` and is free at `now_s` sends next.

    At most once per `every_s`; once at each burst, late if busy until then; not between bursts. After a phase of
    bursts, users continue at their own `offset_s`, so that they don't stay in step.
    """
    due_s = max(previous_s + every_s, now_s)
    number = 0
    for span in spans:
        first, number = number, number + len(span.bursts_s)
        if not span.bursts_s or now_s >= span.end_s or due_s < span.start_s:
            continue
        ahead = [index for index, at_s in enumerate(span.bursts_s) if at_s > previous_s]
        if ahead:
            reached = [index for index in ahead if span.bursts_s[index] <= now_s]
            index = reached[-1] if reached else ahead[0]
            at_s = span.bursts_s[index]
            return Due(max(at_s, now_s), burst=first + index + 1, late=at_s < now_s)
        due_s = max(due_s, span.end_s + offset_s)
    return Due(due_s) if due_s < spans[-1].end_s else NEVER
