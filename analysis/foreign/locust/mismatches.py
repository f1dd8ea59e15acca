"""Describes where a run's files lack something that others have, or contradict each other or themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadproof.analysis.foreign.locust.entries import SUM, Entry
from loadproof.analysis.foreign.locust.upsets import odd_rows_sentence
from loadproof.units import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadproof.analysis.foreign.locust.history import History


def mismatches(
    total: Entry | None,
    endpoints: tuple[Entry, ...],
    history: History,
    *,
    listed: int,
    repeats: tuple[Entry, ...],
) -> list[str]:
    """One sentence per mismatch; `listed` is the number of failures in the failures file."""
    return [
        *_gaps(total, endpoints),
        *_disagreement(total, history),
        *_contradictions(total, listed, repeats),
        *_odd_rows([*endpoints, *([total] if total else [])]),
    ]


def _gaps(total: Entry | None, endpoints: tuple[Entry, ...]) -> Iterator[str]:
    """Differences between the total and the sum of the endpoints' rows, which show missing rows."""
    if total is None or not endpoints:
        return
    if total.name == SUM:
        yield "there is no row for all endpoints; it was added up from theirs, without percentiles"
        return
    requests = total.requests - sum(entry.requests for entry in endpoints)
    failures = total.failures - sum(entry.failures for entry in endpoints)
    if requests or failures:
        yield (
            f"all endpoints together have {counted(abs(requests), 'request')} and {counted(abs(failures), 'failure')} "
            f"{'more' if max(requests, failures) > 0 else 'fewer'} than the rows of each: some are missing, or from "
            "another moment"
        )


def _disagreement(total: Entry | None, history: History) -> Iterator[str]:
    """Differences between totals and history: Locust doesn't write its files once more at the end.

    Source: locust/stats.py 2.47.
    """
    ahead = total.requests - history.requests if total and len(history.frame) else 0
    if ahead > 0:
        yield f"the history lacks the last {counted(ahead, 'request')}"
    elif ahead < 0:
        yield f"the stats file lacks the last {counted(-ahead, 'request')}"
    more = history.failures - total.failures if total and len(history.frame) else 0
    if more > 0:
        yield f"the history has {more:,} more failures than the stats file"


def _contradictions(total: Entry | None, listed: int, repeats: tuple[Entry, ...]) -> Iterator[str]:
    """Contradictions that can't be explained by files written at slightly different moments."""
    if total is not None and listed > total.failures:
        yield f"the failures file has {listed:,} failures, all endpoints together {total.failures:,}"
    if repeats:
        yield f"the stats file has {len(repeats):,} more rows for endpoints that it already has, with other numbers"


def _odd_rows(rows: list[Entry]) -> Iterator[str]:
    odd = [row.contradictions[0] for row in rows if row.contradictions]
    if odd:
        yield odd_rows_sentence("stats", len(odd), odd[0])
