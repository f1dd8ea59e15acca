"""Rows of a file: which user gets which row, with any number of workers, and how errors in the file are reported."""

from __future__ import annotations

import contextlib
import copy
import itertools
from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import unpatched  # noqa: F401  # isort: skip

from locust.exception import StopUser

from loadproof.errors import InputError
from loadproof.plan.clients import make_client
from loadproof.scenario.traffic.feeder import Feeder, read_rows
from loadproof.users.feeders import Feed

ROWS = tuple({"id": number} for number in range(10))


def feeds(workers: int, rows=ROWS, **feeder: str) -> list[Feed]:
    """One feed per worker."""
    model = Feeder.model_validate({"file": "rows.csv"} | feeder)
    return [Feed(rows, model, seed="1/rows", rank=rank, workers=workers) for rank in range(workers)]


def take(feed: Feed, index: int = 0) -> int:
    return feed.take(make_client(index, seed=1, by_address=False), Random(index))["id"]


def until_stopped(feed: Feed) -> list[int]:
    taken: list[int] = []
    with contextlib.suppress(StopUser):
        for _ in range(1000):
            taken.append(take(feed))  # noqa: PERF401 - what came before the stop is wanted
    assert len(taken) < 1000
    return taken


@given(rows=st.integers(1, 40), workers=st.integers(1, 5), order=st.sampled_from(["sequential", "shuffled"]))
def test_each_row_is_handed_out_once(rows, workers, order):
    """Even if a worker dies; after the last row, users are stopped."""
    table = tuple({"id": number} for number in range(rows))
    taken = [until_stopped(feed) for feed in feeds(workers, table, order=order, at_end="stop")]
    assert sorted(itertools.chain.from_iterable(taken)) == list(range(rows))


@given(rows=st.integers(1, 40), workers=st.integers(1, 5))
def test_a_file_that_starts_over_hands_out_all_rows_equally_often(rows, workers):
    """Across all workers, as long as they take equally many."""
    table = tuple({"id": number} for number in range(rows))
    each = feeds(workers, table)
    counts = Counter(take(feed) for _ in range(3 * rows) for feed in each)
    assert set(counts.values()) == {3 * workers}


def test_rows_come_in_the_requested_order():
    """The shuffled order is the same for the same seed, and another for another feeder."""
    (sequential,), (shuffled,), (again,) = feeds(1), feeds(1, order="shuffled"), feeds(1, order="shuffled")
    assert [take(sequential) for _ in ROWS] == list(range(10))
    order = [take(shuffled) for _ in ROWS]
    assert order == [take(again) for _ in ROWS] != list(range(10))
    assert sorted(order) == list(range(10))
    other = Feed(ROWS, Feeder(file="rows.csv", order="shuffled"), seed="1/other", rank=0, workers=1)
    assert [take(other) for _ in ROWS] != order


def test_random_rows_are_drawn_by_the_users_own_generator():
    """With the same choices in every run."""
    (feed,) = feeds(1, order="random")
    assert [take(feed, index) for index in range(20)] == [Random(index).choice(ROWS)["id"] for index in range(20)]


def test_a_unique_row_belongs_to_its_client_on_any_worker():
    """It is always the same; clients without a row are stopped."""
    for feed in feeds(3, order="unique"):
        assert [take(feed, index) for index in (0, 3, 9, 3)] == [0, 3, 9, 3]
        with pytest.raises(StopUser):
            take(feed, 10)


def test_csv_and_json_lines_are_read(tmp_path):
    """With a byte order mark, quotes and empty lines; a JSON value stays what it is."""
    (tmp_path / "a.csv").write_bytes('\ufeffuser,city\r\n"a, b",Zürich\r\nc,\r\n'.encode())
    assert read_rows(tmp_path / "a.csv") == ({"user": "a, b", "city": "Zürich"}, {"user": "c", "city": ""})
    (tmp_path / "b.jsonl").write_text('{"a": 1, "b": [true]}\n\n{"a": null}\n')
    assert read_rows(tmp_path / "b.jsonl") == ({"a": 1, "b": [True]}, {"a": None})


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("gone.csv", None, "gone.csv: can't be read: "),
        ("empty.csv", b"", "has no rows; add some"),
        ("head.csv", b"a,b\n", "has no rows; add some"),
        ("few.csv", b"a,b\n1,2\n3\n", "few.csv:3: not 2 fields, as the header has"),
        ("many.csv", b"a,b\n1,2,3\n", "many.csv:2: not 2 fields"),
        ("twice.csv", b"a,a\n1,2\n", "columns without a name of their own, got 'a, a'"),
        ("code.csv", b"a\n\xff\xfe\n", "can't be read: 'utf-8' codec"),
        ("quote.csv", b'a\n"b\n', "can't be read: "),
        ("list.jsonl", b'{"a": 1}\n[1]\n', "list.jsonl:2: not a JSON object, got '[1]'"),
        ("cut.jsonl", b'{"a": 1\n', "cut.jsonl:1: not a JSON object"),
    ],
)
def test_errors_in_a_file_are_reported_with_their_line(tmp_path, name, content, told):
    """Before anything is sent."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as error:
        read_rows(tmp_path / name)
    assert told in str(error.value)


@pytest.mark.parametrize("rows", [({"user": "ada", "password": "x"},), ({"user": "ada", "cart": {"items": [1]}},)])
def test_changes_to_a_row_affect_only_its_user(rows):
    """The next user gets the row as it is in the file."""
    (feed,), in_file = feeds(1, rows), copy.deepcopy(rows[0])
    for _ in range(2):
        row = feed.take(make_client(0, seed=1, by_address=False), Random(0))
        assert row == in_file
        row["user"] = "grace"
        row.pop("password", None)
        row.get("cart", {"items": []})["items"].append(2)
