"""Sums of cells are the same, however many blocks they are added up in."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from loadproof.analysis.frames import cellsums
from loadproof.analysis.frames.run import load_run
from loadproof.histogram import BUCKETS
from simulation.rundirs import outcomes, write_run


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    path = write_run(tmp_path_factory.mktemp("run"), outcomes_of=outcomes(timeout=0.2))
    return load_run(path).intervals


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 1000, 10**6])
def test_sums_dont_depend_on_block_size(rows, monkeypatch, size):
    """For one column, for two, for seconds, for a histogram."""
    some = rows[:50] if size == 1 else rows
    monkeypatch.setattr(cellsums, "_BLOCK_ROWS", size)
    for columns in (["series"], ["second", "outcome"]):
        expected = some.groupby(columns, observed=True)["count"].sum()
        assert cellsums.sums_by(some, *columns).to_dict() == expected.to_dict()
    expected = some.groupby(["series", "outcome"], observed=True)["count"].sum()
    assert cellsums.counts_by(some, "series", "outcome") == expected.to_dict()
    assert cellsums.series_counts(some) == some.groupby("series", observed=True)["count"].sum().to_dict()
    early = some[some["second"] < 20]
    expected = early.groupby(["second", "outcome"], observed=True)["count"].sum()
    counted = cellsums.by_second(some, "outcome", 20)
    assert counted.index.tolist() == list(range(20))
    assert {key: count for key, count in counted.stack().items() if count} == expected.to_dict()  # noqa: PD013
    chosen = some[(some["series"] == "response") & (some["outcome"] == "timeout")]
    expected = np.bincount(chosen["bucket"], weights=chosen["count"], minlength=BUCKETS)
    assert (cellsums.histogram(some, "response", "timeout") == expected).all()
    assert cellsums.histogram(some, "response").sum() == some.loc[some["series"] == "response", "count"].sum()


def test_no_rows_give_no_sums(rows):
    """Except a histogram of zeros."""
    assert cellsums.sums_by(rows[:0], "series", "outcome").empty
    assert cellsums.histogram(rows[:0], "response").tolist() == [0] * BUCKETS
    assert cellsums.counts_by(rows[:0], "series", "outcome") == cellsums.series_counts(rows[:0]) == {}
    assert cellsums.by_second(rows[:0], "series", 3).to_numpy().sum() == 0


@pytest.mark.parametrize("kind", ["category", "object"])
def test_rows_are_chosen_by_their_values(kind):
    """Whether a column is categorical or not; a row without a value never matches."""
    column = pd.Series(["a", "b", None, "a"], dtype=kind)
    assert cellsums.among(column, ("a", "c")).tolist() == [True, False, False, True]
    assert cellsums.among(column[:0], ("a",)).tolist() == []


def test_keyed_sums_cover_all_blocks(monkeypatch):
    """However often they are merged in between; keys within a part are relative to its start."""
    monkeypatch.setattr(cellsums, "_BLOCK_ROWS", 40)
    random = np.random.default_rng(1)
    keys, counts = random.integers(0, 100, 1000), random.integers(1, 5, 1000)
    sums = cellsums.KeyedSums()
    for begin in range(0, 1000, 70):
        sums.add(keys[begin : begin + 70], counts[begin : begin + 70])
    expected = np.bincount(keys, weights=counts, minlength=100)
    places, found = sums.within(3, 10)
    assert (places.tolist(), found.tolist()) == (list(range(10)), expected[30:40].tolist())
    assert [part.size for part in sums.within(10, 10)] == [0, 0]
