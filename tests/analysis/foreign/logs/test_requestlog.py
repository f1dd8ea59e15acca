"""Request logs from any tool, however long, broken or hostile."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from loadproof.analysis.estimates.metrics import counted_estimate
from loadproof.analysis.estimates.scope import Scope
from loadproof.analysis.foreign.logs import cells as logcells
from loadproof.analysis.foreign.logs import requestlog
from loadproof.analysis.foreign.logs.cells import PHASE
from loadproof.analysis.foreign.logs.requestlog import read_log
from loadproof.analysis.foreign.logs.thresholds import read_log_thresholds, verdict_on_log
from loadproof.analysis.report.log_page import log_facts, write_log_report
from loadproof.errors import InputError
from loadproof.rundir.rows import IntervalRow
from loadproof.scenario.thresholds.expectation import parse_expectation
from tests.commands import in_process

HOSTILE = "<script>alert(1)</script>"


def log_of(path, n: int = 20_000, *, seed: int = 1):
    """Ten minutes of two names; 2 % of /pay answer 500, and 1 % don't answer."""
    random = np.random.default_rng(seed)
    name = random.choice(["/balance", "/pay"], n)
    failed = random.choice([500, 0], n, p=[2 / 3, 1 / 3])
    status = np.where((name == "/pay") & (random.uniform(size=n) < 0.03), failed, 200)
    table = pd.DataFrame(
        {
            "user": "x",
            "seconds": 1_700_000_000 + random.uniform(0, 600, n),
            "name": name,
            "response_ms": 1000 * random.lognormal(np.log(np.where(name == "/pay", 0.05, 0.02)), 0.4),
            "status": status,
        }
    )
    table.to_csv(path, index=False)
    return table


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    path = tmp_path_factory.mktemp("log") / "requests.csv"
    return log_of(path), read_log(path)


@pytest.mark.slow
def test_every_request_is_counted_in_its_place(logged, monkeypatch):
    """By name and outcome, in its second, its time within the histogram's error; in one chunk or in many."""
    table, log = logged
    assert (log.requests, log.unreadable, log.traffic.start_unix_s) == (20_000, 0, 1_700_000_000)
    for name, part in table.groupby("name"):
        scope = Scope((PHASE,), (name,))
        throughput = counted_estimate(parse_expectation("throughput > 1 rps").metric, log.traffic, scope)
        assert throughput.value == pytest.approx((part["status"] > 0).sum() / log.traffic.measured_s)
        p95 = counted_estimate(parse_expectation("p(95) < 1 s").metric, log.traffic, scope)
        truth = float(np.quantile(part.loc[part["status"] == 200, "response_ms"], 0.95)) / 1000
        assert p95.value == pytest.approx(truth, rel=0.01)
        ratio = counted_estimate(parse_expectation("error_ratio < 1 %").metric, log.traffic, scope)
        assert ratio.value == pytest.approx((part["status"] != 200).mean())
    monkeypatch.setattr(requestlog, "_CHUNK_ROWS", 700)
    again = read_log(log.path)
    keys = list(IntervalRow._fields[:-1])
    sums = [run.intervals.groupby(keys, observed=True)["count"].sum() for run in (log.traffic, again.traffic)]
    pd.testing.assert_series_equal(*sums)


@pytest.mark.slow
def test_a_large_log_is_read_more_coarsely(logged, monkeypatch):
    """To less than two percent, and the report says so."""
    table, log = logged
    monkeypatch.setattr(logcells, "_MOST_FINE_CELLS", 1000)
    coarse = read_log(log.path)
    assert (log.is_coarse, coarse.is_coarse) == (False, True)
    assert "times are accurate to 1.6 %" in log_facts(coarse)
    assert coarse.traffic.intervals["bucket"].nunique() < log.traffic.intervals["bucket"].nunique() / 2
    p95 = counted_estimate(parse_expectation("p(95) < 1 s").metric, coarse.traffic, Scope((PHASE,), ("/balance",)))
    ok = table[(table["name"] == "/balance") & (table["status"] == 200)]
    assert p95.value == pytest.approx(float(np.quantile(ok["response_ms"], 0.95)) / 1000, rel=0.02)


@pytest.mark.parametrize(
    ("threshold", "word"),
    [
        ("{expect: p(95) < 500 ms}, {expect: error_ratio < 5 %}", "PASS"),
        ("{endpoint: /balance, expect: p(95) < 500 ms}", "PASS"),
        ("{endpoint: /pay, expect: p(95) < 50 ms}", "FAIL"),
        ("{endpoint: [/pay, /balance], expect: error_ratio < 5 %}", "PASS"),
        ("{endpoint: /balance, expect: p(99.99) < 500 ms}", "INCONCLUSIVE"),
        ("{endpoint: /pay, expect: error_ratio < 20 % for 60 s}", "PASS"),
        ("{expect: throughput >= 20 rps}, {expect: error_ratio < 5 %}", "PASS"),
    ],
)
def test_thresholds_are_judged(logged, tmp_path, threshold, word):
    """Like a scenario's."""
    file = tmp_path / "thresholds.yaml"
    file.write_text(f"thresholds: [{threshold}]")
    verdict = verdict_on_log(read_log_thresholds(file, logged[1]), logged[1])
    assert verdict.word == word, verdict.reason


@pytest.mark.parametrize(
    ("status", "expects", "word"),
    [
        (500, ["p(95) < 500 ms"], "INCONCLUSIVE"),
        (0, ["p(95) < 500 ms"], "INCONCLUSIVE"),
        (500, ["throughput >= 10 rps"], "INCONCLUSIVE"),
        (500, ["p(95) < 500 ms", "error_ratio < 99 %"], "PASS"),
        (429, ["p(95) < 500 ms", "error_ratio < 99 %"], "INCONCLUSIVE"),
        (429, ["error_ratio < 99 %"], "INCONCLUSIVE"),
        (429, ["p(95) < 500 ms", "throttled_ratio < 99 %"], "PASS"),
    ],
)
def test_requests_that_fail_do_not_pass_unread(tmp_path, status, expects, word):
    """Three of five got no good answer: a threshold that is met all the same needs another one that reads that."""
    path, file = tmp_path / "requests.csv", tmp_path / "thresholds.yaml"
    seconds = np.arange(0, 60, 0.01)
    statuses = np.where(np.arange(seconds.size) % 5 < 3, status, 200)
    table = {"seconds": 1_700_000_000 + seconds, "name": "/pay", "response_ms": 20, "status": statuses}
    pd.DataFrame(table).to_csv(path, index=False)
    file.write_text(yaml.safe_dump({"thresholds": [{"expect": expect} for expect in expects]}))
    log = read_log(path)
    verdict = verdict_on_log(read_log_thresholds(file, log), log)
    assert verdict.word == word
    is_unread = word == "INCONCLUSIVE"
    assert (
        "3,600 of 6,000 requests failed or were refused, and no threshold reads that" in verdict.reason
    ) is is_unread
    assert verdict.next_step.startswith("Add `expect: error_ratio < 1 %`") is is_unread


@pytest.mark.parametrize(("status", "n"), [(500, 6000), (429, 6000), (200, 20)])
def test_failures_that_no_threshold_reads_are_what_an_undecided_one_needs_first(tmp_path, status, n):
    """Not more requests: without a good answer, or with too few."""
    path, file = tmp_path / "requests.csv", tmp_path / "thresholds.yaml"
    statuses = np.where(np.arange(n) < n / 2, 500, status)
    table = {"seconds": 1_700_000_000 + np.arange(n) / 100, "name": "/pay", "response_ms": 20, "status": statuses}
    pd.DataFrame(table).to_csv(path, index=False)
    file.write_text("thresholds: [{expect: p(95) < 500 ms}]")
    log = read_log(path)
    verdict = verdict_on_log(read_log_thresholds(file, log), log)
    assert verdict.word == "INCONCLUSIVE"
    assert "requests failed or were refused, and no threshold reads that" in verdict.reason
    assert verdict.next_step.startswith("Add `expect: error_ratio < 1 %`")


@pytest.mark.parametrize(
    ("cut", "expects", "word"),
    [
        (2000, ["p(50) < 500 ms"], "INCONCLUSIVE"),
        (2000, ["throughput >= 10 rps"], "INCONCLUSIVE"),
        (2000, ["throughput >= 10 rps", "throttled_ratio < 99 %"], "INCONCLUSIVE"),
        (2000, ["p(50) < 500 ms", "error_ratio < 40 %"], "PASS"),
        (50, ["p(50) < 500 ms", "throughput >= 10 rps"], "PASS"),
    ],
)
def test_lines_that_cannot_be_read_do_not_pass_unread(tmp_path, cut, expects, word):
    """Each counts as failed: the status of some was cut off."""
    path, file = tmp_path / "requests.csv", tmp_path / "thresholds.yaml"
    statuses = [200] * 6000
    statuses[1 : 3 * cut : 3] = [5] * cut
    rows = [f"{1_700_000_000 + i / 100},/pay,20,{status}" for i, status in enumerate(statuses)]
    path.write_text("\n".join(["seconds,name,response_ms,status", *rows]) + "\n")
    file.write_text(yaml.safe_dump({"thresholds": [{"expect": expect} for expect in expects]}))
    log = read_log(path)
    assert log.unreadable == cut
    verdict = verdict_on_log(read_log_thresholds(file, log), log)
    assert verdict.word == word
    if word == "INCONCLUSIVE":
        assert (
            "2,000 of 6,000 requests failed, were refused or could not be read, and no threshold reads that"
            in verdict.reason
        )
        assert verdict.next_step.startswith("Fix what could not be read in the log")


def test_an_outage_in_a_log_is_a_fail_that_names_it(tmp_path):
    """By the log's clock, so that other logs of that time can be checked."""
    path, file = tmp_path / "requests.csv", tmp_path / "thresholds.yaml"
    seconds = np.arange(0, 60, 0.05)
    status = np.where((seconds >= 20) & (seconds < 22), 500, 200)
    table = pd.DataFrame({"seconds": 1_700_000_000 + seconds, "name": "/pay", "response_ms": 20, "status": status})
    table.to_csv(path, index=False)
    file.write_text("thresholds: [{expect: error_ratio < 1 %}]")
    log = read_log(path)
    verdict = verdict_on_log(read_log_thresholds(file, log), log)
    assert verdict.word == "FAIL"
    assert "An outage began 20 s into the run (22:13:40 UTC) and lasted 2 s: 40 of 40" in verdict.next_step


def test_thresholds_that_a_log_cant_answer_are_refused_together(logged, tmp_path):
    """And so are names that it doesn't have."""
    file = tmp_path / "thresholds.yaml"
    file.write_text(
        "thresholds: [{expect: goodput_ratio >= 99 %}, {endpoint: /bay, expect: max < 1 s},"
        " {expect: p(95) <= 1.1 * baseline}, {method: GET, expect: max < 1 s}]"
    )
    with pytest.raises(InputError) as caught:
        read_log_thresholds(file, logged[1])
    assert len(caught.value.problems) == 4


@pytest.mark.parametrize(
    ("threshold", "what"),
    [
        ("expect: error_ratio <= 0 %", "can't be met"),
        ("expect: throttled_ratio < 100 %", "can't be violated"),
        ("expect: p(95) < 2 min", "can't be violated.*times are measured up to 60 s"),
        ("expect: max < 0 ms", "can't be met"),
        ("expect: throughput < 5 rps", "an upper limit on a value that should be high"),
        ("endpoint: [], expect: max < 1 s", "an empty list"),
    ],
)
def test_a_threshold_that_decides_nothing_is_refused(logged, tmp_path, threshold, what):
    """As in a scenario."""
    file = tmp_path / "thresholds.yaml"
    file.write_text(f"thresholds: [{{{threshold}}}]")
    with pytest.raises(InputError, match=what):
        read_log_thresholds(file, logged[1])


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (None, "can't be read"),
        ("", "can't be read"),
        ("a,b\n1,2\n", "no column seconds, name, response_ms, status"),
        ("seconds,name,response_ms,status\n", "no requests"),
        ("seconds,name,response_ms,status\nx,y,z,w\n", "not its only line can be read, got 'x,y,z,w'"),
        ("seconds,name,response_ms,status\n1,GET /a, b,5,200\n" * 2, "not one of its 3 lines can be read"),
        ("seconds,name,response_ms,status\n1,a,5,OK\n2,a,5,OK\n", "no status in it is a number, got 'OK'"),
        ("seconds,name,response_ms,status\n0,a,5,200\n1750000000032,a,5,200\n" * 9, "not|year"),
        ("seconds,name,response_ms,status\n1,a,5,200\n4000000000,a,5,200\n", "more than a year"),
    ],
)
def test_a_file_that_is_no_log_is_refused(tmp_path, text, what):
    """In one line."""
    path = tmp_path / "requests.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=what):
        read_log(path)


def test_broken_lines_only_cost_themselves(tmp_path):
    """And are counted."""
    path = tmp_path / "requests.csv"
    path.write_bytes(
        b"seconds,name,response_ms,status\n1.5,a,10,200\n2.5,a,nan,200\nwhen,a,10,200\n3.5,,10,200\n"
        b"4.5,\xff\xfe,10,\n5.5,a,-1,200\n7.5,a,10,429\n7.5,a,10\n7.5,a,b,10,429\n7.5,a,inf,200\n"
    )
    log = read_log(path)
    assert (log.requests, log.unreadable) == (7, 3)
    assert set(log.traffic.intervals["outcome"]) == {"ok", "connection", "throttled"}
    assert "3 lines left out" in log_facts(log)
    assert "3 requests have no time that can be read" in log_facts(log)


MS = 1_750_000_000_000
WRITTEN = {
    "seconds": [1_750_000_000.25, 1_750_000_002.5],
    "milliseconds": [MS + 250, MS + 2500],
    "microseconds": [MS * 1000 + 250_000, MS * 1000 + 2_500_000],
    "ISO 8601": ["2025-06-15T15:06:40.250Z", "2025-06-15T17:06:42.500+02:00"],
}
WITH_COMMA = ['"2025-06-15 15:06:40,250"', '"2025-06-15 15:06:42,500"']
"""As Python's logging writes them."""


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r\r\n", "\r"])
@pytest.mark.parametrize("unit", WRITTEN)
def test_times_are_read_in_their_own_unit(tmp_path, unit, ending):
    """It is reported unless it is seconds; whatever ends the lines."""
    path = tmp_path / "requests.csv"
    lines = ["response_ms,status,seconds,name", *(f"5,200,{at},a" for at in WRITTEN[unit]), ""]
    path.write_bytes(ending.join(lines).encode())
    log = read_log(path)
    assert (log.requests, log.unreadable, log.traffic.start_unix_s, log.traffic.measured_s) == (2, 0, 1_750_000_000, 3)
    assert (f"`seconds` was read as {unit}" in log_facts(log)) == (unit != "seconds")


def test_a_comma_before_the_fraction_of_a_second_is_iso_8601_too(tmp_path):
    path = tmp_path / "requests.csv"
    path.write_text("\n".join(["response_ms,status,seconds,name", *(f"5,200,{at},a" for at in WITH_COMMA), ""]))
    assert (read_log(path).traffic.start_unix_s, read_log(path).traffic.measured_s) == (1_750_000_000, 3)


@pytest.mark.parametrize(
    ("content", "remedy"),
    [
        (
            gzip.compress(b"seconds,name,response_ms,status\n1,a,5,200\n", mtime=0),
            "it is compressed (gzip): unpack it first",
        ),
        (b"seconds;name;response_ms;status\n1;a;5;200\n", "divide its columns by commas instead of ';'"),
        (b"seconds\tname\tresponse_ms\tstatus\n1\ta\t5\t200\n", "divide its columns by commas"),
        (b"Seconds, Name, Response_ms, Status\n1,a,5,200\n", "in lower case and without spaces around them"),
        (b"time,path\n1,a\n", "name the columns seconds, name, response_ms, status in its first line"),
    ],
)
def test_other_files_get_a_fitting_remedy(tmp_path, content, remedy):
    """By what they look like."""
    path = tmp_path / "requests.csv"
    path.write_bytes(content)
    with pytest.raises(InputError) as refused:
        read_log(path)
    (problem,) = refused.value.problems
    assert remedy in problem.remedy


def log_of_times(tmp_path, first: float, step: float, *, requests: int = 600):
    """A log whose response times repeat ten steps from `first`."""
    path = tmp_path / "requests.csv"
    rows = [f"{number // 10},a,{first + step * (number % 10):.4g},200" for number in range(requests)]
    path.write_text("\n".join(["seconds,name,response_ms,status", *rows, ""]))
    return path


@pytest.mark.parametrize(
    ("first", "step", "unit", "is_told"),
    [
        (20, 1, None, False),
        (0.02, 0.001, None, True),
        (0.8, 0.1, None, True),
        (0.8, 0.1, "ms", False),
        (0.8, 0.1, "s", False),
        # A log in seconds has fractions of them.
        (1, 1, None, False),
    ],
)
def test_a_log_that_may_be_in_seconds_says_so_unless_its_unit_is_given(tmp_path, first, step, unit, is_told):
    """As nginx writes them: read as milliseconds they would keep every limit."""
    log = read_log(log_of_times(tmp_path, first, step), unit)
    assert log.may_be_seconds is is_told
    assert ("with `--response-unit s` or `--response-unit ms`" in log_facts(log)) is is_told


@pytest.mark.parametrize(
    ("unit", "expect", "word"),
    [
        (None, "p(95) < 200 ms", "INCONCLUSIVE"),
        (None, "p(95) < 0.1 ms", "FAIL"),
        (None, "p(95) < 10 s", "PASS"),
        (None, "error_ratio < 1 %", "PASS"),
        ("ms", "p(95) < 200 ms", "PASS"),
        ("s", "p(95) < 200 ms", "FAIL"),
        ("us", "p(95) < 0.1 ms", "PASS"),
    ],
)
def test_a_limit_that_would_be_kept_only_in_milliseconds_is_undecided(tmp_path, unit, expect, word):
    """Times of 0.8 to 1.7 seconds in a column that is to have milliseconds."""
    log = read_log(log_of_times(tmp_path, 0.8, 0.1), unit)
    thresholds = tmp_path / "thresholds.yaml"
    thresholds.write_text(json.dumps({"thresholds": [{"expect": expect}]}))
    verdict = verdict_on_log(read_log_thresholds(thresholds, log), log)
    assert (verdict.word, "--response-unit" in verdict.next_step) == (word, word == "INCONCLUSIVE")


def test_texts_as_status_count_as_no_answer(tmp_path):
    """As JMeter writes for requests without an answer; a status with its phrase is a status."""
    path = tmp_path / "requests.csv"
    path.write_text(
        "seconds,name,response_ms,status\n1,a,5,200 OK\n1,a,5,Non HTTP response code: java.net.X\n1,a,5,503\n"
    )
    log = read_log(path)
    assert set(log.traffic.intervals["outcome"]) == {"ok", "connection", "server_error"}
    assert "1 status is a text" in log_facts(log)


@pytest.mark.parametrize("name", ["", "NA", "null", "nan", "None", "N/A", "-", "0", "True", "x\0y"])
def test_no_name_is_left_out(tmp_path, name):
    """Not even one that other programs take for a missing value."""
    path = tmp_path / "requests.csv"
    path.write_text(f"seconds,name,response_ms,status\n1,{name},5,500\n2,x,5,200\n")
    log = read_log(path)
    assert (log.requests, log.unreadable, set(log.written)) == (2, 0, {name, "x"})
    file = tmp_path / "thresholds.yaml"
    file.write_text(json.dumps({"thresholds": [{"endpoint": name, "expect": "error_ratio < 1 %"}]}))
    assert verdict_on_log(read_log_thresholds(file, log), log).judgements[0].estimate.value == 1.0


def test_a_quote_that_is_never_closed_only_costs_its_own_line(tmp_path):
    """In the first line or the last, and it never crashes the program."""
    path = tmp_path / "requests.csv"
    good = '1,"a, ""b""",5,200\n2,a,5,500\n'
    for text in (f'0,"a,5,200\n{good}', f'{good}3,"a,5,200\n', f'1,a"b,5,200\n{good}3,"a\n', f'{good}"'):
        path.write_text(f"seconds,name,response_ms,status\n{text}")
        log = read_log(path)
        assert (log.requests, log.unreadable) == (2 + ('a"b' in text), 1)
        assert {'a, "b"', "a"} <= set(log.written)


def test_names_stay_distinct_byte_for_byte(tmp_path):
    """Two in a code page other than UTF-8, and the one that fails is found by its own name."""
    path, file = tmp_path / "requests.csv", tmp_path / "thresholds.yaml"
    path.write_bytes("seconds,name,response_ms,status\n1,/查询,5,200\n2,/付款,5,500\n".encode("gbk"))
    log = read_log(path)
    assert set(log.written) == {"/查询", "/付款"}
    assert "are shown as if written in" in log_facts(log)
    file.write_text("thresholds: [{endpoint: /付款, expect: error_ratio < 1 %}]", encoding="utf-8")
    assert verdict_on_log(read_log_thresholds(file, log), log).judgements[0].estimate.value == 1.0


@pytest.mark.parametrize("expect", ["error_ratio < 5 %", "p(95) < 500 ms", "max < 500 ms"])
def test_lines_left_out_dont_hide_a_failure(tmp_path, expect):
    """Many tools write no time if there was no answer."""
    path, file = tmp_path / "requests.csv", tmp_path / "thresholds.yaml"
    lines = [f"{number},a,5,200" if number % 10 else f"{number},a,,timeout" for number in range(2000)]
    path.write_text("\n".join(["seconds,name,response_ms,status", *lines]))
    file.write_text(f"thresholds: [{{expect: {expect}}}]")
    log = read_log(path)
    verdict = verdict_on_log(read_log_thresholds(file, log), log)
    assert verdict.word == "INCONCLUSIVE"
    assert "200 lines could not be read" in verdict.reason


ROW = b"7,/x,1,200\n"
_PIECES = [
    b"\n",
    b"\r",
    b'"',
    b",",
    b"/x",
    b"\xb1",
    b"\0",
    b"nan",
    b"7",
    b"1e999",
    b"9" * 400,
    b"True",
    b"2026-01-01",
    ROW,
    b"\xff\xfe",
]


@pytest.mark.slow
@given(st.lists(st.sampled_from(_PIECES), max_size=30), st.booleans())
def test_whatever_bytes_a_log_has_it_gives_requests_or_a_reason(tmp_path_factory, pieces, headed):
    """Never another exception, and never 'no request' for a log with requests."""
    path = tmp_path_factory.mktemp("any") / "requests.csv"
    path.write_bytes((b"seconds,name,response_ms,status\n" if headed else b"") + b"".join(pieces))
    try:
        log = read_log(path)
    except InputError as error:
        assert str(path) in str(error)
        assert "no requests" not in str(error) or not b"".join(pieces).strip(b"\r\n")
        return
    assert log.requests == log.traffic.intervals.loc[log.traffic.intervals["series"] == "completed", "count"].sum() > 0
    assert log.requests >= path.read_bytes().splitlines(keepends=True).count(ROW)


@pytest.mark.parametrize("column", range(4))
def test_numbers_with_hundreds_of_digits_are_invalid(tmp_path, column):
    """They only cost their line, whether as a status, a time or a name."""
    cells = ["2", "a", "5", "200"]
    cells[column] = "9" * 400
    path = tmp_path / "requests.csv"
    path.write_text(f"seconds,name,response_ms,status\n1,a,5,200\n{','.join(cells)}\n")
    assert read_log(path).requests == (1 if column == 0 else 2)


@pytest.mark.slow
def test_hostile_names_are_text(tmp_path):
    """On the page and in every other file."""
    path = tmp_path / "requests.csv"
    path.write_text(f"seconds,name,response_ms,status\n1,{HOSTILE},5,200\n2,{HOSTILE},5,500\n")
    log = read_log(path)
    page = write_log_report(log, None, tmp_path / "out").read_text(encoding="utf-8")
    assert HOSTILE not in page
    assert "&lt;script&gt;alert(1)" in page


@pytest.mark.slow
def test_the_command_reports_and_judges(logged, tmp_path):
    """Page, verdict, summary, JUnit; the exit code is the verdict's."""
    file = tmp_path / "thresholds.yaml"
    file.write_text("thresholds: [{endpoint: /pay, expect: p(95) < 50 ms}]")
    path = logged[1].path
    done = in_process("report", "--log", path, "--thresholds", file, "--out", tmp_path / "out")
    assert done.returncode == 1, done.stderr
    assert json.loads((tmp_path / "out/requests_verdict.json").read_text())["verdict"] == "FAIL"
    assert {one.name for one in (tmp_path / "out").iterdir()} == {
        "requests_report.html",
        "requests_verdict.json",
        "requests_summary.md",
        "requests_junit.xml",
    }


@pytest.mark.slow
def test_without_thresholds_there_is_no_verdict(logged, tmp_path):
    """Only facts, and no word."""
    done = in_process("report", "--log", logged[1].path, "--out", tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert "20,000 requests" in done.stdout
    assert {one.name for one in (tmp_path / "out").iterdir()} == {"requests_report.html", "requests_verdict.json"}


def test_a_log_and_something_else_are_refused(logged):
    """There has to be exactly one source."""
    path = logged[1].path
    for source in ([], [path, "--log", path]):
        done = in_process("report", *source)
        assert (done.returncode, "exactly one of RUN, PREFIX and --log" in done.stderr) == (2, True), done.stderr
