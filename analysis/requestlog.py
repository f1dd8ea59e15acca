"""A plain log of requests (seconds, name, response_ms, status) to a run's frames; streamed, whatever its size.

It can't tell when requests were meant to start, what was dropped, or how the generator did, and is not asked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from analysis.frames import Run
from loadproof.errors import InputError, Problem
from loadproof.histogram import BUCKETS, buckets_of
from loadproof.outcome import Outcome, classify
from loadproof.rundir import EventRow, GeneratorRow, IntervalRow, Manifest, PhaseSpan, TargetFacts, TargetRow
from loadproof.scenario import Scenario, UserMix

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

COLUMNS: Final = ("seconds", "name", "response_ms", "status")
PHASE: Final = "log"
_CHUNK_ROWS: Final = 500_000
_OUTCOMES: Final = tuple(Outcome)
_LONGEST_S: Final = 400 * 24 * 3600


@dataclass(frozen=True)
class RequestLog:
    """`run` has one phase, all of the log, and an endpoint for each name."""

    run: Run
    start_s: float
    """The log's first whole second, by its own clock."""
    requests: int
    unreadable: int
    """Lines that were left out."""


def read_log(path: Path) -> RequestLog:
    """Read a CSV with these columns, in any order, among others; InputError where it has not, or nothing in it."""
    counted = _Counted()
    for chunk in _chunks(path):
        counted.add(chunk)
    if not counted.requests:
        raise InputError(Problem(str(path), "no request in it", f"give a CSV with the columns {', '.join(COLUMNS)}"))
    seconds, names, outcomes, buckets, counts = counted.columns()
    start_s = int(seconds.min())
    if seconds.max() - start_s > _LONGEST_S:
        remedy = "`seconds` is a time in seconds; mend the lines that are far from the others"
        raise InputError(Problem(str(path), "it spans more than a year", remedy))
    cells = pd.DataFrame(
        {
            "second": seconds - start_s,
            "phase": pd.Categorical.from_codes(np.zeros(seconds.size, dtype=np.int64), pd.Index([PHASE])),
            "endpoint": pd.Categorical.from_codes(names, pd.Index(counted.names)),
            "outcome": pd.Categorical.from_codes(outcomes, pd.Index([str(outcome) for outcome in _OUTCOMES])),
            "bucket": buckets,
            "count": counts,
        }
    )
    return RequestLog(
        run=_run(path, cells, counted.names, float(start_s)),
        start_s=float(start_s),
        requests=counted.requests,
        unreadable=counted.unreadable,
    )


class _Counted:
    """Cells of a histogram for each second, name and outcome, packed into one number each."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.requests = 0
        self.unreadable = 0
        self._codes: dict[str, int] = {}
        self._keys: list[NDArray[np.int64]] = []
        self._counts: list[NDArray[np.int64]] = []

    def add(self, chunk: pd.DataFrame) -> None:
        known = chunk["seconds"].notna() & chunk["response_ms"].ge(0) & chunk["name"].notna()
        self.unreadable += int((~known).sum())
        rows = chunk[known & chunk["seconds"].between(0, 1e11)]
        self.requests += len(rows)
        names = rows["name"].astype("category")
        codes = np.array([self._code(str(name)) for name in names.cat.categories], dtype=np.int64)
        keys = rows["seconds"].to_numpy().astype(np.int64) << 16 | codes[names.cat.codes]
        keys = keys * len(_OUTCOMES) + _outcomes(rows["status"].fillna(0).to_numpy())
        keys = keys * BUCKETS + buckets_of(rows["response_ms"].to_numpy() / 1000)
        unique, counts = np.unique(keys, return_counts=True)
        self._keys.append(unique)
        self._counts.append(counts)
        # Chunks of the same seconds would pile up.
        if len(self._keys) > 8:
            merged, summed = self._merged()
            self._keys, self._counts = [merged], [summed]

    def columns(self) -> tuple[NDArray[np.int64], ...]:
        """Second, name, outcome, bucket, count of each cell."""
        keys, counts = self._merged()
        keys, buckets = np.divmod(keys, BUCKETS)
        keys, outcomes = np.divmod(keys, len(_OUTCOMES))
        return keys >> 16, keys & 0xFFFF, outcomes, buckets, counts

    def _merged(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        keys, place = np.unique(np.concatenate(self._keys), return_inverse=True)
        counts = np.bincount(place, weights=np.concatenate(self._counts)).astype(np.int64)
        return keys, counts

    def _code(self, name: str) -> int:
        code = self._codes.setdefault(name, len(self._codes))
        if code == len(self.names):
            if code > 0xFFFF:
                raise InputError(Problem("name", "more than 65,536 names", "group them, like /users/[id]"))
            self.names.append(name)
        return code


def _outcomes(status: NDArray[np.float64]) -> NDArray[np.int64]:
    """The numbers of outcomes; a status of 0 or none is a request without an answer."""
    values, place = np.unique(status.astype(np.int64), return_inverse=True)
    outcomes = [
        _OUTCOMES.index(
            classify(value, as_expected=200 <= value < 400, has_retry_after=False) if value > 0 else Outcome.CONNECTION
        )
        for value in values.tolist()
    ]
    return np.array(outcomes, dtype=np.int64)[place]


def _chunks(path: Path) -> Iterator[pd.DataFrame]:
    try:
        header = pd.read_csv(path, nrows=0).columns
    except (OSError, ValueError) as error:
        raise InputError(Problem(str(path), f"can't be read: {error}", "give a CSV of requests")) from None
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        remedy = f"name the columns {', '.join(COLUMNS)} in its first line"
        raise InputError(Problem(str(path), f"no column {', '.join(missing)}", remedy, got=", ".join(header)[:200]))
    chunks = pd.read_csv(
        path,
        usecols=list(COLUMNS),
        chunksize=_CHUNK_ROWS,
        dtype={"name": "category"},
        on_bad_lines="skip",
        encoding_errors="replace",
    )
    for chunk in chunks:
        for name in ("seconds", "response_ms", "status"):
            chunk[name] = pd.to_numeric(chunk[name], errors="coerce")
        yield chunk


def _run(path: Path, cells: pd.DataFrame, names: list[str], start_s: float) -> Run:
    """As if recorded: what was ok was good, for a log has no deadline, and each request ended when it began."""
    ended_s = int(cells["second"].max()) + 1
    ok = cells[cells["outcome"] == str(Outcome.OK)]
    series = [
        cells.assign(series="response"),
        ok.assign(series="good", bucket=0),
        cells.assign(series="completed", bucket=0),
    ]
    intervals = pd.concat(series)[list(IntervalRow._fields)]
    intervals["series"] = intervals["series"].astype("category")

    def empty(row: type[Any]) -> pd.DataFrame:
        return pd.DataFrame(columns=list(row._fields))

    span = PhaseSpan(name=PHASE, start_s=0, end_s=ended_s, warm_up=False, users=None, rate_rps=None)
    # Names of a log are anyone's, and are not checked as a scenario's.
    mix = {name: UserMix.model_construct(share=0.0) for name in names}
    scenario = Scenario.model_construct(
        name=path.stem, model="open", mix=mix, deadline=math.inf, phases=[], thresholds=[]
    )
    manifest = Manifest(
        run_id=path.name,
        scenario=scenario,
        scenario_file="",
        seed=0,
        command="",
        target=TargetFacts(kind="own", base_url="", limits={}),
        phases=[span],
        workers=0,
        revision="",
        versions={},
        host={},
        start_unix_s=start_s,
    )
    return Run(
        path=path,
        manifest=manifest,
        intervals=intervals,
        generator=empty(GeneratorRow).assign(second=[ended_s - 1]),
        target=empty(TargetRow),
        events=empty(EventRow),
    )
