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
from loadproof.rundir.rows import UNREAD
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
    groups = [run.groups]
    for name, group in scenario.groups.items():
        of_group = unread[among(unread["endpoint"], group.requests)]
        groups += _as_if_right(_ended_by(of_group, run.groups[run.groups["endpoint"] == name]), group.deadline)
    intervals = pd.concat([run.intervals, *_as_if_right(unread, scenario.deadline)])
    return replace(run, intervals=intervals, groups=pd.concat(groups))


def _ended_by(unread: pd.DataFrame, group: pd.DataFrame) -> pd.DataFrame:
    """The group's invalid cells, but in no phase more than answers that were not read there."""
    invalid = group[(group["series"] == "response") & (group["outcome"] == str(Outcome.INVALID))]
    most = invalid["phase"].map(unread.groupby("phase", observed=True)["count"].sum()).astype(float).fillna(0.0)
    before = invalid.groupby("phase", observed=True)["count"].cumsum() - invalid["count"]
    counts = (most - before).clip(lower=0.0, upper=invalid["count"]).astype(invalid["count"].dtype)
    return invalid.assign(count=counts)[counts > 0]


def _as_if_right(rows: pd.DataFrame, deadline_s: float) -> Iterator[pd.DataFrame]:
    """Cells to add to a run's, so that these answers count as correct; negative counts remove what was counted."""
    yield _changed(rows, series="response").assign(count=-rows["count"])
    yield _changed(rows, series="response", outcome=str(Outcome.OK))
    in_time = rows[rows["bucket"] <= bucket_of(round(deadline_s * 1e6))]
    yield _changed(in_time, series="good", outcome=str(Outcome.OK)).assign(bucket=0)


def _changed(rows: pd.DataFrame, **values: Any) -> pd.DataFrame:
    """The rows with these values in every row; columns keep their types, which are categories."""
    columns = {name: pd.Series(value, index=rows.index, dtype=rows[name].dtype) for name, value in values.items()}
    return rows.assign(**columns)
