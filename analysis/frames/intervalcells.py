"""Turns lines of intervals.csv.gz into cells: counts by second, phase, endpoint, outcome, series and bucket."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from loadproof.analysis.frames.lines import parsed
from loadproof.histogram import BUCKETS
from loadproof.outcome import SETUP, UNSENT, Outcome
from loadproof.rundir.rows import COUNTERS, HISTOGRAMS, TOKEN, USER_TIMES, IntervalRow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from loadproof.plan.phases import PhaseSpan
    from loadproof.scenario.scenario import Scenario

_INTERVALS_HEADER: Final = f"{','.join(IntervalRow._fields)}\n".encode()
_NONE: Final = np.zeros(0, dtype=np.int64)
_MOST_SECONDS: Final = 10**9
_MOST_NAMES: Final = 2**13
"""Request and user names of a locustfile; each process has at most a thousand, nearly all of them shared."""


def no_cells() -> pd.DataFrame:
    return pd.DataFrame({name: [] for name in IntervalRow._fields})


class IntervalCells:
    """Turns lines of intervals.csv.gz into cells, block by block.

    Counts of equal keys are added up; invalid lines are left out.
    """

    def __init__(self, phases: Sequence[PhaseSpan], scenario: Scenario) -> None:
        self.skipped = 0
        """The number of invalid lines."""
        self._learns_names = scenario.locustfile is not None
        self._kinds = {
            "phase": pd.Index([*(span.name for span in phases), SETUP]),
            "endpoint": pd.Index(list(dict.fromkeys([*scenario.mix, *scenario.endpoints, *scenario.groups, TOKEN]))),
            "outcome": pd.Index(["", *map(str, Outcome), *sorted(UNSENT)]),
            "series": pd.Index([*HISTOGRAMS, *COUNTERS, *USER_TIMES]),
        }
        self._keys: list[NDArray[np.int64]] = []
        self._counts: list[NDArray[np.int32]] = []

    def add(self, block: bytes) -> None:
        """Add complete lines, the first of which may be the header."""
        body = block.removeprefix(_INTERVALS_HEADER)
        rows = self._rows(body)
        self.skipped += body.count(b"\n") - len(rows)
        sound = (
            rows["bucket"].between(0, BUCKETS - 1)
            & rows["count"].between(1, 2**31 - 1)
            & rows["second"].between(0, _MOST_SECONDS)
        )
        # An invalid value may not fit into any integer type.
        lines, rows = len(rows), rows if sound.all() else rows[sound]
        whole = np.ones(len(rows), dtype=bool)
        keys = rows["second"].to_numpy(dtype=np.int64)
        for name in self._kinds:
            values = rows[name].cat
            known = self._known(name, values.categories)
            # -1 for a value that isn't valid.
            codes = known.get_indexer(pd.Index(values.categories))[values.codes]
            whole = whole & (codes >= 0)
            keys = keys * self._columns(name) + codes
        self.skipped += lines - int(whole.sum())
        self._keys.append((keys * BUCKETS + rows["bucket"].to_numpy(dtype=np.int64))[whole])
        self._counts.append(rows["count"].to_numpy(dtype=np.int32)[whole])

    def _known(self, name: str, written: pd.Index) -> pd.Index:
        """The values that this column may have; a locustfile's names are learnt as they occur."""
        known = self._kinds[name]
        if name == "endpoint" and self._learns_names:
            new = written.difference(known, sort=False)
            known = self._kinds[name] = known.append(new[: _MOST_NAMES - len(known)])
        return known

    def _columns(self, name: str) -> int:
        """How many values of this column a key has room for; for names that are learnt, the most there can be."""
        return _MOST_NAMES if name == "endpoint" and self._learns_names else len(self._kinds[name])

    def _rows(self, body: bytes) -> pd.DataFrame:
        numbers = dict.fromkeys(("second", "bucket", "count"), "int64")
        texts = dict.fromkeys(self._kinds, "category")
        try:
            rows: pd.DataFrame = pd.read_csv(
                io.BytesIO(body),
                names=list(IntervalRow._fields),
                dtype={**numbers, **texts},
                keep_default_na=False,
                on_bad_lines="skip",
                quoting=csv.QUOTE_NONE,
                encoding_errors="replace",
            )
        except ValueError:
            # Some line is damaged: slower, line by line.
            text = body.decode("utf-8", errors="replace")
            return parsed(text, IntervalRow._fields, {})[0].astype(texts)
        return rows

    def frame(self) -> pd.DataFrame:
        """The cells added since the last call, with an IntervalRow's columns, sorted by them."""
        keys, counts = np.concatenate([_NONE, *self._keys]), np.concatenate([_NONE.astype(np.int32), *self._counts])
        self._keys.clear()
        self._counts.clear()
        order = np.argsort(keys)
        keys, counts = keys[order], counts[order]
        del order
        first = np.flatnonzero(np.diff(keys, prepend=-1))
        if first.size < keys.size:
            keys, counts = keys[first], np.add.reduceat(counts, first)
        # A day has tens of millions of rows.
        columns: dict[str, Any] = {"count": counts, "bucket": (keys % BUCKETS).astype(np.int16)}
        keys //= BUCKETS
        for name, known in reversed(self._kinds.items()):
            columns[name] = pd.Categorical.from_codes((keys % self._columns(name)).astype(np.int16), known)
            keys //= self._columns(name)
        columns["second"] = keys.astype(np.int32)
        return pd.DataFrame(columns)[list(IntervalRow._fields)]
