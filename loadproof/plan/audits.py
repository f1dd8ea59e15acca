"""Finds audits that can't be decided: too few requests, no limits, or no operations that show what was done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from loadproof.errors import Problem
from loadproof.plan.evidence import needed_to_see
from loadproof.plan.excess import exceeded_limits
from loadproof.plan.faultspans import fault_spans
from loadproof.scenario.faults import Backup

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from loadproof.plan.phases import PhaseSpan
    from loadproof.scenario.scenario import Scenario
    from loadproof.scenario.target.limits import Written
    from loadproof.scenario.target.operations import Endpoints

DETECTING: Final = ("ledger", "webhooks", "backup")
"""Audits that look for losses; `detects` says how rare a loss they have to find."""


def unauditable(
    scenario: Scenario, spans: Sequence[PhaseSpan], limits: Mapping[str, Written], seed: int, *, where: str
) -> Iterator[Problem]:
    """Audits of limits when none is declared for what is sent, or when no client would exceed one of them."""
    if "limits" not in scenario.audits:
        return
    place = f"{where} thresholds"
    sent = {name: limit for name, limit in limits.items() if scenario.spenders_of(name)}
    surely = exceeded_limits(scenario, spans, sent, seed, jitter_s=0.0, of_draws=min)
    reached = {excess.endpoint for excess in surely}
    if not sent:
        what = "an audit of limits, but none is declared for what is sent"
        yield Problem(place, what, "declare them in the target file's `limits`, or turn the limiter on", got="limits")
    elif idle := [name for name in sent if name not in reached]:
        what = f"an audit of limits, but no client reaches the limit of {', '.join(idle)}"
        remedy = "send more of it, with fewer clients or a smaller limit, or leave it out of the mix or of `limits`"
        yield Problem(place, what, remedy, got="limits")


def undetectable(
    scenario: Scenario, spans: Sequence[PhaseSpan], expected: Mapping[tuple[str, str], float], *, where: str
) -> Iterator[Problem]:
    """Audits that need more requests than planned to see the rarest loss; `expected` is by (phase, endpoint)."""
    whole = sum(expected.values())
    for audit in DETECTING:
        needed = needed_to_see(scenario.one_in(audit))
        planned = _before_backup(scenario, spans, expected) if audit == "backup" else whole
        if audit in scenario.audits and planned < needed:
            before = " before the last backup" if audit == "backup" else ""
            what = f"can't see a loss of 1 in {scenario.one_in(audit)}: it needs {needed:,} payments or events{before}"
            remedy = "plan more requests, or say `detects: 1 in` fewer"
            yield Problem(f"{where} thresholds audit {audit}", what, remedy, got=f"{planned:,.0f} requests planned")


def _before_backup(scenario: Scenario, spans: Sequence[PhaseSpan], expected: Mapping[tuple[str, str], float]) -> float:
    """Requests planned before the last backup begins."""
    at_s = max(
        (span.start_s for span in fault_spans(scenario.faults, spans) if isinstance(span.fault, Backup)), default=0
    )
    shares = {span.name: min(1, max(0, at_s - span.start_s) / (span.end_s - span.start_s)) for span in spans}
    return sum(shares[phase] * count for (phase, _), count in expected.items())


def unshown(scenario: Scenario, endpoints: Endpoints) -> Iterator[Problem]:
    """Audits of a target whose file declares no operation that shows what it did."""
    for audit in {"ledger", "backup"} & {*scenario.audits}:
        if endpoints.transaction is None and endpoints.payments is None:
            what = f"an audit of the {audit}, but no operation shows its payments"
            yield Problem("target endpoints", what, "declare `payments`, or `transaction`", got="neither")
    if "webhooks" in scenario.audits and endpoints.effects is None:
        what = "an audit of webhooks, but no operation shows their effects"
        yield Problem("target endpoints", what, "declare `effects`", got="none")
