"""All cases; their names are unique."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.adversary import (
    breakers,
    contradictions,
    echoes,
    habits,
    honest,
    liars,
    logs,
    moments,
    neighbours,
    plans,
    records,
    refusals,
    resets,
    stats,
    surroundings,
    wrongbooks,
    wronglimits,
    wrongreceivers,
)

if TYPE_CHECKING:
    from bench.adversary.case import Case

CASES: tuple[Case, ...] = (
    *honest.CASES,
    *liars.CASES,
    *refusals.CASES,
    *moments.CASES,
    *resets.CASES,
    *breakers.CASES,
    *plans.CASES,
    *habits.CASES,
    *neighbours.CASES,
    *surroundings.CASES,
    *echoes.CASES,
    *stats.CASES,
    *contradictions.CASES,
    *logs.CASES,
    *records.CASES,
    *wrongbooks.CASES,
    *wrongreceivers.CASES,
    *wronglimits.CASES,
)
