"""Describes what a line shows about each of a limit's promises, with offences and what is still needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.analysis.audit.audit import MOST_ROWS, Evidence, Offence, promise_word
from loadproof.analysis.audit.limits.excess import most_admitted, over_stretch, over_window
from loadproof.analysis.audit.limits.fields import stated
from loadproof.analysis.audit.limits.penalties import penalty_record
from loadproof.analysis.audit.limits.refusals import Refusals
from loadproof.analysis.audit.limits.timeline import Hits, Line, line_of
from loadproof.scenario.target.limits import limit_text
from loadproof.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from loadproof.analysis.audit.limits.penalties import PenaltyRecord
    from loadproof.analysis.audit.limits.refusals import Before
    from loadproof.analysis.audit.limits.timeline import Excess
    from loadproof.analysis.audit.limits.waits import Honesty, Waits
    from loadproof.analysis.audit.limits.windows import FixedWindows
    from loadproof.scenario.settings import Penalties

QUOTA: Final = "quota"
NEEDED: Final = 10
"""Samples for each promise: breaking it in a quarter of them is detected with 94 %, as 0.75^10 = 0.056."""
NEEDED_PENALTIES: Final = 3
_MOST_OF_A_PROMISE: Final = 20
"""The most offences shown for each promise."""


@dataclass(frozen=True)
class AlgorithmFit:
    """How well a line fits one algorithm: what contradicts it."""

    algorithm: str
    excesses: list[Excess]
    refusals: Refusals
    windows: FixedWindows
    before: Before

    @property
    def contradictions(self) -> int:
        return len(self.excesses) + int(self.refusals.is_early.sum())


@dataclass(frozen=True)
class LimitPromise:
    """One promise of a limit, as a line shows it."""

    name: str
    n: int
    reason: str
    needed: int = NEEDED
    broken: int = 0
    offences: Sequence[tuple[str, Line, Sequence[int] | NDArray[np.int64]]] = ()
    """The first offences: what happened, and the positions of their rows on a line."""

    def evidence(self, request: str) -> Evidence:
        word = promise_word(broken=self.broken, n=self.n, needed=self.needed)
        reason = f"{self.offences[0][0]} ({self.broken:,} times)" if self.broken else self.reason
        return Evidence(f"{request}: {self.name}", word, self.n, self.needed, reason)

    def shown(self, request: str) -> Iterator[Offence]:
        for what, line, rows in self.offences[:_MOST_OF_A_PROMISE]:
            yield Offence(f"{request}: {self.name}", what, line.shown(rows, MOST_ROWS))


def bounds(fits: list[AlgorithmFit]) -> Refusals:
    """The refusals' bounds that hold whichever of the fitting algorithms it is."""
    fitting = [fit.refusals for fit in _fitting(fits)]
    return Refusals(
        np.logical_and.reduce([refused.is_early for refused in fitting]),
        np.logical_or.reduce([refused.is_right for refused in fitting]),
        np.minimum.reduce([refused.free_low for refused in fitting]),
        np.maximum.reduce([refused.free_high for refused in fitting]),
    )


def promises_of(line: Line, fits: list[AlgorithmFit], waits: Waits, kept: Honesty) -> Iterator[LimitPromise]:
    yield quota(line, fits)
    if line.limit.key == "global" or len(line.clients) < 2:
        yield _not_early(line, fits, line.refused[bounds(fits).is_early])
    else:
        everybody = line_of(line.rows, line.limit, together=True)
        strangers, own = _by_whom(line, everybody, bounds(fits))
        yield _not_early(line, fits, own)
        yield _isolation(line, everybody, fits, strangers)
    if line.limit.retry_after is not False and line.limit.processes == 1:
        # If several processes count separately, one can't know what the next one will answer.
        yield _retry_after(line, waits, kept)
    may_be = [one.algorithm for one in _fitting(fits)]
    fields = stated(line, may_be, bounds(fits), windows=fits[0].windows, before=fits[0].before)
    if fields.sent:
        reason = f"{fields.n:,} of {fields.sent:,} answers with RateLimit fields state the remaining quota"
        offences = [(what, line, [row]) for row, what in fields.offences]
        yield LimitPromise("RateLimit fields", fields.n, reason, broken=len(offences), offences=offences)


def _fitting(fits: list[AlgorithmFit]) -> list[AlgorithmFit]:
    """The fits without contradictions, or the best one if there are none."""
    return [one for one in fits if not one.contradictions] or fits[:1]


def quota(line: Line, fits: list[AlgorithmFit], name: str = QUOTA) -> LimitPromise:
    limit, best = line.limit, fits[0]
    is_refused = line.is_refused
    follows = np.append(False, ~is_refused[:-1]) & np.append(False, np.diff(line.client) == 0)
    came = np.flatnonzero(is_refused & follows)
    occasions, together = len(came), _on_the_way(line, came)
    algorithms = [one.algorithm for one in _fitting(fits)]
    kind = f" ({' or '.join(algorithms)} fits)" if limit.algorithm == "unknown" else ""
    most = max(most_admitted(limit, algorithm) for algorithm in algorithms)
    window = f"in any {format_duration(limit.period)}"
    reason = f"{limit_text(limit)}{kind}, at most {most} {window}: clients reached it {occasions:,} times"
    reason += f", {together:,} of them with several requests in flight"
    if occasions < NEEDED:
        reason += f", needs {NEEDED}: let clients send more than {limit.size} {window}, again and again"
    offences = []
    for excess in best.excesses[:_MOST_OF_A_PROMISE]:
        seconds = format_duration((excess.to_us - excess.from_us) * 1e-6)
        what = f"{excess.count} of {line.clients[excess.client]} admitted within {seconds}, at most {excess.allowed}"
        if limit.algorithm == "unknown":
            what += f"; fits no algorithm, {best.algorithm} best"
        offences.append((what, line, line.between(excess.client, excess.from_us, excess.to_us)))
    return LimitPromise(name, occasions, reason, broken=len(best.excesses), offences=offences)


def _on_the_way(line: Line, positions: NDArray[np.int64]) -> int:
    """How many of these overlap another request of their client, where a check-then-count race would show."""
    everything = Hits.of(line.sent, line.ended)
    return int((everything.begun(line.ended[positions]) - everything.over(line.sent[positions]) > 1).sum())


def _not_early(line: Line, fits: list[AlgorithmFit], early: NDArray[np.int64]) -> LimitPromise:
    right = int(bounds(fits).is_right.sum())
    left = len(line.refused) - right - len(early)
    reason = f"{right:,} of {len(line.refused):,} refusals are certainly right"
    if left:
        reason += f"; {left:,} took too long to tell"
    if right < NEEDED:
        reason += f", needs {NEEDED}: refusals on faster answers, or of a longer period"
    what = f"refused although less than {line.limit.size} in {format_duration(line.limit.period)} can have counted"
    return LimitPromise("no refusal below it", right, reason, broken=len(early), offences=_from(what, line, early))


def _from(what: str, line: Line, refused: NDArray[np.int64]) -> list[tuple[str, Line, NDArray[np.int64]]]:
    """The first offences: each a refusal, followed by its client's requests in the window before it."""
    rows = refused[:_MOST_OF_A_PROMISE]
    begins = np.maximum(np.searchsorted(line.sent, line.sent[rows] - line.window_us), line.first[line.client[rows]])
    return [(what, line, np.arange(row, begin - 1, -1)) for row, begin in zip(rows, begins, strict=True)]


def _by_whom(line: Line, everybody: Line, refused: Refusals) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Early refusals that all clients' requests together would explain, and the others.

    They explain nothing if together they were admitted more than one client may be: then clients are counted apart.
    """
    early = line.refused[refused.is_early]
    most = 2 * line.limit.size * line.limit.processes
    if not len(early) or over_window(everybody, most) or over_stretch(everybody, most):
        return np.empty(0, np.int64), early
    sent, ended = line.sent[early] - line.shift[early], line.ended[early] - line.shift[early]
    counted = everybody.possible.begun(ended) - everybody.possible.over(sent - line.window_us)
    return early[counted >= line.limit.amount], early[counted < line.limit.amount]


def _isolation(line: Line, everybody: Line, fits: list[AlgorithmFit], strangers: NDArray[np.int64]) -> LimitPromise:
    """Whether clients are counted apart; samples are admissions that would be too many if all clients were one."""
    most = max(most_admitted(line.limit, one.algorithm) for one in _fitting(fits))
    admitted = np.flatnonzero(everybody.is_admitted)
    sent, ended = everybody.sent[admitted], everybody.ended[admitted]
    counts = everybody.sure.over(sent) - everybody.sure.begun(ended - line.window_us + line.slack_us)
    n = int((counts >= most).sum())
    reason = f"{n:,} admitted although all clients together had used more than one client's quota"
    if n < NEEDED:
        reason += f", needs {NEEDED}: let more clients come close to their limits at the same time"
    what = "refused although only other clients' requests can have used it up"
    return LimitPromise("isolation", n, reason, broken=len(strangers), offences=_from(what, line, strangers))


def _retry_after(line: Line, waits: Waits, kept: Honesty) -> LimitPromise:
    kinds: tuple[tuple[str, NDArray[np.int64]], ...] = (
        ("refused although it had waited as long as Retry-After said", kept.broken),
        ("Retry-After is neither whole seconds nor a date", line.refused[waits.is_unreadable]),
        ("Retry-After ends before the limit can admit again", kept.too_short),
        ("Retry-After is more than a second too long", kept.too_long),
    )
    missing = line.refused[waits.is_missing]
    if len(missing) and (line.limit.retry_after or len(missing) < len(line.refused)):
        kinds = (*kinds, ("a refusal without Retry-After", missing))
    offences = [offence for what, rows in kinds for offence in _from(what, line, rows)]
    broken = sum(len(rows) for _, rows in kinds)
    reason = f"{kept.tested:,} requests after waiting as long as announced, "
    reason += f"{kept.confirmed:,} waits that match what was admitted"
    if len(missing) and len(missing) == len(line.refused):
        reason = "no refusal has Retry-After; say `retry_after: false` if none is promised"
    elif kept.tested + kept.confirmed < NEEDED:
        reason += f", needs {NEEDED}: clients that honour it, or a run of several periods"
    return LimitPromise("Retry-After", kept.tested + kept.confirmed, reason, broken=broken, offences=offences)


def penalty_promises(
    table: pd.DataFrame, free: Mapping[str, tuple[Line, Refusals]], *, is_new: bool
) -> Iterator[tuple[str, LimitPromise]]:
    """Promises about penalties, for all requests with the same penalties under the first one's name."""
    rules: dict[Penalties, list[str]] = {}
    for name, (line, _) in free.items():
        if line.limit.penalties is not None:
            rules.setdefault(line.limit.penalties, []).append(name)
    for rule, names in rules.items():
        of_rule = table[table["name"].isin(names)]
        record = penalty_record(of_rule, rule, {name: free[name] for name in names}, is_new=is_new)
        wrong = [(what, free[request][0], [row]) for request, row, what in record.offences]
        yield from ((names[0], promise) for promise in _penalties(record, rule, wrong))


def _penalties(
    record: PenaltyRecord, rule: Penalties, wrong: Sequence[tuple[str, Line, list[int]]]
) -> Iterator[LimitPromise]:
    """Penalties grow, stop and are forgotten per client, whatever it requested."""
    n, needed = record.grown, NEEDED_PENALTIES
    yield LimitPromise("penalties grow", n, f"{n:,} second or further violations", needed, len(wrong), wrong)
    if rule.cap > rule.base:
        n = record.capped
        yield LimitPromise("penalties stop at the cap", n, f"{n:,} violations at the cap", needed)
    n, quiet = record.forgotten, format_duration(rule.memory)
    yield LimitPromise("penalties are forgotten", n, f"{n:,} violations after {quiet} of quiet", needed)
