"""Checks answers that loadproof could not read: INVALID if a threshold's verdict depends on their content."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from loadproof.analysis.frames.cellsums import among
from loadproof.analysis.judge.finding import Finding
from loadproof.analysis.judge.thresholds import verdicts_differ
from loadproof.histogram import bucket_of
from loadproof.outcome import Outcome
from loadproof.rundir.rows import PARTS, UNREAD
from loadproof.units import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadproof.analysis.frames.run import Run


def unread(run: Run) -> Iterator[Finding]:
    """Judges thresholds twice: with unread answers counted as invalid, as recorded, and as if all had been correct."""
    rows = run.intervals[run.intervals["series"] == UNREAD]
    answers = int(rows["count"].sum())
    if not answers:
        return
    unreadable = counted(answers, "answer that it can't read counts", "answers that it can't read count")
    what = f"a limit of loadproof: {unreadable} as invalid, although {'it' if answers == 1 else 'they'} may be right"
    remedy = (
        "locust_failures.csv names the limit; request smaller answers or another coding, or leave this endpoint out"
    )
    matters = verdicts_differ(run.manifest.scenario.thresholds, run, _with_right_answers(run, rows))
    yield Finding.depending(what, remedy, matters=matters)


def _with_right_answers(run: Run, unread: pd.DataFrame) -> Run:
    """The run if all of these had been right, and the groups that they ended had gone on to their end."""
    scenario = run.manifest.scenario
    intervals = [*_as_if_right(_changed(unread, series="response")), _in_time(unread, scenario.deadline)]
    for series in ("service", *PARTS):
        intervals += _as_if_right(_invalid_by(unread, run.intervals, series, ["second", "phase", "endpoint"]))
    groups: list[pd.DataFrame] = []
    for name, group in scenario.groups.items():
        of_group, cells = unread[among(unread["endpoint"], group.requests)], run.groups[run.groups["endpoint"] == name]
        for series in ("response", "service"):
            groups += _as_if_right(_invalid_by(of_group, cells, series, ["phase"]))
        fastest = _invalid_by(of_group, cells, "response", ["phase"], slowest_first=False)
        groups.append(_in_time(fastest, group.deadline))
    return replace(run, intervals=pd.concat([run.intervals, *intervals]), groups=pd.concat([run.groups, *groups]))


def _invalid_by(
    unread: pd.DataFrame, cells: pd.DataFrame, series: str, by: list[str], *, slowest_first: bool = True
) -> pd.DataFrame:
    """The invalid cells in a series, at either end, but by these columns no more than answers that weren't read."""
    invalid = cells[(cells["series"] == series) & (cells["outcome"] == str(Outcome.INVALID))]
    invalid = invalid.sort_values("bucket", ascending=not slowest_first, kind="stable")
    most = unread.groupby(by, observed=True)["count"].sum().rename("most")
    at_most = invalid.join(most, on=by)["most"].astype(float).fillna(0.0)
    before = invalid.groupby(by, observed=True)["count"].cumsum() - invalid["count"]
    counts = (at_most - before).clip(lower=0.0, upper=invalid["count"]).astype(invalid["count"].dtype)
    return invalid.assign(count=counts)[counts > 0]


def _as_if_right(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Cells to add to a run's, so that these count as correct; negative counts remove what was counted."""
    yield rows.assign(count=-rows["count"])
    yield _changed(rows, outcome=str(Outcome.OK))


def _in_time(rows: pd.DataFrame, deadline_s: float) -> pd.DataFrame:
    """The goodput that these would have been; `rows` have response times."""
    in_time = rows[rows["bucket"] <= bucket_of(round(deadline_s * 1e6))]
    return _changed(in_time, series="good", outcome=str(Outcome.OK)).assign(bucket=0)


def _changed(rows: pd.DataFrame, **values: Any) -> pd.DataFrame:
    """The rows with these values in every row; columns keep their types, which are categories."""
    columns = {name: pd.Series(value, index=rows.index, dtype=rows[name].dtype) for name, value in values.items()}
    return rows.assign(**columns)
