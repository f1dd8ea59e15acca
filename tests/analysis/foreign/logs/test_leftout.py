"""Request logs with unreadable or incomplete lines: never a PASS, nor a FAIL, that these could change."""

from __future__ import annotations

import json

import pytest

from loadproof.analysis.foreign.logs.requestlog import read_log
from loadproof.analysis.foreign.logs.thresholds import read_log_thresholds, verdict_on_log
from loadproof.analysis.report.log_page import log_facts, write_log_report
from loadproof.errors import InputError

HEAD = "seconds,name,response_ms,status"


def log_of(tmp_path, bad: str, *, bads: int, good: int = 10_000, name: str = "/pay", end: str = ""):
    """Good requests of /pay with bad lines spread evenly among them; `{}` is the second."""
    every = good // bads if bads else good + 1
    lines = [HEAD]
    for number in range(good):
        lines.append(f"{number * 600 // good},/pay,20.5,200")
        if number % every == every - 1 and bads > 0:
            bads -= 1
            lines.append(bad.format(number * 600 // good, name=name))
    path = tmp_path / "requests.csv"
    path.write_text("\n".join([*lines, end]))
    return read_log(path)


def verdict_of(tmp_path, log, **threshold):
    file = tmp_path / "thresholds.yaml"
    file.write_text(json.dumps({"thresholds": [threshold]}))
    return verdict_on_log(read_log_thresholds(file, log), log)


def test_a_refusal_without_a_time_is_a_refusal(tmp_path):
    """91 of some 10,000; they used to be left out, and the ratio was 0."""
    verdict = verdict_of(tmp_path, log_of(tmp_path, "{},/pay,,429", bads=91), expect="throttled_ratio < 0.5 %")
    assert verdict.word == "FAIL"
    assert verdict.judgements[0].estimate.value == pytest.approx(91 / 10_091)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bad", "good", "bads", "expect"),
    [
        ("{},/pay,,504", 100_000, 901, "p(99.9) < 200 ms"),
        ("{},/pay,>30000,200", 10_000, 50, "max < 1 s"),
        ("{},/pay,>30000,200", 10_000, 50, "p(99.8) < 1 s"),
        ("{},/pay,20,-1", 10_000, 67, "error_ratio < 0.7 %"),
        ("{},/pay,20,-1", 50_000, 900, "error_ratio < 2 % for 60 s"),
        ("what is this", 10_000, 67, "error_ratio < 0.7 %"),
        ("what is this", 10_000, 67, "throttled_ratio < 0.7 %"),
        ("what is this", 10_000, 67, "rejected_ratio < 0.7 %"),
        ("what is this", 10_000, 67, "error_ratio < 10 % for 10 s"),
        ("what is this", 10_000, 1, "max < 1 s"),
        ("what is this", 10_000, 67, "mean < 200 ms"),
        ("when,/pay,20,500", 10_000, 67, "error_ratio < 0.7 %"),
        ("{},/pay,20,200;500", 10_000, 67, "error_ratio < 0.7 %"),
        ("{},/pay,20,200.5", 10_000, 67, "error_ratio < 0.7 %"),
    ],
)
def test_unreadable_lines_prevent_a_pass_that_they_could_change(tmp_path, bad, good, bads, expect):
    """However few they are, if the limit is that tight."""
    log = log_of(tmp_path, bad, bads=bads, good=good)
    verdict = verdict_of(tmp_path, log, expect=expect)
    assert verdict.word == "INCONCLUSIVE", verdict.reason
    assert f"{bads:,} " in verdict.reason
    assert "could change the outcome" in verdict.reason
    assert verdict.judgements[0].next_time in {"unsure", None}
    assert verdict.judgements[0].decided_by != "next time"
    assert verdict.next_step.startswith("Fix what could not be read in the log")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bad", "expect"),
    [
        ("{},/pay,20,-1", "error_ratio < 2 %"),
        ("what is this", "error_ratio < 2 %"),
        ("{},/pay,,504", "error_ratio < 2 %"),
        ("{},/pay,,200", "error_ratio < 0.5 %"),
        ("{},/pay,,200", "p(95) < 1 s"),
        ("what is this", "p(99) < 1 s"),
        ("what is this", "throughput >= 10 rps"),
        ("what is this", "count >= 5000"),
        ("{},/other,20,500", "p(99.9) < 1 s"),
    ],
)
def test_unreadable_lines_dont_prevent_a_pass_that_they_cant_change(tmp_path, bad, expect):
    """A stray line is no reason for an alarm."""
    verdict = verdict_of(tmp_path, log_of(tmp_path, bad, bads=50), expect=expect)
    assert verdict.word == "PASS", verdict.reason


def test_a_line_of_another_endpoint_is_not_held_against_this_one(tmp_path):
    """If its name can be read, and is another's."""
    log = log_of(tmp_path, "{},/other,,200", bads=100, end="1,/other,20,-1\n" * 100)
    assert verdict_of(tmp_path, log, endpoint="/pay", expect="max < 1 s").word == "PASS"
    assert verdict_of(tmp_path, log, endpoint="/pay", expect="error_ratio < 0.5 %").word == "PASS"
    assert verdict_of(tmp_path, log, endpoint="/other", expect="error_ratio < 20 %").word == "INCONCLUSIVE"
    assert verdict_of(tmp_path, log, expect="max < 1 s").word == "INCONCLUSIVE"


def test_unreadable_lines_prevent_a_fail_that_they_could_change(tmp_path):
    """Of 200 readable lines 100 failed; nothing is known about 20,000 others."""
    log = log_of(tmp_path, "{},/pay,20,500", bads=100, good=100, end="?\n" * 20_000)
    assert verdict_of(tmp_path, log, expect="error_ratio < 5 %").word == "INCONCLUSIVE"
    log = log_of(tmp_path, "{},/pay,20,500", bads=100, good=100, end="?\n" * 20)
    assert verdict_of(tmp_path, log, expect="error_ratio < 5 %").word == "FAIL"


@pytest.mark.parametrize(
    ("status", "outcomes"),
    [
        ('"502, 200"', {"ok"}),
        ('"200, 500"', {"server_error"}),
        ("200 OK", {"ok"}),
        ("HTTP/1.1 200 OK", {"ok"}),
        ("404 Not Found: /item/17", {"invalid"}),
        ("Non HTTP response code: java.net.SocketTimeoutException", {"connection"}),
        ("200;500", set()),
        ("200 -> 500", set()),
        ("200/500", set()),
        ('"200,500"', set()),
        ("200 500", set()),
        ("Read timed out after 200 ms", set()),
    ],
)
def test_a_status_is_one_number(tmp_path, status, outcomes):
    """The last one of nginx's list of upstreams; an ambiguous cell is not guessed at."""
    log = log_of(tmp_path, f"{{}},/bad,20,{status}", bads=10, good=100)
    rows = log.traffic.intervals
    assert set(rows.loc[rows["endpoint"] == "/bad", "outcome"]) == outcomes
    assert log.unreadable == (0 if outcomes else 10)


@pytest.mark.parametrize("twice", ["status", "name", "seconds", "response_ms"])
def test_two_columns_with_the_same_name_are_refused(tmp_path, twice):
    """It is unclear which of them counts."""
    path = tmp_path / "requests.csv"
    path.write_text(f"{HEAD},{twice}\n1,/pay,5,200,500\n")
    with pytest.raises(InputError, match=f"several columns are called '{twice}'"):
        read_log(path)


@pytest.mark.slow
def test_an_outage_without_times_is_an_outage(tmp_path):
    """Each line has a status, but no time; if there is a text instead, the log is refused."""
    log = log_of(tmp_path, "", bads=0, good=1, end="1,/pay,,504\n" * 1000)
    assert verdict_of(tmp_path, log, expect="error_ratio < 1 %").word == "FAIL"
    path = tmp_path / "requests.csv"
    path.write_text("\n".join([HEAD, *["1,/pay,,504"] * 1000, *["1,/pay,,200"] * 10]))
    log = read_log(path)
    assert verdict_of(tmp_path, log, expect="error_ratio < 1 %").word == "FAIL"
    assert verdict_of(tmp_path, log, expect="p(50) < 1 s").word == "INCONCLUSIVE"
    assert "1,010 requests have no time that can be read" in log_facts(log)
    assert write_log_report(log, None, tmp_path / "out").exists()
    path.write_text("\n".join([HEAD, *["1,/pay,20 ms,200"] * 10]))
    with pytest.raises(InputError, match="no `response_ms` in it can be read, got '20 ms'"):
        read_log(path)


def test_lines_without_a_second_may_all_belong_to_the_worst_window(tmp_path):
    """130 were torn; ten seconds have 8 % errors, and a second elsewhere has the fewest requests of all."""
    lines = [HEAD]
    for second in range(60):
        requests, failed = (30 if second == 55 else 100), (8 if 20 <= second < 30 else 0)
        lines += [f"{second},/pay,20,{500 if number < failed else 200}" for number in range(requests)]
        lines += ["xx###garbage"] * (13 if 20 <= second < 30 else 0)
    path = tmp_path / "requests.csv"
    path.write_text("\n".join([*lines, ""]))
    assert verdict_of(tmp_path, read_log(path), expect="error_ratio < 16 % for 10 s").word == "INCONCLUSIVE"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("refused", "unread", "word"),
    [(1_200, 10_000, "INCONCLUSIVE"), (800, 500, "INCONCLUSIVE"), (1_200, 20, "PASS"), (500, 20, "FAIL")],
)
def test_where_refusals_are_wanted_an_unread_line_may_be_none(tmp_path, refused, unread, word):
    """As in a test of a limiter; and where they are too few, it may be one."""
    log = log_of(tmp_path, "{},/pay,2,429", bads=refused, good=10_000 - refused, end="what is this\n" * unread)
    assert verdict_of(tmp_path, log, expect="throttled_ratio >= 10 %").word == word
