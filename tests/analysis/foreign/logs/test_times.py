"""The unit of a log's times: named, recognised, or unclear and then refused with a remedy."""

from __future__ import annotations

import random

import pytest

from loadproof.analysis.foreign.logs import requestlog
from loadproof.analysis.foreign.logs.requestlog import RequestLog, read_log
from loadproof.errors import InputError

SECONDS = [number / 100 for number in range(2000)]
"""100 requests per second for 20 s."""


def logged(tmp_path, times, column: str = "seconds") -> RequestLog:
    path = tmp_path / "requests.csv"
    path.write_text("\n".join([f"{column},name,response_ms,status", *(f"{time},/pay,10,200" for time in times)]))
    return read_log(path)


def refusal(tmp_path, times, column: str = "seconds") -> str:
    with pytest.raises(InputError) as caught:
        logged(tmp_path, times, column)
    return str(caught.value)


@pytest.mark.parametrize("factor", [1, 1000, 10**6, 10**9])
@pytest.mark.parametrize("start_s", [0, 1_700_000_000])
def test_a_column_that_names_its_unit_is_read_in_it(tmp_path, factor, start_s):
    """Since the start or since 1970, without a guess and without a note."""
    column = {1: "time_s", 1000: "time_ms", 10**6: "time_us", 10**9: "time_ns"}[factor]
    log = logged(tmp_path, [start_s * factor + round(second * factor, 3) for second in SECONDS], column)
    assert (log.requests, log.traffic.measured_s, log.traffic.start_unix_s, log.notes) == (2000, 20.0, start_s, ())


@pytest.mark.parametrize("infinite", ["1e999", "-inf"])
def test_an_infinite_time_is_no_time(tmp_path, infinite):
    """However many there are, next to each other: they only cost their lines, and don't affect the unit."""
    times = [f"{1_700_000_000_000 + 10 * number}" for number in range(1000)]
    log = logged(tmp_path, [infinite, *times, *[infinite] * 1500])
    assert (log.requests, log.traffic.measured_s, log.traffic.start_unix_s) == (1000, 10.0, 1_700_000_000)


@pytest.mark.parametrize("factor", [1000, 10**6, 10**9])
@pytest.mark.parametrize("decimals", [0, 1])
def test_a_smaller_unit_since_the_start_is_unclear_and_refused(tmp_path, factor, decimals):
    """20 s in milliseconds look like six hours: any verdict would be about another load."""
    text = refusal(tmp_path, [f"{second * factor:.{decimals}f}" for second in SECONDS])
    assert "the unit of `seconds` is unclear" in text
    assert "rename that column to its unit: time_s, time_ms, time_us or time_ns" in text


@pytest.mark.parametrize(
    ("times", "column"),
    [
        (range(3000), "seconds"),
        ([number // 10 for number in range(200_000)], "seconds"),
        ([number * 10 for number in range(2000)], "time_s"),
        ([1_700_000_000 + number * 10 for number in range(2000)], "seconds"),
        (
            [f"2026-01-01T{number // 360:02d}:{number // 6 % 60:02d}:{number % 6}0Z" for number in range(2000)],
            "seconds",
        ),
        (SECONDS, "seconds"),
    ],
)
def test_long_and_sparse_logs_are_read_if_their_unit_is_known(tmp_path, times, column):
    """Under an hour, dense enough, named, since 1970, or in ISO 8601."""
    assert logged(tmp_path, times, column).requests == len(times)


@pytest.mark.slow
@pytest.mark.parametrize("every", [2, 100])
@pytest.mark.parametrize("column", ["seconds", "time_s"])
@pytest.mark.parametrize("rows_each", [1, 40])
def test_two_units_in_one_log_are_refused(tmp_path, every, column, rows_each):
    """However many requests there are, and whatever the column is called."""
    times = [second * (1000 if number % every == 0 else 1) for number, second in enumerate(SECONDS)]
    text = refusal(tmp_path, [time for time in times for _ in range(rows_each)], column)
    assert "a line's time is a thousand times that of the next, or the reverse" in text


@pytest.mark.slow
def test_lines_in_any_order_are_read_in_one_unit(tmp_path, monkeypatch):
    """Sorted by something else, or from several workers one after another, chunk by chunk."""
    monkeypatch.setattr(requestlog, "_CHUNK_ROWS", 700)
    shuffled = [number / 1000 for number in range(1, 50_001)]
    random.Random(1).shuffle(shuffled)
    assert logged(tmp_path, shuffled).requests == 50_000
    assert logged(tmp_path, [second for worker in range(8) for second in SECONDS]).requests == 16_000


def test_several_time_columns_are_refused_unless_one_is_seconds(tmp_path):
    """A log's other columns may have any name."""
    assert "several columns are times: time_s and time_ms" in refusal(tmp_path, ["1,1000"], "time_s,time_ms")
    assert logged(tmp_path, ["1,2000"], "seconds,time_ms").requests == 1
