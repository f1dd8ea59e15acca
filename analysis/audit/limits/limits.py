"""Audits a target's limits: checks each declared promise against the journal.

For each request name: its quota, that nobody is refused below it, that one client's requests don't use up another's,
that Retry-After and the RateLimit fields are honest, and that penalties grow, stop at their cap and are forgotten.
Pure; O(n log n) in the rows of the journal. Each decision is only known to lie within an interval of time: a promise
counts as broken only if no placement of the decisions in their intervals could have kept it. What the intervals leave
open is counted but decides nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.analysis.audit.audit import Audited, Evidence, Offence, audited
from loadproof.analysis.audit.limits.access import audit_access
from loadproof.analysis.audit.limits.evasions import apart
from loadproof.analysis.audit.limits.excess import excesses
from loadproof.analysis.audit.limits.losses import counter_shares
from loadproof.analysis.audit.limits.penalties import announced_before, pooled
from loadproof.analysis.audit.limits.promises import (
    AlgorithmFit,
    LimitPromise,
    bounds,
    penalty_promises,
    promises_of,
    quota,
)
from loadproof.analysis.audit.limits.refusals import Before, Refusals, refusals
from loadproof.analysis.audit.limits.timeline import Line, line_of
from loadproof.analysis.audit.limits.waits import honesty, waits_of
from loadproof.analysis.audit.limits.windows import fixed_windows
from loadproof.scenario.target.limits import KNOWN_ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from loadproof.analysis.audit.limits.losses import Loss
    from loadproof.scenario.target.limits import Access, DeclaredLimit

LIMITS: Final = "limits"
_NOTHING_BEFORE: Final = Before()


def audit_limits(
    journal: pd.DataFrame,
    limits: Mapping[str, DeclaredLimit],
    *,
    access: Access | None = None,
    start_unix_s: float = 0.0,
    before: Mapping[str, Before] | None = None,
    losses: Sequence[Loss] = (),
    processes: int = 1,
) -> Audited:
    """Audit a journal as read by `load_journal`; `before` is, by request name, what was counted before second 0.

    During a loss of Redis, each of the `processes` counts by itself; after a loss of processes, their counts are gone.
    """
    listed: list[Evidence] = []
    offences: list[Offence] = []
    if access is not None:
        journal, listed, offences = audit_access(journal, access, limits)
    lines, evasions = _parted(journal, limits, losses, processes)
    waits = {name: waits_of(line, start_unix_s) for name, line in lines.items()}
    punished = {name: (line, waits[name]) for name, line in lines.items() if line.limit.penalties is not None}
    table = pooled(punished) if punished else None
    promises = [(name, _of_evading(promise, line)) for name, promise, line in evasions]
    free: dict[str, tuple[Line, Refusals]] = {}
    for name, line in lines.items():
        announced = announced_before(table, name, line) if table is not None and name in punished else None
        fits = _fits(line, (before or {}).get(name, _NOTHING_BEFORE), announced)
        free[name] = line, bounds(fits)
        told = honesty(line, waits[name], free[name][1], announced)
        promises += [(name, promise) for promise in promises_of(line, fits, waits[name], told)]
    shared = {limit.shared for limit in limits.values() if limit.penalties is not None}
    losses = [loss for loss in losses if loss.shared in shared]
    if table is not None and not any(loss.is_planned for loss in losses):
        # Each process also remembers violations by itself, so only rows before a loss count.
        until_us = min((loss.from_s * 1e6 for loss in losses), default=math.inf)
        is_new = not any(known_before.is_unknown for known_before in (before or {}).values())
        own = {name: free[name] for name in punished}
        promises += penalty_promises(table[table["sent"] < until_us], own, is_new=is_new)
    return audited(
        LIMITS,
        [*listed, *(promise.evidence(name) for name, promise in promises)],
        [*offences, *(offence for name, promise in promises for offence in promise.shown(name))],
        total=len(offences) + sum(promise.broken for _, promise in promises),
    )


def _parted(
    journal: pd.DataFrame, limits: Mapping[str, DeclaredLimit], losses: Sequence[Loss], processes: int
) -> tuple[dict[str, Line], list[tuple[str, str, Line]]]:
    """The requests that each limit counts, by name; and those sent to evade it, with name and promise."""
    lines: dict[str, Line] = {}
    evasions: list[tuple[str, str, Line]] = []
    for name, limit in limits.items():
        ordinary, evading = apart(journal[journal["request"] == name], limit)
        for share in counter_shares(name, ordinary, limit, losses, processes) if len(ordinary) or not evading else ():
            lines[share.name] = line_of(share.rows, share.limit)
        evasions += [
            (share.name, promise, line_of(share.rows, share.limit))
            for promise, rows in evading.items()
            for share in counter_shares(name, rows, limit, losses, processes)
        ]
    return lines, evasions


def _of_evading(promise: str, line: Line) -> LimitPromise:
    """The quota of evading requests, without judging refusals: nobody knows which limit they come from."""
    return quota(line, _fits(line, Before(is_unknown=True), np.full(len(line.rows), np.iinfo(np.int64).max)), promise)


def _fits(line: Line, before: Before, announced: NDArray[np.int64] | None) -> list[AlgorithmFit]:
    """How the line fits each algorithm that the limit may have (the declared one, or all), best fit first."""
    known = line.limit.algorithm
    # At the start of a part of the run, too, earlier counts are unknown: a paused Redis has not forgotten anything.
    is_first = before == _NOTHING_BEFORE and not line.since.any()
    windows = fixed_windows(line, known_after_us=0 if is_first else line.window_us)
    fits = []
    for algorithm in KNOWN_ALGORITHMS if known == "unknown" else (known,):
        refused = refusals(line, algorithm, windows, before)
        if announced is not None:
            inside = announced[line.refused] >= line.sent[line.refused]
            refused.is_early[inside] = False
            refused.is_right[inside] = True
        fits.append(AlgorithmFit(algorithm, excesses(line, algorithm, windows), refused, windows, before))
    return sorted(fits, key=lambda fit: fit.contradictions)
