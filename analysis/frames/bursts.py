"""Reads a run's bursts from its events: requests that all users send at the same instant."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loadproof.plan.pacing import BURST_SPREAD_S
from loadproof.units import format_duration

if TYPE_CHECKING:
    from loadproof.analysis.frames.traffic import Traffic


@dataclass(frozen=True)
class ObservedBurst:
    """Requests that all users sent at the same instant, as observed."""

    number: int
    at_s: float
    sent: int
    spread_s: float
    """From the first request's beginning, to connect or to send, to the last one's, in s."""
    peak_in_flight: int
    late: int
    """Users still waiting for an earlier answer at that instant."""
    free_spread_s: float
    """Like `spread_s`, but without those users' requests at its end."""

    @property
    def is_spread(self) -> bool:
        """Whether it was spread out too far to be a simultaneous load."""
        return self.spread_s > BURST_SPREAD_S

    @property
    def is_spread_by_us(self) -> bool:
        """Whether it would have been spread out too far without the users that the target kept waiting, too."""
        return self.free_spread_s > BURST_SPREAD_S

    @property
    def spread_text(self) -> str:
        return self._spread_text(self.sent, self.spread_s)

    @property
    def spread_by_us_text(self) -> str:
        return self._spread_text(self.sent - self.late, self.free_spread_s)

    def _spread_text(self, sends: int, spread_s: float) -> str:
        return f"burst {self.number}: {sends:,} sends spread over {format_duration(spread_s)}"


def bursts(traffic: Traffic, phases: Collection[str] | None = None) -> list[ObservedBurst]:
    """The bursts observed in these phases, or in all; unreadable ones are left out."""
    spans = [span for span in traffic.phases if phases is None or span.name in phases]
    known = []
    rows = traffic.events[traffic.events["kind"] == "burst"]
    for at_s, detail in zip(rows["time_s"].tolist(), rows["detail"].tolist(), strict=True):
        if any(span.start_s <= at_s < span.end_s for span in spans):
            known += _burst(at_s, detail)
    return known


def _burst(at_s: float, detail: str) -> list[ObservedBurst]:
    try:
        fields: dict[str, Any] = json.loads(detail)
        late, spread_s = int(fields["late"]), float(fields["spread_s"])
        return [
            ObservedBurst(
                number=int(fields["burst"]),
                at_s=at_s,
                sent=int(fields["sent"]),
                spread_s=spread_s,
                peak_in_flight=int(fields["peak_in_flight"]),
                late=late,
                # Older runs only tell it if nobody was late.
                free_spread_s=float(fields.get("free_spread_s", 0.0 if late else spread_s)),
            )
        ]
    except (ValueError, KeyError, TypeError):
        return []
