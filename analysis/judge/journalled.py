"""Checks a run's journal against its intervals: unless both count the same requests, one of them is wrong."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from loadproof.analysis.frames.cellsums import sums_by
from loadproof.analysis.frames.journal import count_journal
from loadproof.analysis.judge.finding import IF_CUT_OFF, REPORT_BUG, RESTORE_RUN, Finding
from loadproof.analysis.word import Word
from loadproof.rundir import files
from loadproof.rundir.rows import UNJUDGED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from loadproof.analysis.frames.journal import JournalCounts, Kind
    from loadproof.analysis.frames.run import Run

MAY_BE_TORN: Final = frozenset({"interrupted", "terminated", "aborted", "running", "generator_died", "disk_full"})
"""Endings after which the last reports may be in only one of the two files, or in neither."""


def journalled(run: Run) -> Iterator[Finding]:
    """Findings on how the two differ; a difference is a bug in loadproof, unless the run was cut off."""
    if not run.manifest.scenario.records_requests:
        return
    may_be_torn = run.manifest.ending in MAY_BE_TORN
    counted = count_intervals(run)
    try:
        journal = count_journal(run)
    except OSError:
        if counted:
            word = Word.PASS if may_be_torn else Word.INVALID
            yield Finding(word, f"{files.JOURNAL} is missing", "restore it, or run again")
        return
    for damage in journal.damage:
        yield Finding.note(_with_rest(damage, journal, counted), IF_CUT_OFF)
    if journal.by_kind == counted:
        return
    if lost := run.events[run.events["kind"] == files.UNJOURNALLED]["detail"].tolist():
        what = f"{files.JOURNAL} lacks {' and '.join(lost)}, which could not hold them from one report to the next"
        yield Finding(Word.INVALID, what, "send with more workers, or leave out `record`")
    elif differs := _unexplained(journal, counted, run.damage):
        what = _difference(journal.by_kind, counted, min(differs))
        if may_be_torn:
            yield Finding.note(f"the run was cut off between two files: {what}", "nothing to do")
        elif journal.damage or _is_damaged(run.damage):
            yield Finding(Word.INVALID, f"{what}, which the damage doesn't explain", RESTORE_RUN)
        else:
            yield Finding(Word.INVALID, what, REPORT_BUG)


def _unexplained(journal: JournalCounts, counted: Counter[Kind], damage: Sequence[str]) -> Counter[Kind]:
    """How many requests of each kind the two differ by, beyond what their damage explains: it only ever loses some."""
    lacks = counted - journal.by_kind
    if lacks.total() <= journal.most_lost:
        lacks.clear()
    return lacks if _is_damaged(damage) else lacks + (journal.by_kind - counted)


def _is_damaged(damage: Sequence[str]) -> bool:
    return any(files.INTERVALS in one for one in damage)


def _with_rest(damage: str, journal: JournalCounts, counted: Counter[Kind]) -> str:
    return f"{damage}; it has {journal.by_kind.total():,} requests, {files.INTERVALS} {counted.total():,}"


def count_intervals(run: Run) -> Counter[Kind]:
    """The requests that ended, counted by the journal's kinds (request, outcome, phase)."""
    counted: Counter[Kind] = Counter()
    for cells in (run.intervals, run.setup):
        ended = cells[cells["series"].isin(["response", *UNJUDGED])]
        sums: dict[Any, Any] = sums_by(ended, "endpoint", "outcome", "series", "phase").to_dict()
        for (request, outcome, series, phase), count in sums.items():
            counted[request, outcome or series, phase] += int(count)
    return counted


def _difference(journal: Counter[Kind], counted: Counter[Kind], kind: Kind) -> str:
    request, outcome, phase = kind
    return (
        f"{files.JOURNAL} has {journal.total():,} requests, {files.INTERVALS} {counted.total():,}; "
        f"of {request}, {outcome}, in {phase}: {journal[kind]:,} and {counted[kind]:,}"
    )
