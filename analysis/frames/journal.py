"""Reads a run's journal, one row per request: into a frame, or into counts by kind without keeping it in memory."""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson
import pandas as pd
from pandas.api.types import union_categoricals

from loadproof.analysis.frames.lines import left_out, parsed
from loadproof.rundir import files
from loadproof.rundir.journal import HEADER, read_journal
from loadproof.rundir.rows import JournalRow

if TYPE_CHECKING:
    from loadproof.analysis.frames.run import Run

_TIMES: Final = ["intended_us", "sent_us", "ended_us"]
_NUMBERS: Final = dict.fromkeys([*_TIMES, "status", "repeated"], "int64")
_KINDS: Final = [name for name in JournalRow._fields if name not in {*_NUMBERS, "noted"}]
_DTYPES: Final = {**_NUMBERS, **dict.fromkeys([*_KINDS, "noted"], "str")}
_HEADER: Final = HEADER.encode()
Kind = tuple[str, str, str]
"""Request, outcome and phase."""
UNKNOWN_US: Final = 10**12
"""The doubt, in µs, about a clock that was never compared with the master's: longer than any run."""


def load_journal(run: Run) -> pd.DataFrame:
    """A JournalRow's columns and `doubt_us`, in the file's order: for each worker, as its requests ended.

    Times are µs by the master's clock, each wrong by at most `doubt_us` in either direction. Columns of text are
    categories, except `noted`, which `noted_frame` reads. Empty without a journal.
    """
    blocks = [block.astype(dict.fromkeys(_KINDS, "category")) for block in _blocks(run)]
    columns: dict[str, Any] = {name: np.concatenate([block[name] for block in blocks]) for name in _NUMBERS}
    columns |= {name: union_categoricals([block[name] for block in blocks]) for name in _KINDS}
    columns["noted"] = np.concatenate([block["noted"].to_numpy(dtype=object) for block in blocks])
    journal = pd.DataFrame({name: columns.pop(name) for name in JournalRow._fields})
    return _by_the_masters_clock(journal, run.generator)


def noted_frame(journal: pd.DataFrame, words: Sequence[str]) -> pd.DataFrame:
    """The noted values, one column for each of these words, with the journal's index; None where there is no value."""
    columns: dict[str, list[Any]] = {word: [] for word in words}
    # One note at a time: all of them at once would take several times as much memory as the journal.
    for note in map(_note, journal["noted"]):
        for word, values in columns.items():
            values.append(note.get(word))
    return pd.DataFrame(columns, index=journal.index, columns=list(words), dtype=object)


@dataclass
class JournalCounts:
    """How many requests a journal has."""

    by_kind: Counter[Kind] = field(default_factory=Counter)
    damage: tuple[str, ...] = ()
    """What was missing or unreadable, one sentence each."""
    most_lost: float = 0.0
    """The most requests that the damage can have cost; infinite if everything after some row is lost."""


def count_journal(run: Run) -> JournalCounts:
    """Count a journal's requests block by block; OSError if there is no journal."""
    counts, skipped = JournalCounts(), 0
    lines = read_journal(run.path / files.JOURNAL)
    for block, unparsed in _parsed(lines):
        kinds = block.groupby(["request", "outcome", "phase"], observed=True).size()
        counts.by_kind.update({tuple(map(str, kind)): int(count) for kind, count in kinds.items()})  # type: ignore[call-overload]
        skipped += unparsed
    torn = [f"{files.JOURNAL} is damaged: everything after its last complete row is lost"] if lines.is_torn else []
    unread = [f"{files.JOURNAL}: {left_out(skipped)}"] if skipped else []
    counts.damage, counts.most_lost = (*torn, *unread), math.inf if torn else skipped
    return counts


def _blocks(run: Run) -> Iterator[pd.DataFrame]:
    """The journal's rows in blocks, at least one even without a journal."""
    try:
        yield from (block for block, _ in _parsed(read_journal(run.path / files.JOURNAL)))
    except OSError:
        yield _frame(b"")


def _parsed(lines: Iterable[bytes]) -> Iterator[tuple[pd.DataFrame, int]]:
    """Blocks of rows, each with the number of lines that could not be parsed."""
    for block in lines:
        body = block.removeprefix(_HEADER)
        rows = _frame(body)
        yield rows, body.count(b"\n") - len(rows)


def _frame(body: bytes) -> pd.DataFrame:
    try:
        rows: pd.DataFrame = pd.read_csv(
            io.BytesIO(body),
            names=list(JournalRow._fields),
            dtype=_DTYPES,
            keep_default_na=False,
            on_bad_lines="error",
            encoding_errors="replace",
        )
    except ValueError:
        # Some line is damaged: slower, line by line.
        rows, _ = parsed(body.decode("utf-8", errors="replace"), JournalRow._fields, {})
        rows = rows.astype(_DTYPES)
    return rows


def _by_the_masters_clock(journal: pd.DataFrame, generator: pd.DataFrame) -> pd.DataFrame:
    """Correct each worker's times by its last skew estimate, which is the best."""
    last = generator.groupby("worker").last()
    ahead_us = journal["worker"].map((1e6 * last["clock_skew_s"]).round()).astype(float).fillna(0.0).astype("int64")
    doubt_us = journal["worker"].map(np.ceil(1e6 * last["clock_doubt_s"])).astype(float).fillna(np.inf)
    for name in _TIMES:
        journal[name] -= ahead_us
    return journal.assign(doubt_us=doubt_us.clip(0, UNKNOWN_US).astype("int64"))


def _note(text: str) -> dict[str, Any]:
    try:
        note = orjson.loads(text or b"{}")
    except ValueError:
        return {}
    return note if isinstance(note, dict) else {}
