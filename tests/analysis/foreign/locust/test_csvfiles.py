"""Locust's CSVs as they occur: from all versions, cut, torn, mixed up, and not Locust's at all."""

from __future__ import annotations

import math
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadproof.analysis.foreign.locust.csvfiles import load_locust_run
from loadproof.analysis.foreign.locust.entries import rounded
from loadproof.errors import InputError
from simulation.locustcsvs import (
    EXCEPTIONS,
    FAILURES,
    HISTORY,
    STATS,
    csv_text,
    stats_row,
    total_row,
    write,
    write_history,
    write_stats,
)
from tests.commands import ROOT

HEADERS = {
    "stats": csv_text(STATS, []).encode(),
    "stats_history": csv_text(HISTORY, []).encode(),
    "failures": csv_text(FAILURES, []).encode(),
    "exceptions": csv_text(EXCEPTIONS, []).encode(),
}
ROW = b"GET,/x,1000,7," + b"1," * 17 + b"1\n"
CAPTURES = ROOT / "tests/captures"
NAMES = ["/nowhere", 'balance, "the 1st"', "health\n<b>été</b> 健康"]


def refusal(prefix) -> str:
    with pytest.raises(InputError) as caught:
        load_locust_run(prefix)
    return str(caught.value)


@pytest.mark.parametrize("version", ["1.0.3-names", "2.47-names"])
def test_names_with_commas_quotes_and_newlines_are_read_correctly(version):
    """From Locust 1.0, which doesn't escape them, as from current versions."""
    run = load_locust_run(CAPTURES / version / "run")
    assert sorted(entry.name for entry in run.entries) == NAMES
    assert {failure.name for failure in run.failures} == set(NAMES[:2])
    assert run.total.requests == sum(entry.requests for entry in run.entries)
    assert not any("unreadable" in one for one in run.damage)


@pytest.mark.parametrize(
    ("version", "full_history", "cumulative"),
    [
        ("1.0.3", True, False),
        ("1.0.3-names", False, False),
        ("2.2.3", False, True),
        ("2.47-ramp", True, False),
        ("2.47-ramp-brief", False, True),
    ],
)
def test_what_the_historys_percentiles_cover_is_read_from_the_files(version, full_history, cumulative):
    """Versions differ: Locust 1.0 always writes those of the last ten seconds, later ones only with full history."""
    run = load_locust_run(CAPTURES / version / "run")
    assert (run.full_history, run.cumulative) == (full_history, cumulative)


@pytest.mark.parametrize(
    ("value_ms", "low_ms", "high_ms"),
    [(0, 0, 0.5), (26, 25.5, 26.5), (100, 99.5, 105), (110, 105, 115), (1000, 995, 1050), (10_000, 9950, 10_500)],
)
def test_rounding_is_like_locusts(value_ms, low_ms, high_ms):
    """Two digits, whole milliseconds below 100."""
    estimate = rounded(value_ms, 1)
    assert (estimate.low, estimate.high) == pytest.approx((low_ms / 1000, high_ms / 1000))


@given(st.floats(min_value=0, max_value=100_000))
def test_a_time_lies_in_the_interval_of_its_rounded_value(time_ms):
    """Rounded by a copy of Locust's rule. Source: locust/stats.py 2.47, bucket_response_time."""
    digits = 0 if time_ms < 100 else -1 if time_ms < 1000 else -2 if time_ms < 10_000 else -3
    estimate = rounded(round(time_ms, digits), 1)
    assert estimate.low - 1e-9 <= time_ms / 1000 <= estimate.high + 1e-9
    assert estimate.high - estimate.value <= max(0.0005, 0.05 * estimate.value) + 1e-9


@pytest.mark.parametrize("name", ["stats", "stats_history", "failures", "exceptions"])
def test_one_of_the_four_files_is_enough(tmp_path, name):
    """The others are reported as missing."""
    shutil.copy(CAPTURES / "2.15.1-all-failed" / f"run_{name}.csv", tmp_path)
    if name == "exceptions":
        write(tmp_path / "run", name, EXCEPTIONS, [[3, "boom", "", "local"]])
    run = load_locust_run(tmp_path / "run")
    assert sum("there is no" in one for one in run.damage) == 3
    assert (run.total is None) == (name in {"failures", "exceptions"})


def test_totals_come_from_the_history_if_there_is_no_other_file(tmp_path):
    """With percentiles only if those cover the whole run."""
    for version, quantiles in (("2.47-ramp-brief", 11), ("2.47-ramp", 0)):
        shutil.copy(CAPTURES / version / "run_stats_history.csv", tmp_path)
        run = load_locust_run(tmp_path / "run")
        assert run.total.requests == run.history["requests"].iloc[-1]
        assert len(run.total.quantiles) == len(run.percentiles) == quantiles
        assert "the totals are those of the history's last row" in run.damage


def test_no_files_at_all_give_one_clear_error(tmp_path):
    """With the names that were looked for."""
    text = refusal(tmp_path / "nothing")
    assert "none of nothing_stats.csv, nothing_stats_history.csv" in text
    assert "the prefix that Locust's --csv was given" in text


@pytest.mark.parametrize(
    "content",
    [
        b"a,b,c\n1,2,3\n",
        b"\x00\xff\xfe" * 50,
        b"Type;Name;Request Count\n",
        b"\n\n",
        b"GET,/x,1,2\n",
        b"<!doctype html>",
    ],
)
def test_a_file_that_is_not_locusts_is_named_with_what_was_found(tmp_path, content):
    """Its content is not guessed at."""
    (tmp_path / "run_stats.csv").write_bytes(content)
    text = refusal(tmp_path / "run")
    assert "run_stats.csv: not a stats file of Locust 1.0 or later" in text
    assert "got '" in text


def test_the_wrong_one_of_the_four_is_refused(tmp_path):
    """A history under the totals' name."""
    shutil.copy(CAPTURES / "2.47-ramp" / "run_stats_history.csv", tmp_path / "run_stats.csv")
    assert "not a stats file" in refusal(tmp_path / "run")


def test_a_directory_in_place_of_a_file_is_refused(tmp_path):
    """Without a traceback."""
    (tmp_path / "run_stats.csv").mkdir()
    assert "can't be read" in refusal(tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("version", ["1.0.3-names", "2.47-names"])
@pytest.mark.parametrize("name", ["stats", "stats_history", "failures"])
def test_a_file_cut_anywhere_is_read_to_its_last_complete_line(tmp_path, version, name):
    """Each number that is read had been written."""
    for file in (CAPTURES / version).glob("run_*.csv"):
        shutil.copy(file, tmp_path)
    path = tmp_path / f"run_{name}.csv"
    whole = path.read_bytes()
    truth = load_locust_run(tmp_path / "run")
    known = {(entry.name, entry.requests, entry.failures) for entry in truth.entries}
    for end in range(0, len(whole), 13 if name == "stats" else 101):
        path.write_bytes(whole[:end])
        run = load_locust_run(tmp_path / "run")
        if name == "stats":
            assert {(entry.name, entry.requests, entry.failures) for entry in run.entries} <= known or run.damage
        assert set(run.history["requests"]) <= set(truth.history["requests"])
        assert end == len(whole) or run.damage or version.startswith("1.0") or run.failures != truth.failures


@pytest.mark.slow
@given(st.binary(max_size=400), st.integers(0, 2000))
def test_garbage_in_the_middle_only_costs_lines(tmp_path_factory, garbage, at):
    """No exception, and only finite numbers."""
    directory = tmp_path_factory.mktemp("torn")
    for name in ("stats", "stats_history"):
        content = (CAPTURES / "2.47-names" / f"run_{name}.csv").read_bytes()
        place = content.index(b"\n") + 1 + at % 600
        (directory / f"run_{name}.csv").write_bytes(content[:place] + garbage + content[place:])
    run = load_locust_run(directory / "run")
    for entry in run.entries:
        assert 0 <= entry.failures <= entry.requests
        assert all(math.isfinite(estimate.high) for estimate in entry.quantiles.values())


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r\r\n", "\r", "\n\n\r", "\r\n\r\n\n"])
@pytest.mark.parametrize("version", ["1.0.3", "1.0.3-names", "2.47-names", "2.47-ramp"])
def test_lines_may_end_in_any_way(tmp_path, version, ending):
    """Locust on Windows writes CR CR LF; what an editor or a transfer turns that into is fine, too."""
    truth = load_locust_run(CAPTURES / version / "run")
    for path in (CAPTURES / version).glob("run_*.csv"):
        # A name with a line break in it keeps that one.
        text = path.read_bytes().decode().replace("\r\n", "\n").replace("health\n<b>", "health\0<b>")
        text = text.replace("\n", ending).replace("\0", "\n")
        (tmp_path / path.name).write_bytes(text.encode())
    run = load_locust_run(tmp_path / "run")
    assert (run.entries, run.total, run.failures, run.exceptions) == (
        truth.entries,
        truth.total,
        truth.failures,
        truth.exceptions,
    )
    assert run.history.equals(truth.history)
    assert run.damage == truth.damage


@pytest.mark.parametrize("name", ["", "NA", "null", "nan", "None", "N/A", "-", "0", "Aggregated"])
def test_no_name_is_left_out(tmp_path, name):
    """Not even one that other programs take for a missing value."""
    rows = [stats_row(name, failures=900), stats_row("/b"), total_row(2000)]
    run = load_locust_run(write_stats(tmp_path / "run", rows))
    assert [(entry.name, entry.failures) for entry in run.entries] == [(name, 900), ("/b", 0)]


def test_a_quote_that_is_never_closed_only_costs_its_own_line(tmp_path):
    """Not the failing endpoint after it; and the total row shows what is missing."""
    total = total_row(2100, failures=900)
    prefix = write_stats(
        tmp_path / "run", [stats_row("/a"), stats_row("Q", requests=100), stats_row("/b", failures=900), total]
    )
    path = tmp_path / "run_stats.csv"
    path.write_bytes(path.read_bytes().replace(b"GET,Q,", b'GET,"Q,'))
    run = load_locust_run(prefix)
    assert [(entry.name, entry.failures) for entry in run.entries] == [("/a", 0), ("/b", 900)]
    assert "the stats file: 1 unreadable line was left out" in run.damage
    assert any("100 requests and 0 failures more than the rows of each" in one for one in run.damage)


@pytest.mark.parametrize("content", [b"?", b"GET,/x,many,0\n", b'GET,"/x,1,0\n', b"x\n" * 50, b"N/A," * 21 + b"N/A\n"])
@pytest.mark.parametrize("name", ["stats", "stats_history"])
def test_a_file_without_a_readable_row_is_refused(tmp_path, name, content):
    """'Nothing readable' is different from 'nothing there'."""
    header = STATS if name == "stats" else HISTORY
    (tmp_path / f"run_{name}.csv").write_bytes(",".join(header).encode() + b"\n" + content)
    text = refusal(tmp_path / "run")
    assert "can be read as" in text or "ends within its first row" in text


def test_headers_alone_are_refused(tmp_path):
    """Locust had not written anything yet, and a report would say that there was nothing."""
    assert "it has no row" in refusal(write_stats(tmp_path / "run", []))
    (tmp_path / "run_stats.csv").write_bytes(b"")
    assert "each file is empty" in refusal(tmp_path / "run")


@pytest.mark.slow
@given(
    st.lists(
        st.sampled_from([b"\n", b"\r", b'"', b",", b"GET", b"/x", b"\xb1\xa8", b"\x00", b"N/A", b"7", ROW, b"\xff\xfe"])
    ),
    st.sampled_from(["stats", "stats_history", "failures", "exceptions"]),
    st.booleans(),
)
def test_whatever_bytes_a_file_has_it_gives_rows_or_a_reason(tmp_path_factory, pieces, name, headed):
    """Never another exception, and never a run without requests for a file that has rows."""
    directory = tmp_path_factory.mktemp("any")
    path = directory / f"run_{name}.csv"
    path.write_bytes((HEADERS[name] if headed else b"") + b"".join(pieces))
    try:
        run = load_locust_run(directory / "run")
    except InputError as error:
        assert str(path) in str(error) or "each file is empty" in str(error)
        return
    assert run.entries or run.total or run.failures or run.exceptions or len(run.history)
    if name == "stats" and ROW in path.read_bytes().splitlines(keepends=True):
        assert run.total.requests >= 1000


@pytest.mark.slow
@given(
    st.lists(
        st.binary(min_size=1, max_size=6).filter(lambda name: not set(name) & set(b'",\r\n')), min_size=1, unique=True
    )
)
def test_names_stay_distinct_byte_for_byte(tmp_path_factory, names):
    """As many endpoints as there were, each with its own failures, whatever the code page."""
    directory = tmp_path_factory.mktemp("pages")
    rows = [ROW.replace(b"/x,1000,7", b"/%b,1000,%d" % (name, number)) for number, name in enumerate(names)]
    (directory / "run_stats.csv").write_bytes(HEADERS["stats"] + b"".join(rows))
    run = load_locust_run(directory / "run")
    assert [entry.failures for entry in run.entries] == list(range(len(names)))
    assert len({entry.name for entry in run.entries}) == len(names)
    assert all(entry.name.encode() for entry in run.entries)


def test_na_cells_and_odd_numbers_count_as_missing(tmp_path):
    """N/A, infinities, negative and absurd numbers."""
    odd = stats_row("/odd")
    odd[5], odd[7], odd[9], odd[-1] = "inf", "-3", "1e300", "nan"
    run = load_locust_run(write_stats(tmp_path / "run", [stats_row("/none", requests=0), odd]))
    none, odd = run.entries
    assert (none.requests, none.mean, none.quantiles) == (0, None, {})
    assert (odd.mean, odd.maximum, odd.throughput) == (None, None, None)
    assert 1.0 not in odd.quantiles


def test_custom_percentile_columns_are_read(tmp_path):
    """Locust lets users choose them."""
    header = [*STATS[:11], "42%", "97.5%"]
    row = [*stats_row("/x")[:11], 10, 90]
    run = load_locust_run(write(tmp_path / "run", "stats", header, [row]))
    assert run.percentiles == (0.42, 0.975)
    assert run.entries[0].quantiles[0.975].value == 0.09


def test_a_missing_aggregated_row_is_added_up(tmp_path):
    """Counts, means and rates are; percentiles can't be."""
    rows = [stats_row("/a", requests=100, failures=10), stats_row("/b", requests=300, p95_ms=80)]
    total = load_locust_run(write_stats(tmp_path / "run", rows)).total
    assert (total.requests, total.failures, total.quantiles) == (400, 10, {})
    assert total.mean.value == pytest.approx((100 * 20.25 + 300 * 40.25) / 400 / 1000)
    assert total.maximum.value == 0.16
    assert "without percentiles" in load_locust_run(tmp_path / "run").damage[-1]


@pytest.mark.parametrize("name", ["stats", "failures", "exceptions"])
def test_several_runs_in_one_file_of_totals_are_refused(tmp_path, name):
    """It is unclear which of an endpoint's two rows counts, and whether failures add up."""
    write_stats(tmp_path / "run", [stats_row("/a"), total_row()])
    path = tmp_path / f"run_{name}.csv"
    rows = {"stats": ROW, "failures": b"GET,/a,no,3\r\n", "exceptions": b"3,no,Traceback,n\r\n"}[name]
    path.write_bytes((HEADERS[name] + rows) * 2)
    assert f"{path}: several runs in one file: its first line appears again" in refusal(tmp_path / "run")


def test_several_runs_in_one_history_are_separated_with_or_without_headers(tmp_path):
    """By their counters; a header is neither a lost line nor an endpoint."""
    for name, start_s in (("first", 0.0), ("second", 4000.0)):
        write_history(tmp_path / name, users=lambda _: 10, rate_rps=lambda _: 10, seconds=30)
        text = (tmp_path / f"{name}_stats_history.csv").read_text()
        later = text.replace("17954136", f"{int(17954136 + start_s)}")
        with (tmp_path / "run_stats_history.csv").open("a", newline="") as file:
            file.write(later)
    run = load_locust_run(tmp_path / "run")
    assert any("the history holds 2 runs" in one for one in run.damage)
    assert not any("unreadable" in one for one in run.damage)
    assert not run.full_history


def test_an_empty_run_is_a_run(tmp_path):
    """Files with only a header, or without even that."""
    write(tmp_path / "run", "stats", STATS, [total_row(0)])
    write(tmp_path / "run", "stats_history", HISTORY, [])
    (tmp_path / "run_failures.csv").write_text("")
    run = load_locust_run(tmp_path / "run")
    assert (run.entries, run.total.requests, len(run.history)) == ((), 0, 0)
    assert "the failures file is empty" in run.damage


def test_percentiles_that_are_all_zero_are_not_times(tmp_path):
    """Nothing ended in those ten seconds."""
    prefix = write_history(tmp_path / "run", users=lambda _: 5, rate_rps=lambda s: 50 if s < 20 else 0, seconds=40)
    path = tmp_path / "run_stats_history.csv"
    lines = path.read_text().splitlines()
    lines[-1] = ",".join([*lines[-1].split(",")[:6], *["0"] * 11, *lines[-1].split(",")[17:]])
    path.write_text("\n".join(lines) + "\n")
    assert math.isnan(load_locust_run(prefix).history[0.95].iloc[-1])
