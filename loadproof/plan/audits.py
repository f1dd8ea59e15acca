"""Finds audits that a plan can't decide: of limits that are not declared, or that no client would come to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadproof.errors import Problem
from loadproof.plan.excess import exceeded_limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from loadproof.plan.phases import PhaseSpan
    from loadproof.scenario.limits import Written
    from loadproof.scenario.scenario import Scenario


def unauditable(
    scenario: Scenario, spans: Sequence[PhaseSpan], limits: Mapping[str, Written], seed: int, *, where: str
) -> Iterator[Problem]:
    """For audits of limits."""
    if "limits" not in scenario.audits:
        return
    place = f"{where} thresholds"
    sent = {name: limit for name, limit in limits.items() if name in scenario.endpoints}
    reached = {excess.endpoint for excess in exceeded_limits(scenario, spans, sent, seed)}
    if not sent:
        what = "an audit of limits, and none is declared for what is sent"
        yield Problem(place, what, "declare them in the target file's `limits`, or turn the limiter on", got="limits")
    elif idle := [name for name in sent if name not in reached]:
        what = f"an audit of limits, and no client comes to that of {', '.join(idle)}"
        remedy = "send more of it, with fewer clients or a smaller limit, or leave it out of the mix or of `limits`"
        yield Problem(place, what, remedy, got="limits")
