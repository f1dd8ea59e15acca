"""Audits a target's limits: from the journal and what is declared of them, to whether each promise was kept.

For each request name: its quota, that nobody is refused below it, that one client's requests spend no other's, that
Retry-After and the RateLimit fields are honest, and that penalties grow, stop at their cap and are forgotten. Pure;
O(n log n) in the rows of the journal. A broken promise is one that no placement of the decisions in their intervals
could have kept; what the intervals leave open decides nothing, and is counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.analysis.audit.audit import MOST_ROWS, Audited, Evidence, Offence, audited, promise_word
from loadproof.analysis.audit.limitsaccess import audit_lists
from loadproof.analysis.audit.limitsexcess import excesses, most_admitted, over_stretch, over_window
from loadproof.analysis.audit.limitsfields import stated
from loadproof.analysis.audit.limitsline import Hits, Line, line_of
from loadproof.analysis.audit.limitspenalties import announced_before, course_of, pooled
from loadproof.analysis.audit.limitsrefusals import Before, Refusals, refusals
from loadproof.analysis.audit.limitswaits import Honesty, Waits, honesty, waits_of
from loadproof.analysis.audit.limitswindows import fixed_windows
from loadproof.scenario.limits import KNOWN_ALGORITHMS, limit_text
from loadproof.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from loadproof.analysis.audit.limitsline import Excess
    from loadproof.scenario.limits import Access, DeclaredLimit

LIMITS: Final = "limits"
NEEDED: Final = 10
"""Occasions for each promise: what breaks it in a quarter of them is seen with 95 %, for 0.75^10 = 0.056."""
NEEDED_PENALTIES: Final = 3
_MOST_OF_A_PROMISE: Final = 20
"""Offences that are shown of each."""
_NOTHING_BEFORE: Final = Before()


@dataclass(frozen=True)
class _Seen:
    """A line as one algorithm sees it."""

    algorithm: str
    excesses: list[Excess]
    refusals: Refusals

    @property
    def contradictions(self) -> int:
        return len(self.excesses) + int(self.refusals.is_early.sum())


@dataclass(frozen=True)
class _Promise:
    """One of a line's promises, before its offences are shown."""

    name: str
    n: int
    reason: str
    needed: int = NEEDED
    broken: int = 0
    offences: Sequence[tuple[str, Line, Sequence[int] | NDArray[np.int64]]] = ()
    """The first of them: what, and which rows of a line."""

    def evidence(self, request: str) -> Evidence:
        word = promise_word(broken=self.broken, n=self.n, needed=self.needed)
        reason = f"{self.offences[0][0]} ({self.broken:,} times)" if self.broken else self.reason
        return Evidence(f"{request}: {self.name}", word, self.n, self.needed, reason)

    def shown(self, request: str) -> Iterator[Offence]:
        for what, line, rows in self.offences[:_MOST_OF_A_PROMISE]:
            yield Offence(f"{request}: {self.name}", what, line.shown(rows, MOST_ROWS))


def audit_limits(
    journal: pd.DataFrame,
    limits: Mapping[str, DeclaredLimit],
    *,
    access: Access | None = None,
    start_unix_s: float = 0.0,
    before: Mapping[str, Before] | None = None,
) -> Audited:
    """Of a journal as `load_journal` reads it; `before`, by request name, is what was counted before second 0."""
    listed: list[Evidence] = []
    offences: list[Offence] = []
    if access is not None:
        journal, listed, offences = audit_lists(journal, access)
    lines = {name: line_of(journal[journal["request"] == name], limit) for name, limit in limits.items()}
    waits = {name: waits_of(line, start_unix_s) for name, line in lines.items()}
    punished = {name: (line, waits[name]) for name, line in lines.items() if line.limit.penalties is not None}
    table = pooled(punished) if punished else None
    promises: list[tuple[str, _Promise]] = []
    free: dict[str, tuple[Line, Refusals]] = {}
    for name, line in lines.items():
        announced = announced_before(table, name, line) if table is not None and name in punished else None
        seen = _seen(line, (before or {}).get(name, _NOTHING_BEFORE), announced)
        free[name] = line, _bounds(seen)
        told = honesty(line, waits[name], free[name][1], announced)
        promises += [(name, promise) for promise in _promises(line, seen, waits[name], told)]
    if table is not None:
        first = next(iter(punished))
        promises += [(first, promise) for promise in _penalties(table, {name: free[name] for name in punished})]
    return audited(
        LIMITS,
        [*listed, *(promise.evidence(name) for name, promise in promises)],
        [*offences, *(offence for name, promise in promises for offence in promise.shown(name))],
        total=len(offences) + sum(promise.broken for _, promise in promises),
    )


def _seen(line: Line, before: Before, announced: NDArray[np.int64] | None) -> list[_Seen]:
    """As each algorithm that it may have sees it: the one that is declared, or all; those it fits best come first."""
    known = line.limit.algorithm
    windows = fixed_windows(line, known_after_us=line.window_us if before != _NOTHING_BEFORE else 0)
    seen = []
    for algorithm in KNOWN_ALGORITHMS if known == "unknown" else (known,):
        found = refusals(line, algorithm, windows, before)
        if announced is not None:
            inside = announced[line.refused] >= line.sent[line.refused]
            found.is_early[inside] = False
            found.is_right[inside] = True
        seen.append(_Seen(algorithm, excesses(line, algorithm, windows), found))
    return sorted(seen, key=lambda one: one.contradictions)


def _fitting(seen: list[_Seen]) -> list[_Seen]:
    """Those that it may be; the one that fits best, if nothing does."""
    return [one for one in seen if not one.contradictions] or seen[:1]


def _bounds(seen: list[_Seen]) -> Refusals:
    """What holds whichever of the fitting algorithms it is."""
    found = [one.refusals for one in _fitting(seen)]
    return Refusals(
        np.logical_and.reduce([one.is_early for one in found]),
        np.logical_or.reduce([one.is_right for one in found]),
        np.minimum.reduce([one.free_low for one in found]),
        np.maximum.reduce([one.free_high for one in found]),
    )


def _promises(line: Line, seen: list[_Seen], waits: Waits, told: Honesty) -> Iterator[_Promise]:
    yield _quota(line, seen)
    if line.limit.key == "global" or len(line.clients) < 2:
        yield _not_early(line, seen, line.refused[_bounds(seen).is_early])
    else:
        everybody = line_of(line.rows, line.limit, together=True)
        strangers, own = _by_whom(line, everybody, _bounds(seen))
        yield _not_early(line, seen, own)
        yield _isolation(line, everybody, seen, strangers)
    if line.limit.retry_after is not False:
        yield _retry_after(line, waits, told)
    fields = stated(line, _fitting(seen)[0].algorithm, _bounds(seen))
    if fields.n:
        reason = f"{fields.n:,} answers say what is left"
        offences = [(what, line, [row]) for row, what in fields.offences]
        yield _Promise("RateLimit fields", fields.n, reason, broken=len(offences), offences=offences)


def _quota(line: Line, seen: list[_Seen]) -> _Promise:
    limit, best = line.limit, seen[0]
    is_refused = line.is_refused
    follows = np.append(False, ~is_refused[:-1]) & np.append(False, np.diff(line.client) == 0)
    came = np.flatnonzero(is_refused & follows)
    occasions, together = len(came), _on_the_way(line, came)
    fits = [one.algorithm for one in _fitting(seen)]
    kind = f" ({' or '.join(fits)} fits)" if limit.algorithm == "unknown" else ""
    most = max(most_admitted(limit, algorithm) for algorithm in fits)
    window = f"in any {format_duration(limit.period)}"
    reason = f"{limit_text(limit)}{kind}, at most {most} {window}: clients came to it {occasions:,} times"
    reason += f", {together:,} of them with several requests on the way"
    if occasions < NEEDED:
        reason += f", needs {NEEDED}: let clients send more than {limit.size} {window}, again and again"
    offences = []
    for excess in best.excesses[:_MOST_OF_A_PROMISE]:
        seconds = format_duration((excess.to_us - excess.from_us) * 1e-6)
        what = f"{excess.count} of {line.clients[excess.client]} admitted within {seconds}, at most {excess.allowed}"
        if limit.algorithm == "unknown":
            what += f"; fits no algorithm, {best.algorithm} best"
        offences.append((what, line, line.between(excess.client, excess.from_us, excess.to_us)))
    return _Promise("quota", occasions, reason, broken=len(best.excesses), offences=offences)


def _on_the_way(line: Line, positions: NDArray[np.int64]) -> int:
    """How many of these had another request of their client beside them, when looking before counting goes wrong."""
    everything = Hits.of(line.sent, line.ended)
    return int((everything.begun(line.ended[positions]) - everything.over(line.sent[positions]) > 1).sum())


def _not_early(line: Line, seen: list[_Seen], early: NDArray[np.int64]) -> _Promise:
    right = int(_bounds(seen).is_right.sum())
    left = len(line.refused) - right - len(early)
    reason = f"{right:,} of {len(line.refused):,} refusals are right for sure"
    if left:
        reason += f"; of {left:,} the time they took leaves it open"
    if right < NEEDED:
        reason += f", needs {NEEDED}: refusals on faster answers, or of a longer period"
    what = f"refused although less than {line.limit.size} in {format_duration(line.limit.period)} can have counted"
    return _Promise("no refusal below it", right, reason, broken=len(early), offences=_from(what, line, early))


def _from(what: str, line: Line, refused: NDArray[np.int64]) -> list[tuple[str, Line, NDArray[np.int64]]]:
    """The first offences: a refusal each, and what its client had sent in the window before it."""
    rows = refused[:_MOST_OF_A_PROMISE]
    begins = np.maximum(np.searchsorted(line.sent, line.sent[rows] - line.window_us), line.first[line.client[rows]])
    return [(what, line, np.arange(row, begin - 1, -1)) for row, begin in zip(rows, begins, strict=True)]


def _by_whom(line: Line, everybody: Line, found: Refusals) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Early refusals that all clients' requests together would explain, and others.

    Together they explain nothing if together they had more than one client can have.
    """
    early, nothing = line.refused[found.is_early], np.empty(0, np.int64)
    most = 2 * line.limit.size * line.limit.processes
    is_one_limit = len(early) and not over_window(everybody, most) and not over_stretch(everybody, most)
    return (early, nothing) if is_one_limit else (nothing, early)


def _isolation(line: Line, everybody: Line, seen: list[_Seen], strangers: NDArray[np.int64]) -> _Promise:
    """Admissions that would have been too many, had all clients been one."""
    most = max(most_admitted(line.limit, one.algorithm) for one in _fitting(seen))
    admitted = np.flatnonzero(everybody.is_admitted)
    sent, ended = everybody.sent[admitted], everybody.ended[admitted]
    counts = everybody.sure.over(sent) - everybody.sure.begun(ended - line.window_us + line.slack_us)
    n = int((counts >= most).sum())
    reason = f"{n:,} admitted although all clients together had spent more than one's"
    if n < NEEDED:
        reason += f", needs {NEEDED}: let more clients come close to their limits at the same time"
    what = "refused although only other clients' requests can have spent it"
    return _Promise("isolation", n, reason, broken=len(strangers), offences=_from(what, line, strangers))


def _retry_after(line: Line, waits: Waits, told: Honesty) -> _Promise:
    kinds: tuple[tuple[str, NDArray[np.int64]], ...] = (
        ("refused although it had waited as long as Retry-After said", told.broken),
        ("Retry-After is neither whole seconds nor a date", line.refused[waits.is_unreadable]),
        ("Retry-After ends before the limit can admit again", told.too_short),
        ("Retry-After is more than a second too long", told.too_long),
    )
    missing = line.refused[waits.is_missing]
    if len(missing) and (line.limit.retry_after or len(missing) < len(line.refused)):
        kinds = (*kinds, ("a refusal without Retry-After", missing))
    offences = [offence for what, rows in kinds for offence in _from(what, line, rows)]
    broken = sum(len(rows) for _, rows in kinds)
    reason = f"{told.tested:,} requests after waiting as long as told, {told.confirmed:,} waits as they have to be"
    if len(missing) and len(missing) == len(line.refused):
        reason = "no refusal has Retry-After; say `retry_after: false` if none is promised"
    elif line.limit.processes > 1:
        reason = "processes that count by themselves can't know what the next one will say: not tested"
    elif told.tested + told.confirmed < NEEDED:
        reason += f", needs {NEEDED}: clients that honour it, or a run of several periods"
    return _Promise("Retry-After", told.tested + told.confirmed, reason, broken=broken, offences=offences)


def _penalties(table: pd.DataFrame, free: Mapping[str, tuple[Line, Refusals]]) -> Iterator[_Promise]:
    """They grow, stop and are forgotten by client, whatever it asked for."""
    rule = next(line.limit.penalties for line, _ in free.values())
    assert rule is not None  # noqa: S101 - only such lines are here
    course = course_of(table, rule, free)
    wrong = [(what, free[request][0], [row]) for request, row, what in course.offences]
    n, needed = course.grown, NEEDED_PENALTIES
    yield _Promise("penalties grow", n, f"{n:,} second or further violations", needed, len(wrong), wrong)
    if rule.cap > rule.base:
        n = course.capped
        yield _Promise("penalties stop at the cap", n, f"{n:,} violations at the cap", needed)
    n = course.forgotten
    yield _Promise(
        "penalties are forgotten", n, f"{n:,} violations after {format_duration(rule.memory)} of quiet", needed
    )
